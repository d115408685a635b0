package store

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/sync/errgroup"

	"github.com/risknet/risknet/risk"
)

// others makes n entries that change nothing.
func (w *world) others(n int) []Entry {
	from := len(w.entries)
	for range n {
		w.put(Other, nil)
	}
	return w.entries[from:]
}

// A filter is built while thousands of cuts go by; if its version went away, a
// busy network would never have a new filter.
func TestALongScanKeepsItsVersion(t *testing.T) {
	w := newWorld()
	w.publish(w.acq, "", 1, 2, 3)
	s := open(t, t.TempDir(), Options{})
	defer s.Close()
	mustApply(t, s, w.entries)
	version, n := s.Version(), 0
	err := s.Reader().Tokens(version, func(risk.Kind, risk.Token, uint16) error {
		if n++; n > 1 {
			return nil
		}
		w.publish(w.bank, "", 4)
		mustApply(t, s, w.entries[len(w.entries)-1:])
		for _, e := range w.others(keptVersions + 1) {
			mustApply(t, s, []Entry{e})
		}
		if list, _, err := s.Reader().Standing(version, risk.KindIP, tokenOf(1)); err != nil || len(list) != 1 {
			t.Errorf("the version answers %v, %v during the scan", list, err)
		}
		return nil
	})
	if err != nil || n != 3 {
		t.Errorf("%d tokens, %v; want the 3 of its version", n, err)
	}
	mustApply(t, s, w.others(1))
	if err := s.Reader().Tokens(version, nil); !errors.Is(err, ErrVersionGone) {
		t.Errorf("after the scan the version answers %v", err)
	}
	if _, err := s.now.Load().gen.versions.pin(version); !errors.Is(err, ErrVersionGone) {
		t.Errorf("a version that is gone can be pinned: %v", err)
	}
}

