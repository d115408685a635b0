package check

import (
	"sync/atomic"
	"time"

	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/rules"
)

// Checker holds the newest view and answers from it.
type Checker struct {
	config Config
	hasher hasher

	members *members

	view  atomic.Pointer[View]
	fresh atomic.Pointer[time.Time]

	building atomic.Bool
	grown    chan struct{} // one place: the recent layer is due for a build
	counters counters
}

// New makes a checker without a state: it refuses every check with [ErrEmpty]
// until the first [Checker.Reset].
func New(config Config) (*Checker, error) {
	if err := config.complete(); err != nil {
		return nil, err
	}
	c := &Checker{config: config, hasher: newHasher(config.Seed), members: newMembers(config.Members), grown: make(chan struct{}, 1)}
	c.view.Store(&View{
		policy: risk.DefaultPolicy(), shelter: &risk.Shelter{},
		filter: filter{recent: emptyLayer(), base: newIndex(nil, room(0))},
		next:   make(chan struct{}),
	})
	return c, nil
}

// Batch is what one step of the ledger changed.
type Batch struct {
	Version uint64 // of the Source, after the step
	Head    risk.Head
	Time    int64 // the network's time, milliseconds since the Unix epoch

	// Linked are the keys that got a listing or have one that changed, Unlinked
	// those that lost one; each with what that adds to its sum. A key may come more
	// than once and in both, or lose one listing of several: then the Source is
	// asked what remains.
	Linked   []Touched
	Unlinked []Touched

	// Rules is empty when the rule set in force stays as it is. Else it is the one
	// in force, then older ones to fall back on; version 0 says that none is.
	Rules []RuleSet

	// Policy is nil when the policy in force stays as it is.
	Policy *risk.Policy

	// Protected are all protections; nil when they stay as they are.
	Protected []*risk.Protected
}

// Touched is a key with its sum, or with what a change adds to that.
type Touched struct {
	Key
	Sum Sum
}

// RuleSet is the text of a rule set under the network's number for it.
type RuleSet struct {
	Version uint32
	Text    []byte
}

// Absorb makes the state after a batch visible. Batches come in the order of
// their versions; one that is older than the view changes nothing.
func (c *Checker) Absorb(b Batch) {
	old := c.Load()
	if b.Version < old.Version {
		return
	}
	listed, gone := c.effects(old, &b)
	program := c.compile(old, b.Rules)
	step := c.members.touch(c.hasher, &b)
	var from, to *layer // made once, however often another writer comes first
	c.change(func(v *View) bool {
		if v.filter.recent != from {
			from = v.filter.recent
			to = from.with(c.hasher, listed, gone)
		}
		v.take(&b, program)
		v.filter.recent, v.step = to, step
		return true
	})
	if c.due() {
		c.wake()
	}
}

// wake has the builder look whether a build is due.
func (c *Checker) wake() {
	select {
	case c.grown <- struct{}{}:
	default: // it knows already
	}
}

// due reports whether the base is not known, or enough lies over it for a build.
func (c *Checker) due() bool {
	f := &c.Load().filter
	return f.base.unknown || f.recent.size() >= c.config.recentKeys(len(f.base.prints))
}

// effects gives the keys of a batch with their sums after it, and those of which
// nothing remains.
func (c *Checker) effects(old *View, b *Batch) (listed []Touched, gone []Key) {
	added := make(map[Key]Sum, len(b.Linked)+len(b.Unlinked))
	for _, t := range b.Linked {
		added[t.Key] += t.Sum
	}
	lost := make(map[Key]bool, len(b.Unlinked))
	for _, t := range b.Unlinked {
		added[t.Key] += t.Sum
		lost[t.Key] = true
	}
	for k, sum := range added {
		if known, before := old.filter.ask(c.hasher.of(k), k); known == hit && before == 0 {
			sum = 0
		} else {
			sum += before
		}
		if sum == 0 && lost[k] && isGone(old.source, b.Version, k) {
			gone = append(gone, k)
		} else {
			listed = append(listed, Touched{k, sum})
		}
	}
	return listed, gone
}

// isGone: a key that cannot be read stays in the filter: at worst it raises an
// alarm, but it is not missed.
func isGone(source Source, version uint64, k Key) bool {
	if source == nil {
		return false
	}
	left, _, err := source.Standing(version, k.Kind, k.Token)
	return err == nil && len(left) == 0
}

// take moves the view to the batch's state, all but the filter.
func (v *View) take(b *Batch, program *rules.Program) {
	v.Version, v.Head, v.Time = b.Version, b.Head, b.Time
	if b.Policy != nil {
		v.policy = b.Policy
	}
	if b.Protected != nil {
		v.shelter = risk.NewShelter(b.Protected)
	}
	if len(b.Rules) > 0 {
		v.RulesVersion, v.Program, v.ProgramVersion = b.Rules[0].Version, program, 0
		if program != nil {
			v.ProgramVersion = program.Version
		}
	}
}

// compile gives the program to run: the first of the sets that compiles, else
// the one that runs now.
func (c *Checker) compile(v *View, sets []RuleSet) *rules.Program {
	if len(sets) == 0 || sets[0].Version == 0 {
		return nil
	}
	running, reason := v.Program, error(nil)
	for i, set := range sets {
		program, err := rules.Compile(set.Text)
		if err == nil {
			program.Version, running = set.Version, program
			break
		}
		if i == 0 {
			reason = err
		}
	}
	if reason != nil {
		failed := &RulesError{Version: sets[0].Version, Err: reason}
		if running != nil {
			failed.Running = running.Version
		}
		c.counters.rulesFailed.Add(1)
		c.config.Alarm(failed)
	}
	return running
}

// SetFresh says when this node last knew that its view was complete: that it
// had applied all that a leader with a quorum had committed.
func (c *Checker) SetFresh(at time.Time) { c.fresh.Store(&at) }

// Age is how long ago that was; the longest time there is, if it never was.
func (c *Checker) Age() time.Duration { return c.ageAt(c.config.Now()) }

// ageAt takes the larger of what the monotonic and the wall clock say: the one
// stands still while the machine sleeps, the other can be set back.
func (c *Checker) ageAt(now time.Time) time.Duration {
	at := c.fresh.Load()
	if at == nil {
		return 1<<63 - 1
	}
	return max(0, now.Sub(*at), now.Round(0).Sub(at.Round(0)))
}
