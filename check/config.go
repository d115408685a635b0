package check

import (
	"fmt"
	"hash/maphash"
	"time"

	"github.com/risknet/risknet/risk"
)

// Config is what an institution decides about its own answers. The zero value
// is a sound one.
type Config struct {
	// Seed keys the fingerprints. It must not outlive the process or leave it.
	// Zero means a fresh random one.
	Seed maphash.Seed

	// Self is the reporting id of this node's institution, for the rules that ask
	// what it reports itself. Zero means none.
	Self risk.ID

	// Dynamics is what this node has seen itself, for rules that ask for it. Nil means
	// that nothing is remembered.
	Dynamics *Dynamics

	// Members is of how many tokens it is remembered that they are listed, for
	// [Checker.Member]; about 20 bytes each. Zero means none.
	Members int

	// Now is this node's clock. A listing is judged at Now, but never before the
	// network's time: neither a caller's clock nor one of ours that is slow can
	// clear what the network holds. Zero means the system's clock.
	Now func() time.Time

	// MaxAge is how long ago this node may last have known that its view was
	// complete; see [Checker.SetFresh]. Zero means 30 s.
	MaxAge time.Duration
	// StaleAdvice is the stale policy: it joins the verdict of a view older than
	// MaxAge, with the reason "stale". Zero means step_up.
	StaleAdvice risk.Advice
	// DamageAdvice joins the verdict, with a reason, when a listing cannot be
	// read or no program for the rule set in force can be run. It must be harder
	// than allow. Zero means deny.
	DamageAdvice risk.Advice

	// RecentKeys is how many changes gather over the base of the filter before
	// it is rebuilt. Zero means 65,536, or a 64th of the base if that is more.
	RecentKeys int
	// RetryAfter is the pause after a build that failed. Zero means 10 s.
	RetryAfter time.Duration

	// Alarm takes a *DamageError, *RulesError or *BuildError. It is called on
	// the goroutine that met the fault, a payment's among them, and must return
	// at once. It may be nil: the counters tell the same.
	Alarm func(error)
}

const minRecentKeys = 65_536

func (c *Config) complete() error {
	if c.Seed == (maphash.Seed{}) {
		c.Seed = maphash.MakeSeed()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.MaxAge == 0 {
		c.MaxAge = 30 * time.Second
	}
	if c.RetryAfter == 0 {
		c.RetryAfter = 10 * time.Second
	}
	if c.StaleAdvice == 0 {
		c.StaleAdvice = risk.StepUp
	}
	if c.DamageAdvice == 0 {
		c.DamageAdvice = risk.Deny
	}
	if c.Alarm == nil {
		c.Alarm = func(error) {}
	}
	switch {
	case c.MaxAge < 0:
		return fmt.Errorf("max_age: is %v; give a positive duration", c.MaxAge)
	case c.RetryAfter < 0:
		return fmt.Errorf("retry_after: is %v; give a positive duration", c.RetryAfter)
	case c.RecentKeys < 0:
		return fmt.Errorf("recent_keys: is %d; give a positive number", c.RecentKeys)
	case !c.StaleAdvice.Valid():
		return fmt.Errorf("stale_advice: %s is no advice; use one of allow … deny", c.StaleAdvice)
	case !c.DamageAdvice.Valid() || c.DamageAdvice == risk.Allow:
		return fmt.Errorf("damage_advice: %s would let a listed subject pass; use one of observe … deny", c.DamageAdvice)
	}
	return nil
}

// recentKeys is how many changes may lie over a base of that many keys.
func (c *Config) recentKeys(base int) int {
	if c.RecentKeys > 0 {
		return c.RecentKeys
	}
	return max(minRecentKeys, base/64)
}