// Each version has one note about subject 1, the same in listing and body,
// whatever is written meanwhile.
func TestReadersBesideTheWriterSeeOneVersion(t *testing.T) {
	const cuts = 60
	w := newWorld()
	want := map[uint64]string{}
	for i := range cuts {
		note := fmt.Sprint("note ", i)
		w.publish(w.acq, note, 1)
		want[w.index] = note
	}
	versions := make(chan uint64, cuts)
	s := open(t, t.TempDir(), Options{OnCut: func(c Cut) { versions <- c.Version }})
	defer s.Close()
	var group errgroup.Group
	group.Go(func() error {
		defer close(versions)
		for _, e := range w.entries {
			if err := s.Apply([]Entry{e})[0].Err; err != nil {
				return err
			}
		}
		return nil
	})
	for range 2 {
		group.Go(func() error {
			for version := range versions {
				list, _, err := s.Reader().Standing(version, risk.KindIP, tokenOf(1))
				note, listed := want[version]
				if err != nil || listed != (len(list) == 1) || listed && list[0].Body.Note != note {
					return fmt.Errorf("version %d answers %v, %v; want %q", version, list, err, note)
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
}

// Questions of the newest state find one while an image takes its place.
func TestQuestionsGoOnWhileAnImageComesIn(t *testing.T) {
	w := newWorld()
	w.publish(w.acq, "", 1, 2)
	source := open(t, t.TempDir(), Options{})
	defer source.Close()
	mustApply(t, source, w.entries)
	w.publish(w.acq, "", 3)
	mustApply(t, source, w.entries)
	image := imageOf(t, source)

	told := 0
	s := open(t, t.TempDir(), Options{OnRestore: func() error { told++; return nil }})
	defer s.Close()
	mustApply(t, s, w.entries[:len(w.entries)-1])
	old, version := s.Reader(), s.Version()
	done := make(chan struct{})
	var group errgroup.Group
	group.Go(func() error {
		defer close(done)
		return install(s, image, source.Position())
	})
	group.Go(func() error {
		for {
			seen := 0
			err := s.Listings(context.Background(), func(*risk.Standing) error { seen++; return nil })
			if err != nil || seen != 2 && seen != 3 {
				return fmt.Errorf("%d listings, %v", seen, err)
			}
			if _, err := s.Verify(w.publishedBy(w.bank), w.now); err != nil {
				return err
			}
			if err := s.Sync(); err != nil {
				return err
			}
			select {
			case <-done:
				return nil
			default:
			}
		}
	})
	if err := group.Wait(); err != nil || told != 1 {
		t.Fatalf("%v; OnRestore was called %d times", err, told)
	}
	s.leaving.Wait() // a state that was replaced is closed when its readers are done
	if _, _, err := old.Standing(version, risk.KindIP, tokenOf(1)); !errors.Is(err, ErrVersionGone) {
		t.Errorf("the old reader answers %v", err)
	}
	same(t, "the image", s, source)
	if s.LedgerFrom() != s.Head().Size-1 {
		t.Errorf("the ledger begins at %d of %d", s.LedgerFrom(), s.Head().Size)
	}
}

func TestAQuestionThatMeetsARestoreIsAskedAgain(t *testing.T) {
	w := newWorld()
	source := open(t, t.TempDir(), Options{})
	defer source.Close()
	mustApply(t, source, w.entries)
	image := imageOf(t, source)
	s := open(t, t.TempDir(), Options{})
	defer s.Close()
	mustApply(t, s, w.entries[:1])
	var sizes []uint64
	err := s.onNewest(func(m *meta) error {
		if sizes = append(sizes, m.head.Size); len(sizes) == 1 {
			if err := install(s, image, source.Position()); err != nil {
				return err
			}
			s.leaving.Wait()
		}
		return m.gen.view(m.version(), func(*badger.Txn) error { return nil })
	})
	if err != nil || len(sizes) != 2 || sizes[1] != source.Head().Size {
		t.Errorf("asked at sizes %v: %v", sizes, err)
	}
}

// The links are counted as they come and go, also where the law does not ask
// just before it links.
func TestLinksAreCounted(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	defer s.Close()
	c := s.begin()
	defer c.txn.Discard()
	a, b := risk.ListingKey{Kind: risk.KindIP}, risk.ListingKey{Kind: risk.KindPhone}
	first, second := risk.ListingID{Leaf: 1}, risk.ListingID{Leaf: 2}
	find := func(k risk.ListingKey) error { _, _, err := c.Find(k); return err }
	for i, step := range []struct {
		do   func() error
		want uint64
	}{
		{func() error { return c.Link(a, first) }, 1},
		{func() error { return c.Link(a, second) }, 1},
		{func() error { return c.Unlink(a, first) }, 1}, // a newer one has its place
		{func() error { return find(b) }, 1},
		{func() error { return c.Link(a, second) }, 1},
		{func() error { return c.Link(b, first) }, 2},
		{func() error { return find(a) }, 2},
		{func() error { return c.Unlink(a, second) }, 1},
		{func() error { return c.Link(a, first) }, 2},
	} {
		if err := step.do(); err != nil || c.meta.links != step.want {
			t.Fatalf("step %d: %d links, %v; want %d", i, c.meta.links, err, step.want)
		}
	}
}

// publishedBy is a signed command that is not in the log.
func (w *world) publishedBy(a author) *risk.Signed {
	item, body := w.listing(9, "", day, 0)
	return w.sign(a, &risk.Listings{}, []risk.Item{item}, []risk.Body{body})
}

func FuzzMeta(f *testing.F) {
	m := &meta{position: Position{Index: 7, Term: 2, Configuration: []byte("c"), ConfigurationIndex: 3}, lastAt: 5, listings: 1, links: 1, smalls: 9}
	m.edge.Append(nil, [32]byte{1})
	raw, err := m.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add(raw[:metaFixed])
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := decodeMeta(raw)
		if err != nil {
			return
		}
		if again, err := m.encode(); err != nil || string(again) != string(raw) {
			t.Errorf("%x is read and written as %x, %v", raw, again, err)
		}
	})
}
