package check

import (
	"bytes"
	"cmp"
	"math/bits"
	"slices"
)

// layer is what a stretch of batches did to the set of listed keys. Removed
// keys stand in full, because two keys may share a print: taking the print away
// would lose the other one.
type layer struct {
	added   *index
	removed []Key // sorted; linked before, and not any more
}

func emptyLayer() *layer { return &layer{added: newIndex(nil, room(0))} }

func (l *layer) size() int { return len(l.added.prints) + len(l.removed) }

func (l *layer) drops(k Key) bool {
	_, found := slices.BinarySearchFunc(l.removed, k, compareKeys)
	return found
}

// with gives the layer after more changes: keys with their sums, and keys that
// are gone. A key is not in both lists.
func (l *layer) with(h hasher, listed []Touched, gone []Key) *layer {
	if len(listed) == 0 && len(gone) == 0 {
		return l
	}
	removed := l.removed
	if len(gone) > 0 || len(removed) > 0 {
		again := make(map[Key]bool, len(listed))
		for _, t := range listed {
			again[t.Key] = true
		}
		removed = slices.Concat(removed, gone)
		removed = slices.DeleteFunc(removed, func(k Key) bool { return again[k] })
		slices.SortFunc(removed, compareKeys)
		removed = slices.Compact(removed)
	}
	return &layer{added: l.added.with(entriesOf(h, listed)), removed: removed}
}

// over gives one layer that does what old and then l do.
func (l *layer) over(h hasher, old *layer) *layer {
	// A key that l adds again may stay among the removed of old: l cannot name
	// its added keys, only their prints. So a removed key counts only where l
	// does not hold its print. A print shared by two keys then keeps a key too
	// many, which the next build puts right, and never one too few.
	kept := slices.DeleteFunc(slices.Clone(old.removed), func(k Key) bool {
		_, added := l.added.find(h.of(k))
		return added
	})
	removed := slices.Concat(kept, l.removed)
	slices.SortFunc(removed, compareKeys)
	return &layer{added: old.added.with(l.added.entries()), removed: slices.Compact(removed)}
}

func entriesOf(h hasher, listed []Touched) []entry {
	list := make([]entry, len(listed))
	for i, t := range listed {
		list[i] = entry{h.of(t.Key), t.Sum}
	}
	return inOrder(list)
}

func compareKeys(a, b Key) int {
	if c := cmp.Compare(a.Kind, b.Kind); c != 0 {
		return c
	}
	return bytes.Compare(a.Token[:], b.Token[:])
}

// filter is the set of listed keys at one version, newest layer first. While a
// build runs, frozen holds what came before it began and after the base.
type filter struct {
	recent *layer
	frozen *layer // nil when no build runs
	base   *index
}

// answer is what the filter knows of a key.
type answer uint8

const (
	miss     answer = iota // the bloom filters end it
	falseHit               // the prints, or the removed keys, end it
	hit
)

// may is what the bloom filters say: false means that the print is in no layer.
func (f *filter) may(p uint64) bool {
	return f.base.may(p) || f.recent.added.may(p) || f.frozen != nil && f.frozen.added.may(p)
}

// warm asks memory for what the bloom filters will read of each print. Nothing waits
// on it, so that the processor fetches all these lines at once; ask by ask it would
// wait for each of them. What it gives means nothing.
func (f *filter) warm(prints []uint64) (sum uint64) {
	for _, x := range [...]*index{f.base, f.recent.added} {
		if len(x.prints) == 0 {
			continue
		}
		words := x.bloom.BitSet().Words()
		for _, p := range prints {
			block, _ := bits.Mul64(p, x.blocks)
			sum ^= words[block*(blockBits/64)]
		}
	}
	return sum
}

// ask finds the newest layer that holds the print of a key, and looks whether
// that layer or a newer one took the key away again. A hit has the key's sum.
func (f *filter) ask(p uint64, k Key) (answer, Sum) {
	known := miss
	if f.recent.added.may(p) {
		known = falseHit
		if sum, found := f.recent.added.find(p); found && !f.recent.drops(k) {
			return hit, sum
		}
	}
	if f.frozen != nil && f.frozen.added.may(p) {
		known = falseHit
		if sum, found := f.frozen.added.find(p); found && !f.recent.drops(k) && !f.frozen.drops(k) {
			return hit, sum
		}
	}
	if !f.base.may(p) {
		return known, 0
	}
	if sum, found := f.base.find(p); found && !f.recent.drops(k) && (f.frozen == nil || !f.frozen.drops(k)) {
		return hit, sum
	}
	return falseHit, 0
}
