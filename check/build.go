package check

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"time"

	"github.com/risknet/risknet/risk"
)

// Run puts what has gathered over the base of the filter into it, whenever that is
// enough, until ctx ends. A build that fails leaves the old base in place and is tried
// again after a pause.
func (c *Checker) Run(ctx context.Context) {
	for {
		select {
		case <-c.grown:
		case <-ctx.Done():
			return
		}
		for c.due() && c.gather(ctx) != nil {
			pause := time.NewTimer(c.config.RetryAfter)
			select {
			case <-pause.C:
			case <-ctx.Done():
				pause.Stop()
				return
			}
		}
	}
}

// Rebuild makes a new base from the Source at the version of the newest view.
// Checks and Absorb go on meanwhile. One build runs at a time.
func (c *Checker) Rebuild(ctx context.Context) error {
	if !c.building.CompareAndSwap(false, true) {
		return ErrBusy
	}
	defer c.building.Store(false)
	pinned, err := c.freeze()
	if err != nil {
		return err
	}
	base, err := c.build(ctx, pinned.source, pinned.Version)
	if err == nil && !c.install(pinned, base) {
		err = errSuperseded
	}
	if err != nil {
		c.thaw(pinned)
		return c.failed(ctx, err)
	}
	c.counters.builds.Add(1)
	return nil
}

// failed counts and reports a build that failed of itself: not one that was
// stopped or that a new state made pointless.
func (c *Checker) failed(ctx context.Context, err error) error {
	if ctx.Err() == nil && !errors.Is(err, errSuperseded) {
		c.counters.buildsFailed.Add(1)
		err = &BuildError{err}
		c.config.Alarm(err)
	}
	return err
}

// freeze puts the recent layer aside, so that what comes from here on, which
// the build does not see, gathers in a layer of its own. It gives the view whose
// state the new base is to hold.
func (c *Checker) freeze() (*View, error) {
	var pinned *View
	c.change(func(v *View) bool {
		if pinned = nil; v.source == nil {
			return false
		}
		pinned = v
		v.filter.frozen, v.filter.recent = v.filter.recent, emptyLayer()
		return true
	})
	if pinned == nil {
		return nil, ErrEmpty
	}
	return pinned, nil
}

// install puts the new base in place of the old one and of the frozen layer.
func (c *Checker) install(pinned *View, base *index) bool {
	return c.change(func(v *View) bool {
		if v.generation != pinned.generation {
			return false
		}
		if v.filter.base.unknown {
			base.read = 0 // what came meanwhile has no sums: it is not folded into this one
		}
		v.filter.base, v.filter.frozen = base, nil
		return true
	})
}

// thaw lays the frozen layer and what came since together again.
func (c *Checker) thaw(pinned *View) {
	c.change(func(v *View) bool {
		if v.generation != pinned.generation {
			return false // Reset has left no frozen layer
		}
		v.filter.recent, v.filter.frozen = v.filter.recent.over(c.hasher, v.filter.frozen), nil
		return true
	})
}

// Begin takes up the first state that a checker has. It answers at once, and asks
// the Source about every key until [Checker.Run] has built the filter: a look-up is
// slow, and right.
func (c *Checker) Begin(source Source, b Batch) {
	c.become(source, &b, unknownIndex())
	c.wake()
}

// Reset goes over to another state, such as a restored image, and to the Source
// that holds it. The whole filter is built before the view changes; until then
// checks are answered from the old view and its Source. The batch names the new
// state; its Linked and Unlinked are not read. After an error nothing has changed.
func (c *Checker) Reset(ctx context.Context, source Source, b Batch) error {
	base, err := c.build(ctx, source, b.Version)
	if err != nil {
		return c.failed(ctx, err)
	}
	c.become(source, &b, base)
	c.counters.builds.Add(1)
	return nil
}

// become puts another state in the place of the one there is.
func (c *Checker) become(source Source, b *Batch, base *index) {
	program := c.compile(c.Load(), b.Rules)
	step := c.members.forget()
	c.change(func(v *View) bool {
		v.take(b, program)
		v.source, v.generation, v.step = source, v.generation+1, step
		v.filter = filter{recent: emptyLayer(), base: base}
		return true
	})
}

// holds reports whether a print that the filter has not ruled out is known to be
// in it: while the base is not known, that it is in what came since.
func (f *filter) holds(p uint64) bool {
	if !f.base.unknown {
		return true
	}
	_, recent := f.recent.added.find(p)
	if !recent && f.frozen != nil {
		_, recent = f.frozen.added.find(p)
	}
	return recent
}

// build reads every key of a version, and tests each against what was built. That it
// has seen them all is the Source's to know.
func (c *Checker) build(ctx context.Context, source Source, version uint64) (*index, error) {
	var gathered gathering
	err := source.Tokens(version, unlessDone(ctx, func(t Touched) error {
		gathered.add(c.hasher.of(t.Key), t.Sum)
		return nil
	}))
	if err != nil {
		return nil, err
	}
	base := gathered.index()
	base.read = len(base.prints)
	if err := gathered.test(base); err != nil {
		return nil, err
	}
	c.counters.measured.Store(math.Float64bits(measure(base)))
	return base, nil
}

// unlessDone stops a scan soon after ctx ends.
func unlessDone(ctx context.Context, do func(Touched) error) func(risk.Kind, risk.Token, Sum) error {
	const often = 1024
	n := 0
	return func(kind risk.Kind, token risk.Token, sum Sum) error {
		if n++; n%often == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		return do(Touched{Key{kind, token}, sum})
	}
}

// measure gives the share of random prints that the filter lets through. With
// 2^17 of them a rate of 0.1% is good to a tenth of itself; a small set, which
// is rebuilt often, makes do with fewer.
func measure(x *index) float64 {
	probes, passed := min(1<<17, 1024+16*len(x.prints)), 0
	for range probes {
		if x.may(rand.Uint64()) {
			passed++
		}
	}
	return float64(passed) / float64(probes)
}
