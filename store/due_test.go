package store

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/dgraph-io/badger/v4"

	"github.com/risknet/risknet/risk"
)

// Whatever is put and taken away, in one cut or over several: the index gives what is
// in it, in the order of (due time, key), as far as is asked for.
func TestWhatIsDueComesInOrderHoweverItStandsTogether(t *testing.T) {
	base := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		dir, err := os.MkdirTemp(base, "")
		if err != nil {
			t.Fatal(err)
		}
		s, err := Open(dir, Options{Logger: quiet, MemTableBytes: MinMemTableBytes})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for _, a := range s.Apply(w.entries) {
			if a.Err != nil {
				t.Fatal(a.Err)
			}
		}
		s.soonest = [dueSlots]int64{}
		size := s.Head().Size // leaves below are of the past, this one of the last cut
		in := map[string]int64{}
		for cuts := rapid.IntRange(1, 4).Draw(t, "cuts"); cuts > 0; cuts-- {
			c, newest := s.begin(), 1
			if cuts == 1 {
				newest = 2
			}
			for range rapid.IntRange(0, 40).Draw(t, "changes") {
				id := risk.ItemID{Leaf: size - 2 + uint64(rapid.IntRange(0, newest).Draw(t, "leaf")), Item: uint16(rapid.IntRange(0, 200).Draw(t, "item"))}
				key := risk.ListingRecordKey(id)
				ch := risk.Change{Key: key, OldDue: in[string(key)], NewDue: int64(rapid.IntRange(0, 3).Draw(t, "due"))}
				if err := c.reschedule(&ch); err != nil {
					t.Fatal(err)
				}
				if delete(in, string(key)); ch.NewDue != 0 {
					in[string(key)] = ch.NewDue
				}
			}
			now, limit := int64(rapid.IntRange(0, 3).Draw(t, "now")), rapid.IntRange(1, 80).Draw(t, "limit")
			got, err := c.Due(risk.TableListings, now, limit)
			if err != nil {
				t.Fatal(err)
			}
			if want := dueIn(in, now, limit); !slices.EqualFunc(got, want, bytes.Equal) {
				t.Fatalf("due at %d, at most %d: %x, want %x", now, limit, got, want)
			}
			commitDue(t, c)
			s.soonest = c.soonest
			holdDue(t, s, in)
		}
	})
}

// A group that badger cannot read looks like an empty one. It is not written over.
func TestAGroupThatLacksWhatIsDueIsDamage(t *testing.T) {
	w := newWorld()
	w.publish(w.acq, "", 0, 1)
	s := open(t, t.TempDir(), Options{})
	defer mustClose(t, s)
	mustApply(t, s, w.entries)
	c := s.begin()
	defer c.txn.Discard()
	key := risk.ListingRecordKey(risk.ListingID{Leaf: s.Head().Size - 1})
	if err := c.reschedule(&risk.Change{Key: key, OldDue: 1, NewDue: 2}); !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
}

func commitDue(t *rapid.T, c *cut) {
	if err := c.writeDueGroups(); err != nil {
		t.Fatal(err)
	}
	if err := c.txn.CommitAt(c.meta.version(), nil); err != nil {
		t.Fatal(err)
	}
}

// holdDue compares what is on disk.
func holdDue(t *rapid.T, s *Store, in map[string]int64) {
	err := s.newest(func(_ *meta, txn *badger.Txn) error {
		n := 0
		err := walkDue(txn, func(due int64, key []byte) error {
			if key[0] != risk.TableListings {
				return nil
			}
			n++
			if in[string(key)] != due {
				t.Fatalf("%x is due at %d, want %d", key, due, in[string(key)])
			}
			return nil
		})
		if n != len(in) {
			t.Fatalf("%d are due, want %d", n, len(in))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func dueIn(in map[string]int64, now int64, limit int) (keys [][]byte) {
	var list []dueEntry
	for key, due := range in {
		if due <= now {
			list = append(list, dueEntry{due, []byte(key)})
		}
	}
	slices.SortFunc(list, func(a, b dueEntry) int { return bytes.Compare(dueKey(a.due, a.key), dueKey(b.due, b.key)) })
	for _, e := range list[:min(limit, len(list))] {
		keys = append(keys, e.key)
	}
	return keys
}
