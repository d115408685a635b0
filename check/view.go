package check

import (
	"context"

	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/rules"
)

// View is one state of the network as this node answers from it. It is
// immutable: whoever holds one may read it for as long as it likes.
type View struct {
	Version uint64    // the Source's name for this state
	Head    risk.Head // the ledger's
	Time    int64     // the network's time, milliseconds since the Unix epoch

	RulesVersion   uint32         // the rule set in force; 0 for none
	Program        *rules.Program // what runs: the newest that compiles; nil for none
	ProgramVersion uint32         // its version; differs from RulesVersion where that one does not compile

	policy     *risk.Policy  // how reports are weighed
	shelter    *risk.Shelter // the subjects under protection
	source     Source        // nil until there is a state
	generation uint64        // counts the states that replaced one another; see Reset
	step       uint64        // of the batch or reset that made it; see members
	filter     filter
	overrides  overrides
	next       chan struct{} // closed when a newer view is in place
}

// Policy is how reports are weighed in this view.
func (v *View) Policy() *risk.Policy { return v.policy }

// Load gives the newest view.
func (c *Checker) Load() *View { return c.view.Load() }

// Lacks reports that no listing of a token stands in a version: true is certain,
// false may mean that the newest view is of another.
func (c *Checker) Lacks(version uint64, k Key) bool {
	v := c.Load()
	if v.Version != version || v.source == nil {
		return false
	}
	known, _ := v.filter.ask(c.hasher.of(k), k)
	return known != hit
}

// Wait gives the first view whose head has at least size leaves.
func (c *Checker) Wait(ctx context.Context, size uint64) (*View, error) {
	for {
		v := c.Load()
		if v.Head.Size >= size {
			return v, nil
		}
		select {
		case <-v.next:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// change puts a new view in the place of the newest. Edit gets a copy to change,
// again if another writer came first, and returns false to leave things as they
// are. Change reports whether it swapped.
func (c *Checker) change(edit func(next *View) bool) bool {
	for {
		old := c.view.Load()
		next := *old
		if !edit(&next) {
			return false
		}
		next.next = make(chan struct{})
		if c.view.CompareAndSwap(old, &next) {
			close(old.next)
			return true
		}
	}
}
