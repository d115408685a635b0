package store

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/risknet/risknet/risk"
)

// placed says where the bodies of a state stand.
func placed(t *testing.T, s *Store) (beside, apart int) {
	t.Helper()
	err := s.newest(func(_ *meta, txn *badger.Txn) error {
		err := walk(txn, []byte{risk.TableListings}, func(item *badger.Item) error {
			return item.Value(func(raw []byte) error {
				_, body, err := splitListing(raw)
				if body != nil {
					beside++
				}
				return err
			})
		})
		if err != nil {
			return err
		}
		return walk(txn, []byte{prefixBody}, func(*badger.Item) error { apart++; return nil })
	})
	if err != nil {
		t.Fatal(err)
	}
	return beside, apart
}

// partsOf is what an image holds behind its head.
func partsOf(t *testing.T, image []byte) string {
	t.Helper()
	r := newImageReader(bytes.NewReader(image))
	if _, err := r.head(); err != nil {
		t.Fatal(err)
	}
	var parts strings.Builder
	for {
		key, value, err := r.next()
		if err != nil {
			t.Fatal(err)
		}
		if key == nil {
			return parts.String()
		}
		fmt.Fprintf(&parts, "%x %x\n", key, value)
	}
}

// A body moves from place to place: short or long, revised, extended, lifted, gone with
// its listing, restored from an image. Whoever reads finds it, and nothing is left over.
func TestABodyIsFoundWhereverItStands(t *testing.T) {
	long := strings.Repeat("x", besideBytes)
	w := newWorld()
	s := open(t, t.TempDir(), Options{})
	defer s.Close()
	for _, step := range []struct {
		what          string
		do            func()
		beside, apart int
	}{
		{"two short ones and a long one", func() { w.publish(w.acq, "", 0, 1); w.publish(w.acq, long, 2) }, 2, 1},
		{"one is revised", func() { w.publish(w.acq, "worse", 0) }, 1, 2},
		{"and again", func() { w.publish(w.acq, "worse still", 0) }, 1, 2},
		{"one is extended", func() { w.now += minute; w.publishFrom(w.acq, "", w.now, 1) }, 1, 2},
		{"one is lifted", func() { w.liftAll(3, 2) }, 1, 2},
		{"and listed anew", func() { w.publish(w.acq, "", 0) }, 2, 2},
		{"what was lifted goes", func() { w.now += 400 * day; w.publish(w.acq, long, 9) }, 0, 1},
	} {
		from := len(w.entries)
		step.do()
		if from == len(newWorld().entries) {
			from = 0 // the founding too
		}
		mustApply(t, s, w.entries[from:])
		if beside, apart := placed(t, s); beside != step.beside || apart != step.apart {
			t.Errorf("%s: %d bodies beside their records and %d apart, want %d and %d", step.what, beside, apart, step.beside, step.apart)
		}
		whole(t, s)
		imaged := imagedAt(t, t.TempDir(), s)
		if beside, apart := placed(t, imaged); beside != 0 || apart != step.beside+step.apart {
			t.Errorf("%s: the image has %d bodies beside their records and %d apart", step.what, beside, apart)
		}
		whole(t, imaged)
		if partsOf(t, imageOf(t, s)) != partsOf(t, imageOf(t, imaged)) {
			t.Errorf("%s: where bodies stand changes the image", step.what)
		}
		mustClose(t, imaged)
	}
}
