package check

import (
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func sortedSet(prints []uint64) []uint64 {
	prints = slices.Clone(prints)
	slices.Sort(prints)
	return slices.Compact(prints)
}

func TestAnIndexHoldsExactlyItsPrints(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Small numbers share the first bucket, large ones the last.
		print := rapid.OneOf(rapid.Uint64(), rapid.Uint64Range(0, 50), rapid.Uint64Range(1<<64-50, 1<<64-1))
		first := sortedSet(rapid.SliceOfN(print, 0, 300).Draw(t, "first"))
		more := sortedSet(rapid.SliceOfN(print, 0, 300).Draw(t, "more"))
		x := newIndex(first, room(len(first))).with(more)
		all := sortedSet(append(slices.Clone(first), more...))
		if !slices.Equal(x.prints, all) {
			t.Fatalf("the prints are %v, want %v", x.prints, all)
		}
		for _, p := range all {
			if !x.may(p) || !x.holds(p) {
				t.Fatalf("%d is missed: filter %v, prints %v", p, x.may(p), x.holds(p))
			}
		}
		for _, p := range rapid.SliceOf(print).Draw(t, "others") {
			if _, in := slices.BinarySearch(all, p); x.holds(p) != in {
				t.Fatalf("holds(%d) is %v", p, !in)
			}
		}
	})
}

func TestGrowingLeavesTheOldIndexAlone(t *testing.T) {
	old := newIndex([]uint64{1 << 60, 1 << 61}, room(4))
	grown := old.with([]uint64{1 << 62})
	if old.holds(1<<62) || old.may(1<<62) {
		t.Error("the old index has changed")
	}
	if !grown.holds(1<<62) || !grown.holds(1<<60) {
		t.Error("the grown index misses a print")
	}
}

func TestTheFilterLetsThroughOneInAThousand(t *testing.T) {
	const n = 200_000
	prints := make([]uint64, n)
	for i := range prints {
		prints[i] = rand.Uint64()
	}
	x := newIndex(sortedSet(prints), 1+n*keyBits/blockBits)
	if rate := measure(x); rate > 0.002 || rate == 0 {
		t.Errorf("the false-positive rate is %.5f, want about 0.001", rate)
	}
}

func TestAFingerprintDependsOnKindTokenAndSeed(t *testing.T) {
	h := hasher{maphash.MakeSeed()}
	k := keyNumber(5)
	otherKind, otherToken := k, k
	otherKind.Kind++
	otherToken.Token[0]++
	if h.of(k) != h.of(k) {
		t.Error("one key has two fingerprints")
	}
	for _, p := range []uint64{h.of(otherKind), h.of(otherToken), hasher{maphash.MakeSeed()}.of(k)} {
		if p == h.of(k) {
			t.Error("two keys, or two seeds, share a fingerprint")
		}
	}
}
