package check

import (
	"context"
	"math"
)

// grownBy is how many times as large as what was last read from the Source a base
// may become by folding alone.
const grownBy = 16

// gather puts what lies over the base into it: by folding, if that is all that
// happened, else by a build.
//
// A build reads every token twice, so that a network which grew by a 64th at a time
// paid for each listing dozens of times. Folding copies ten bytes a token. It knows
// prints and no keys, so that it takes nothing away; and what two keys of one print
// have come to, only the Source can say. Both are put right by the builds that
// remain, of which there is one each time that the set has grown sixteenfold.
func (c *Checker) gather(ctx context.Context) error {
	if c.fold() {
		return nil
	}
	return c.Rebuild(ctx)
}

// fold reports whether it has put the recent layer into the base.
func (c *Checker) fold() bool {
	if !c.building.CompareAndSwap(false, true) {
		return false
	}
	defer c.building.Store(false)
	if v := c.Load(); !v.filter.base.takes(v.filter.recent) {
		return false
	}
	pinned, err := c.freeze()
	if err != nil {
		return false
	}
	f := &pinned.filter
	if !f.base.takes(f.frozen) { // a key went meanwhile
		c.thaw(pinned)
		return false
	}
	base := f.base.fold(f.frozen.added)
	c.counters.measured.Store(math.Float64bits(measure(base)))
	return c.install(pinned, base)
}

// takes reports whether a layer may be folded into the base.
func (x *index) takes(l *layer) bool {
	return len(l.removed) == 0 && len(x.prints)+len(l.added.prints) < grownBy*x.read
}

// fold gives the base with a layer's prints. Its bloom filter takes an eighth more
// keys than it was made for before it is made anew: making it costs seven misses of
// the cache for each print.
func (x *index) fold(added *index) *index {
	next := &index{read: x.read, blocks: x.blocks}
	more := added.entries()
	next.merge(x, more)
	if need := baseRoom(len(next.prints)); need*8 > x.blocks*9 {
		next.blocks = need
		next.markAll(next.prints)
	} else {
		next.bloom = x.bloom.Copy()
		for _, p := range added.prints {
			next.mark(p)
		}
	}
	next.order()
	return next
}

// baseRoom is the number of blocks for n keys of a base, and no more.
func baseRoom(n int) uint64 { return 1 + uint64(n)*keyBits/blockBits }
