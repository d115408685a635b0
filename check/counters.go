package check

import (
	"math"
	"sync/atomic"
)

// counters are written where a check meets a filter hit or worse, and by the
// writers; a check of clean subjects leaves them alone.
type counters struct {
	_ [64]byte // apart from the pointers that every check reads

	lookups      atomic.Uint64 // in portions; see work.count
	filterHits   atomic.Uint64
	falseHits    atomic.Uint64
	retries      atomic.Uint64
	damage       atomic.Uint64
	rulesFailed  atomic.Uint64
	builds       atomic.Uint64
	buildsFailed atomic.Uint64
	measured     atomic.Uint64 // bits of the false-positive rate of the newest base

	_ [64]byte
}

// Stats is what a checker has counted since it was made, and the size of its
// filter now.
type Stats struct {
	Lookups        uint64 // tokens asked; each query adds its own from time to time
	FilterHits     uint64 // tokens that a bloom filter let through
	FalsePositives uint64 // those among them that the fingerprints ended
	Retries        uint64 // checks begun again because their version was gone
	Damage         uint64 // listings that the filter holds and the source did not give
	RulesFailed    uint64 // rule sets that did not compile
	Builds         uint64
	BuildsFailed   uint64

	// FalsePositiveRate is measured on the newest base with random fingerprints.
	FalsePositiveRate float64

	Tokens int // listed, give or take what was linked or unlinked twice since the base
	Recent int // changes that lie over the base
	Bytes  int // memory of filter and fingerprints

	Seen     int    // subjects that the dynamics know
	Unlearnt uint64 // payments that they had to leave out; see Dynamics.Lost
}

// Stats gives the counters and sizes for metrics.
func (c *Checker) Stats() Stats {
	n, f := &c.counters, &c.Load().filter
	s := Stats{
		Lookups: n.lookups.Load(), FilterHits: n.filterHits.Load(), FalsePositives: n.falseHits.Load(),
		Retries: n.retries.Load(), Damage: n.damage.Load(), RulesFailed: n.rulesFailed.Load(),
		Builds: n.builds.Load(), BuildsFailed: n.buildsFailed.Load(),
		FalsePositiveRate: math.Float64frombits(n.measured.Load()),
		Tokens:            len(f.base.prints), Bytes: f.base.size(),
	}
	for _, l := range []*layer{f.recent, f.frozen} {
		if l != nil {
			s.Tokens += len(l.added.prints) - len(l.removed)
			s.Recent += l.size()
			s.Bytes += l.added.size() + 17*len(l.removed)
		}
	}
	if d := c.config.Dynamics; d != nil {
		s.Seen, s.Unlearnt = d.Subjects(), d.Lost()
	}
	return s
}
