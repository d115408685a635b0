package store

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/risknet/risknet/risk"
)

// What changed last stands in a table that rots while the node runs. Badger then
// gives what it finds in older tables, and says nothing: an expired listing for
// the one that renewed it, one reporter of two, a listing that was lifted since.
// The sum of the token tells.
func TestAnOlderStateOfATokenIsNotItsState(t *testing.T) {
	for name, c := range map[string]struct {
		after  int64
		change func(w *world, first *risk.Signed)
	}{
		"another reporter":      {10 * minute, func(w *world, _ *risk.Signed) { w.publish(w.bank, "second", subjects(0, 400)...) }},
		"renewed after its end": {10 * minute, func(w *world, _ *risk.Signed) { w.publish(w.acq, "again", subjects(0, 400)...) }},
		"revised":               {1, func(w *world, _ *risk.Signed) { w.publish(w.acq, "worse", subjects(0, 400)...) }},
		"lifted": {1, func(w *world, first *risk.Signed) {
			w.lift(w.acq, idOf(t, w, first))
			w.publish(w.bank, "others", subjects(200, 400)...)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w, dir := newWorld(), t.TempDir()
			s := open(t, dir, Options{})
			item, body := w.listing(120, "first", minute, 0)
			first := w.propose(w.acq, &risk.Listings{}, []risk.Item{item}, []risk.Body{body})
			mustApply(t, s, w.entries)
			mustClose(t, s)
			before := tablesIn(t, dir)
			s = open(t, dir, Options{})
			w.now += c.after
			c.change(w, first)
			mustApply(t, s, w.entries)
			sound, want, err := s.Reader().Standing(s.Version(), risk.KindIP, tokenOf(120))
			if err != nil {
				t.Fatal(err)
			}
			mustClose(t, s)
			s = open(t, dir, Options{})
			for _, path := range tablesIn(t, dir) {
				if !slices.Contains(before, path) {
					rot(t, path)
				}
			}
			list, sum, err := s.Reader().Standing(s.Version(), risk.KindIP, tokenOf(120))
			switch {
			case err != nil && !errors.Is(err, ErrDamaged):
				t.Error(err)
			case err == nil && reflect.DeepEqual(list, sound):
				t.Error("the rot has struck nothing")
			case err == nil && sum == want:
				t.Errorf("%v is taken for %v", list, sound)
			}
			_ = s.Close() // it may find the damage too
		})
	}
}

// The sums that a filter is made of and those that it is brought to are the same.
func TestSumsAreThoseOfTheScan(t *testing.T) {
	w, sums := newWorld(), map[Key]uint16{}
	s := open(t, t.TempDir(), Options{OnCut: func(c Cut) {
		for _, one := range slices.Concat(c.Linked, c.Unlinked) {
			sums[one.Key] += one.Delta
		}
	}})
	first := w.publish(w.acq, "one", subjects(0, 50)...)
	w.publish(w.bank, "two", subjects(20, 50)...)
	mustApply(t, s, w.entries)
	from := len(w.entries)
	w.publish(w.acq, "worse", subjects(10, 30)...)
	w.acts(w.bank, risk.HoldFunds, idOf(t, w, first))
	w.halt(w.hub, risk.ItemSuspend, idOf(t, w, first))
	w.lift(w.acq, idOf(t, w, first))
	w.publish(w.acq, "worse still", subjects(5, 10)...)
	w.now += 20 * 365 * 24 * 60 * minute // nobody keeps anything as long
	for range 4 {
		w.publish(w.acq, "much later", 900)
	}
	mustApply(t, s, w.entries[from:])
	read := map[Key]uint16{}
	if err := s.Reader().Tokens(s.Version(), func(kind risk.Kind, token risk.Token, sum uint16) error {
		read[Key{kind, token}] = sum
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	gone := 0
	for k, sum := range sums {
		if sum != read[k] {
			t.Errorf("%v has the sum %d, and in the scan %d", k, sum, read[k])
		}
		if _, there := read[k]; !there {
			gone++
		}
	}
	if gone == 0 || len(read) == 0 {
		t.Errorf("%d tokens are gone, %d are there: nothing was purged, or all", gone, len(read))
	}
	mustClose(t, s)
}

func idOf(t *testing.T, w *world, signed *risk.Signed) risk.ListingID {
	t.Helper()
	for i, e := range w.entries {
		if entry, err := risk.DecodeEntry(e.Data); err == nil && entry.Signed.ID() == signed.ID() {
			return risk.ListingID{Leaf: uint64(i)}
		}
	}
	t.Fatal("nobody has proposed it")
	return risk.ListingID{}
}

func tablesIn(t *testing.T, dir string) []string {
	t.Helper()
	tables, err := filepath.Glob(filepath.Join(dir, "state-1", "*.sst"))
	if err != nil {
		t.Fatal(err)
	}
	return tables
}

// rot damages every block of a table in place, as badger has it mapped.
func rot(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rest, _, _ := behind(data)
	blocks, _, _ := behind(rest)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	for at := 5; at < len(blocks); at += 16 {
		if _, err := f.WriteAt([]byte{data[at] ^ 0xff}, int64(at)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
