package check

import (
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// entriesFor gives each print the sum asked.
func entriesFor(prints []uint64, sum Sum) []entry {
	list := make([]entry, len(prints))
	for i, p := range prints {
		list[i] = entry{p, sum}
	}
	return inOrder(list)
}

func TestAnIndexHoldsExactlyItsPrints(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Small numbers share the first bucket, large ones the last.
		print := rapid.OneOf(rapid.Uint64(), rapid.Uint64Range(0, 50), rapid.Uint64Range(1<<64-50, 1<<64-1))
		first := entriesFor(rapid.SliceOfN(print, 0, 300).Draw(t, "first"), 1)
		more := entriesFor(rapid.SliceOfN(print, 0, 300).Draw(t, "more"), 2)
		x := newIndex(first, room(len(first))).with(more)
		want := map[uint64]Sum{}
		for _, e := range slices.Concat(first, more) {
			want[e.print] = e.sum
		}
		if len(x.prints) != len(want) || !slices.IsSorted(x.prints) {
			t.Fatalf("the prints are %v, want those of %v", x.prints, want)
		}
		for p, sum := range want {
			if got, found := x.find(p); !x.may(p) || !found || got != sum {
				t.Fatalf("%d is missed: filter %v, prints %v, sum %d of %d", p, x.may(p), found, got, sum)
			}
		}
		for _, p := range rapid.SliceOf(print).Draw(t, "others") {
			_, in := want[p]
			if _, found := x.find(p); found != in {
				t.Fatalf("find(%d) is %v", p, !in)
			}
		}
	})
}

func TestWhatWasGatheredIsInTheIndex(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		print := rapid.OneOf(rapid.Uint64(), rapid.Uint64Range(0, 50), rapid.Uint64Range(1<<56-50, 1<<56+50))
		list := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) entry {
			return entry{print.Draw(t, "print"), rapid.Uint16Range(1, 2).Draw(t, "sum")}
		}), 0, 300).Draw(t, "list")
		var g gathering
		for _, e := range list {
			g.add(e.print, e.sum)
		}
		x, want := g.index(), newIndex(inOrder(slices.Clone(list)), baseRoom(len(list)))
		if !slices.Equal(x.prints, want.prints) || !slices.Equal(x.sums, want.sums) || !slices.Equal(x.starts, want.starts) || !x.bloom.Equal(want.bloom) {
			t.Fatalf("gathered %v, want %v", x.entries(), want.entries())
		}
		if err := g.test(x); err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			return
		}
		lost := rapid.SampledFrom(list).Draw(t, "lost").print
		without := slices.DeleteFunc(x.entries(), func(e entry) bool { return e.print == lost })
		if g.test(newIndex(without, x.blocks)) == nil {
			t.Fatalf("nobody misses %d", lost)
		}
	})
}

// The memory of a base, at the size where it is largest for a key.
func TestAnIndexTakesTwelveBytesAKey(t *testing.T) {
	for _, n := range []int{100_000, 1 << 18, 250_000} {
		var g gathering
		for range n {
			g.add(rand.Uint64(), 1)
		}
		if x := g.index(); float64(x.size()) > 12.01*float64(n) {
			t.Errorf("%d keys take %.2f bytes each", n, float64(x.size())/float64(n))
		}
	}
}

func TestGrowingLeavesTheOldIndexAlone(t *testing.T) {
	holds := func(x *index, p uint64) bool { _, found := x.find(p); return found }
	old := newIndex(entriesFor([]uint64{1 << 60, 1 << 61}, 1), room(4))
	grown := old.with(entriesFor([]uint64{1 << 62}, 1))
	if holds(old, 1<<62) || old.may(1<<62) {
		t.Error("the old index has changed")
	}
	if !holds(grown, 1<<62) || !holds(grown, 1<<60) {
		t.Error("the grown index misses a print")
	}
}

func TestTheFilterLetsThroughTwoInAThousand(t *testing.T) {
	const n = 200_000
	prints := make([]uint64, n)
	for i := range prints {
		prints[i] = rand.Uint64()
	}
	x := newIndex(entriesFor(prints, 1), 1+n*keyBits/blockBits)
	rate := measure(x)
	if rate > 0.0025 || rate == 0 {
		t.Errorf("the false-positive rate is %.5f, want about 0.0014", rate)
	}
	t.Logf("%.5f", rate)
}

func TestAFingerprintDependsOnKindTokenAndSeed(t *testing.T) {
	h, other := newHasher(maphash.MakeSeed()), newHasher(maphash.MakeSeed())
	k := keyNumber(5)
	otherKind, otherToken := k, k
	otherKind.Kind++
	otherToken.Token[0]++
	if h.of(k) != h.of(k) {
		t.Error("one key has two fingerprints")
	}
	for _, p := range []uint64{h.of(otherKind), h.of(otherToken), other.of(k)} {
		if p == h.of(k) {
			t.Error("two keys, or two seeds, share a fingerprint")
		}
	}
}
