package check

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/bits-and-blooms/bloom/v3"
)

// The shape of the bloom filter. All bits of one key lie in one block, which is
// one cache line: a miss costs one access to memory, where a plain bloom filter
// of 10 million keys pays for several. The price is 15 bits a key
// instead of 13.8 for a false-positive rate of 0.14% (seen on 200,000 keys). What
// passes costs a look at the fingerprints and no more; so an index takes 12 bytes a
// key.
const (
	blockBits  = 512
	keyBits    = 15
	bitsPerKey = 7 // each takes 9 bits of a 64-bit hash
)

// entry is a listed key as an index holds it.
type entry struct {
	print uint64
	sum   Sum
}

// inOrder sorts entries. Keys with one print become one entry, whose sum is not known.
func inOrder(list []entry) []entry {
	slices.SortFunc(list, func(a, b entry) int { return cmp.Compare(a.print, b.print) })
	kept := list[:0]
	for _, e := range list {
		last := len(kept) - 1
		if last < 0 || kept[last].print != e.print {
			kept = append(kept, e)
		} else if kept[last].sum != e.sum {
			kept[last].sum = 0
		}
	}
	return kept
}

// index is a set of fingerprints: a bloom filter that ends most questions, and
// the fingerprints themselves in order, each with its key's sum. It is immutable
// once it is shared.
type index struct {
	bloom  *bloom.BloomFilter
	blocks uint64

	prints []uint64 // sorted, each once
	sums   []Sum    // of the prints, in their order
	starts []uint32 // where the prints of each bucket begin, and one more
	shift  uint     // the top 64-shift bits of a print are its bucket

	read    int  // how many prints a build has read from the Source; see fold
	unknown bool // what the set holds was not read yet, so it may be anything
}

// unknownIndex stands for a set until it has been read.
func unknownIndex() *index {
	x := newIndex(nil, room(0))
	x.unknown = true
	return x
}

// room gives the number of blocks for n keys, a power of two of keys so that
// a growing set can often take over the bits of the one before.
func room(n int) uint64 {
	return max(1, uint64(1)<<bits.Len64(uint64(max(0, n-1)))*keyBits/blockBits)
}

// newIndex makes an index of entries that are in order.
func newIndex(list []entry, blocks uint64) *index {
	x := emptyIndex(blocks)
	x.prints, x.sums = make([]uint64, 0, len(list)), make([]Sum, 0, len(list))
	x.take(list)
	x.order()
	return x
}

func emptyIndex(blocks uint64) *index {
	return &index{blocks: blocks, bloom: bloom.New(uint(blocks*blockBits), bitsPerKey)}
}

// take adds entries that are in order and behind those that are there.
func (x *index) take(list []entry) {
	for _, e := range list {
		x.prints, x.sums = append(x.prints, e.print), append(x.sums, e.sum)
		x.mark(e.print)
	}
}

// with gives the set with more entries, which are in order and take the place of
// those with the same prints.
func (x *index) with(more []entry) *index {
	if len(more) == 0 {
		return x
	}
	next := &index{}
	next.merge(x, more)
	if next.blocks = room(len(next.prints)); next.blocks != x.blocks {
		next.markAll(next.prints)
	} else {
		next.bloom = x.bloom.Copy()
		for _, e := range more {
			next.mark(e.print)
		}
	}
	next.order()
	return next
}

// merge joins an index and a list that is short: the runs of the first are copied
// whole.
func (x *index) merge(old *index, more []entry) {
	n := len(old.prints) + len(more)
	x.prints, x.sums = make([]uint64, 0, n), make([]Sum, 0, n)
	prints, sums := old.prints, old.sums
	for _, e := range more {
		at, found := slices.BinarySearch(prints, e.print)
		x.prints, x.sums = append(x.prints, prints[:at]...), append(x.sums, sums[:at]...)
		x.prints, x.sums = append(x.prints, e.print), append(x.sums, e.sum)
		if found {
			at++
		}
		prints, sums = prints[at:], sums[at:]
	}
	x.prints, x.sums = append(x.prints, prints...), append(x.sums, sums...)
}

// entries gives them all, in order.
func (x *index) entries() []entry {
	list := make([]entry, len(x.prints))
	for i := range list {
		list[i] = entry{x.prints[i], x.sums[i]}
	}
	return list
}

// locations are the bits of a print: a block by its top bits, and places in the
// block by a second hash over all of it.
func (x *index) locations(p uint64, at *[bitsPerKey]uint64) {
	block, _ := bits.Mul64(p, x.blocks)
	h := (p ^ p>>32) * 0x9e3779b97f4a7c15
	h ^= h >> 29
	for i := range at {
		at[i] = block*blockBits + h&(blockBits-1)
		h >>= 9
	}
}

// markAll begins the bloom filter.
func (x *index) markAll(prints []uint64) {
	x.bloom = bloom.New(uint(x.blocks*blockBits), bitsPerKey)
	for _, p := range prints {
		x.mark(p)
	}
}

func (x *index) mark(p uint64) {
	var at [bitsPerKey]uint64
	x.locations(p, &at)
	set := x.bloom.BitSet()
	for _, bit := range at {
		set.Set(uint(bit))
	}
}

// bucketPrints is how many prints a bucket holds at most on average: a few cache
// lines, of which a search reads three.
const bucketPrints = 64

// order builds the top level over the sorted prints.
func (x *index) order() {
	prints := x.prints
	top := uint(bits.Len(uint(len(prints) / bucketPrints)))
	x.shift = 64 - top
	x.starts = make([]uint32, 1<<top+1)
	bucket := 0
	for i, p := range prints {
		// A shift by 64 gives 0 in Go: the one bucket of a small set.
		for ; bucket < int(p>>x.shift); bucket++ {
			x.starts[bucket+1] = uint32(i)
		}
	}
	for ; bucket < 1<<top; bucket++ {
		x.starts[bucket+1] = uint32(len(prints))
	}
}

// may is the filter: false means that the print is not in the set.
func (x *index) may(p uint64) bool {
	if len(x.prints) == 0 {
		return x.unknown
	}
	var at [bitsPerKey]uint64
	x.locations(p, &at)
	return x.bloom.TestLocations(at[:])
}

// find is the exact question. A set that is not known holds every print, with a sum
// that is not known.
func (x *index) find(p uint64) (Sum, bool) {
	if x.unknown {
		return 0, true
	}
	bucket := p >> x.shift
	from := x.starts[bucket]
	at, found := slices.BinarySearch(x.prints[from:x.starts[bucket+1]], p)
	if !found {
		return 0, false
	}
	return x.sums[int(from)+at], true
}

// size is what the set takes in memory.
func (x *index) size() int {
	return int(x.blocks*blockBits/8) + 10*len(x.prints) + 4*len(x.starts)
}
