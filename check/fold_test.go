package check

import (
	"context"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/risknet/risknet/risk"
)

// counting says how often its tokens were read.
type counting struct {
	*book
	scans int
}

func (s *counting) Tokens(version uint64, yield func(kind risk.Kind, token risk.Token, sum Sum) error) error {
	s.scans++
	return s.book.Tokens(version, yield)
}

func TestASetThatGrowsIsReadOnceEachTimeItIsSixteenfold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &counting{book: newBook()}
		c := newChecker(t, source, 0, Config{RecentKeys: 10})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { c.Run(ctx); close(done) }()
		before := source.scans
		const all = 640
		for from := 0; from < all; from += 10 {
			c.Absorb(source.list(keysFrom(from, 10)...))
			synctest.Wait()
			if s := c.Stats(); s.Recent != 0 || s.Tokens != from+10 {
				t.Fatalf("after %d keys: %+v", from+10, s)
			}
		}
		// At 10 and at 160 keys.
		if n := source.scans - before; n != 2 {
			t.Errorf("the tokens were read %d times, want 2", n)
		}
		for _, k := range keysFrom(0, all) {
			if !verdictOf(t, c, askFor(k)).Listed {
				t.Fatalf("%v is missed", k)
			}
		}
		stop()
		<-done
	})
}

func TestAKeyThatIsTakenAwayIsNotFolded(t *testing.T) {
	b := newBook()
	c := newChecker(t, b, 0, Config{})
	c.Absorb(b.list(keysFrom(0, 100)...))
	if err := c.Rebuild(context.Background()); err != nil {
		t.Fatal(err)
	}
	c.Absorb(b.purge(keyNumber(7)))
	if c.fold() {
		t.Error("it was folded")
	}
	if c.Load().filter.frozen != nil || verdictOf(t, c, askFor(keyNumber(7))).Listed {
		t.Error("the filter is not what it was")
	}
	if err := c.gather(context.Background()); err != nil || c.Stats().Recent != 0 || c.Stats().Tokens != 99 {
		t.Errorf("the build: %v, %+v", err, c.Stats())
	}
}

// A folded base is the one that would be made of all its entries, and its bloom
// filter is never fuller than by an eighth.
func TestAFoldedBaseIsTheOneThatIsMadeAtOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entries := func(n int, what string) []entry {
			var list []entry
			for _, p := range rapid.SliceOfN(rapid.Uint64Range(0, 4096), 0, n).Draw(t, what) {
				list = append(list, entry{p << 52, Sum(1 + p%7)})
			}
			return inOrder(list)
		}
		first := entries(300, "base")
		base, all := newIndex(first, baseRoom(len(first))), map[uint64]Sum{}
		for _, e := range first {
			all[e.print] = e.sum
		}
		for range rapid.IntRange(1, 4).Draw(t, "folds") {
			more := entries(100, "more")
			for _, e := range more {
				all[e.print] = e.sum
			}
			base = base.fold(newIndex(more, room(len(more))))
		}
		for p, want := range all {
			if sum, found := base.find(p); !found || sum != want || !base.may(p) {
				t.Fatalf("print %x: sum %d found %v, want %d", p, sum, found, want)
			}
		}
		if len(base.prints) != len(all) || baseRoom(len(all))*8 > base.blocks*9 {
			t.Fatalf("%d prints in %d blocks, want %d", len(base.prints), base.blocks, len(all))
		}
	})
}

func TestWhoIsInTheFilterIsNotLacked(t *testing.T) {
	b := newBook()
	c := newChecker(t, b, 0, Config{})
	c.Absorb(b.list(keyNumber(1), keyNumber(2)))
	c.Absorb(b.purge(keyNumber(2)))
	for _, at := range []struct {
		version uint64
		key     Key
		lacks   bool
	}{{b.last, keyNumber(1), false}, {b.last, keyNumber(2), true}, {b.last, keyNumber(3), true},
		{b.last - 1, keyNumber(3), false}, {b.last + 1, keyNumber(3), false}} {
		if got := c.Lacks(at.version, at.key); got != at.lacks {
			t.Errorf("%v at version %d of %d: %v", at.key, at.version, b.last, got)
		}
	}
	empty, err := New(Config{})
	if err != nil || empty.Lacks(0, keyNumber(1)) {
		t.Errorf("without a state something is certain: %v", err)
	}
}

// What a base pays for taking in what has gathered over it, a 64th of its own size.
func BenchmarkFold(b *testing.B) {
	const keys = 1 << 20
	list := make([]entry, keys)
	for i := range list {
		list[i] = entry{uint64(i) * 0x9e3779b97f4a7c15, Sum(i)}
	}
	list = inOrder(list)
	more := make([]entry, keys/64)
	for i := range more {
		more[i] = entry{uint64(keys+i) * 0x9e3779b97f4a7c15, Sum(i)}
	}
	base, layer := newIndex(list, baseRoom(keys)), newIndex(inOrder(more), room(len(more)))
	for b.Loop() {
		base.fold(layer)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(more)), "ns/key")
}
