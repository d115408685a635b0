package check

import (
	"hash/maphash"
	"math/bits"
	"slices"

	"github.com/bits-and-blooms/bloom/v3"
)

// hasher makes the 64-bit fingerprint of a key. The seed belongs to this
// process, so nobody outside can look for tokens that collide.
type hasher struct{ seed maphash.Seed }

func (h hasher) of(k Key) uint64 {
	var raw [1 + len(k.Token)]byte
	raw[0] = uint8(k.Kind)
	copy(raw[1:], k.Token[:])
	return maphash.Bytes(h.seed, raw[:])
}

// The shape of the bloom filter. All bits of one key lie in one block, which is
// one cache line: a miss costs one access to memory, where a plain bloom filter
// of 10 million keys pays for several. The price is 16 bits a key instead of
// 14.4 for a false-positive rate near 0.1%.
const (
	blockBits  = 512
	keyBits    = 16
	bitsPerKey = 7 // each takes 9 bits of a 64-bit hash
)

// index is a set of fingerprints: a bloom filter that ends most questions, and
// the fingerprints themselves in order. It is immutable once it is shared.
type index struct {
	bloom  *bloom.BloomFilter
	blocks uint64

	prints []uint64 // sorted, each once
	starts []uint32 // where the prints of each bucket begin, and one more
	shift  uint     // the top 64-shift bits of a print are its bucket
}

// room gives the number of blocks for n keys, a power of two of keys so that
// a growing set can often take over the bits of the one before.
func room(n int) uint64 {
	return max(1, uint64(1)<<bits.Len64(uint64(max(0, n-1)))*keyBits/blockBits)
}

// newIndex takes over prints, which are sorted, each once.
func newIndex(prints []uint64, blocks uint64) *index {
	x := &index{blocks: blocks, bloom: bloom.New(uint(blocks*blockBits), bitsPerKey)}
	for _, p := range prints {
		x.mark(p)
	}
	x.order(prints)
	return x
}

// with gives the set with more prints, which are sorted, each once.
func (x *index) with(more []uint64) *index {
	if len(more) == 0 {
		return x
	}
	all := merge(x.prints, more)
	blocks := room(len(all))
	if blocks != x.blocks {
		return newIndex(all, blocks)
	}
	next := &index{blocks: blocks, bloom: x.bloom.Copy()}
	for _, p := range more {
		next.mark(p)
	}
	next.order(all)
	return next
}

// merge joins two sorted lists; what stands in both comes once. The second is
// the short one: the runs of the first are copied whole.
func merge(long, short []uint64) []uint64 {
	all := make([]uint64, 0, len(long)+len(short))
	for _, p := range short {
		at, found := slices.BinarySearch(long, p)
		all = append(all, long[:at]...)
		if found {
			at++
		}
		all, long = append(all, p), long[at:]
	}
	return append(all, long...)
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

func (x *index) mark(p uint64) {
	var at [bitsPerKey]uint64
	x.locations(p, &at)
	set := x.bloom.BitSet()
	for _, bit := range at {
		set.Set(uint(bit))
	}
}

// bucketPrints is how many prints a bucket holds on average: a few cache lines.
const bucketPrints = 32

// order builds the top level over the sorted prints.
func (x *index) order(prints []uint64) {
	top := uint(bits.Len(uint(len(prints) / bucketPrints)))
	x.prints, x.shift = prints, 64-top
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
		return false
	}
	var at [bitsPerKey]uint64
	x.locations(p, &at)
	return x.bloom.TestLocations(at[:])
}

// holds is the exact question.
func (x *index) holds(p uint64) bool {
	bucket := p >> x.shift
	_, found := slices.BinarySearch(x.prints[x.starts[bucket]:x.starts[bucket+1]], p)
	return found
}

// size is what the set takes in memory.
func (x *index) size() int {
	return int(x.blocks*blockBits/8) + 8*len(x.prints) + 4*len(x.starts)
}
