package replay

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/rules/industry"
)

// Options say how the world is.
type Options struct {
	Institutions uint32        // customers are theirs by number
	Delay        time.Duration // from a fraud to the report of it
	Life         time.Duration // of a report under the policies of old, and of a case
	NoAmountRule bool          // leave out the rule for large amounts
	Progress     func(payments int)

	customers int // room for so many in what an institution remembers
}

// The policies that are compared.
const (
	Alone           = "alone"            // own reports only, one is enough
	SharedOne       = "shared_one"       // everybody's reports, one is enough
	SharedTwo       = "shared_two"       // two institutions must have reported
	Default         = "default"          // what the network's policy and rules advise
	DefaultUnshared = "default_unshared" // the same, with own reports only
)

// Policies gives their names in the order in which they are shown.
func Policies() []string { return []string{Alone, SharedOne, SharedTwo, Default, DefaultUnshared} }

// What the old policies are as rules. They speak in shadow mode, so that nothing but
// the reports themselves decides.
const oldRules = `
name: policies-of-old
on_error: {pre: step_up, in: step_up, post: observe}
rules:
  - {id: alone, phase: in, when: terminal.own, advice: deny, mode: shadow, reason: {en: Own., zh: 本机构。}}
  - {id: shared-one, phase: in, when: terminal.reporters >= 1, advice: deny, mode: shadow, reason: {en: One., zh: 一家。}}
  - {id: shared-two, phase: in, when: terminal.reporters >= 2, advice: deny, mode: shadow, reason: {en: Two., zh: 两家。}}
`

// cardRules are those that speak of the customer's own card and not of the terminal.
var cardRules = []string{"unusual-amount", "large-amount"}

const amountRule = `
  - id: large-amount
    phase: in
    when: payment.amount > 22000
    advice: step_up
    reason:
      en: An amount that customers here do not pay in one go.
      zh: 单笔金额异常偏大。
`

// defaultRules are the starter set, and the limit that this market would have.
func defaultRules(o *Options) []byte {
	text := strings.TrimRight(string(industry.Source), "\n") + "\n"
	if !o.NoAmountRule {
		text += amountRule
	}
	return []byte(text)
}

// Run plays the payments, which are in the order of their times, once for each
// policy.
func Run(ctx context.Context, payments []Payment, o Options) (*Result, error) {
	if o.Institutions == 0 {
		return nil, fmt.Errorf("institutions: must be 1 or more")
	}
	if o.Delay < 0 || o.Life <= 0 {
		return nil, fmt.Errorf("delay: must not be negative, and life must be more than 0")
	}
	if len(payments) == 0 {
		return nil, fmt.Errorf("file: holds no payment")
	}
	o.customers = 4 * customersOf(payments) / int(o.Institutions)
	everybody := make([]uint32, o.Institutions)
	for i := range everybody {
		everybody[i] = uint32(i)
	}
	old := &play{options: &o, rules: []byte(oldRules), reports: plainly(o.Life.Milliseconds()), judge: byShadow, names: Policies()[:3]}
	shared := &play{options: &o, rules: defaultRules(&o), reports: byCases(o.Life.Milliseconds()), judge: byAdvice, names: []string{Default}}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(2)
	group.Go(func() error { return old.run(ctx, payments, everybody) })
	group.Go(func() error { return shared.run(ctx, payments, everybody) })
	plays := []*play{old, shared}
	for _, i := range everybody {
		one := &play{options: &o, rules: defaultRules(&o), reports: byCases(o.Life.Milliseconds()), judge: byAdvice, names: []string{DefaultUnshared}}
		plays = append(plays, one)
		group.Go(func() error { return one.run(ctx, payments, []uint32{i}) })
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return gather(payments, plays), nil
}

// play is one pass of the payments through one network.
type play struct {
	options *Options
	rules   []byte
	reports reporter
	judge   func(v *risk.Verdict, stopped map[string]bool)
	names   []string // of the policies that it judges

	tallies map[string]*Tally
}

// byShadow: the policies of old are rules in shadow mode.
func byShadow(v *risk.Verdict, stopped map[string]bool) {
	for _, id := range v.Shadow {
		stopped[strings.ReplaceAll(id, "-", "_")] = true
	}
}

// byAdvice: a payment is stopped by any advice above observe.
func byAdvice(v *risk.Verdict, stopped map[string]bool) {
	for name := range stopped {
		stopped[name] = v.Advice > risk.Observe
	}
}

func (pl *play) run(ctx context.Context, payments []Payment, institutions []uint32) error {
	n, err := found(payments[0].At-day, institutions, pl.rules, pl.options.customers)
	if err != nil {
		return err
	}
	pl.tallies = map[string]*Tally{}
	stopped := map[string]bool{}
	for _, name := range pl.names {
		pl.tallies[name], stopped[name] = newTally(), false
	}
	err = pl.through(ctx, n, payments, stopped)
	if closed := n.close(); err == nil {
		err = closed
	}
	return err
}

func (pl *play) through(ctx context.Context, n *network, payments []Payment, stopped map[string]bool) error {
	delay := pl.options.Delay.Milliseconds()
	var losses []loss // not known yet, in the order of their times
	for i := range payments {
		p := &payments[i]
		m := n.members[p.Customer%pl.options.Institutions]
		if m == nil {
			continue
		}
		if i%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		for len(losses) > 0 && losses[0].At+delay <= p.At {
			if err := pl.learn(n, losses[0], delay); err != nil {
				return err
			}
			losses = losses[1:]
		}
		v, err := n.ask(m, p)
		if err != nil {
			return err
		}
		for name := range stopped {
			stopped[name] = false
		}
		pl.judge(v, stopped)
		for name, tally := range pl.tallies {
			tally.add(p, stopped[name], reportedAt(v))
		}
		if p.Fraud {
			losses = append(losses, loss{p, spokeOfTheCard(v)})
		}
		if done := pl.options.Progress; done != nil && i%16384 == 0 {
			done(i)
		}
	}
	return nil
}

// learn is the moment in which an institution hears of a fraud.
func (pl *play) learn(n *network, l loss, delay int64) error {
	n.now = max(n.now, l.At+delay)
	return pl.reports(n, n.members[l.Customer%pl.options.Institutions], l)
}

// reportedAt is when the earliest of the reports was made that stand.
func reportedAt(v *risk.Verdict) int64 {
	at := int64(0)
	for i := range v.Reasons {
		if r := &v.Reasons[i]; r.Rule == "" && (at == 0 || r.ReportedAt < at) {
			at = r.ReportedAt
		}
	}
	return at
}

func spokeOfTheCard(v *risk.Verdict) bool {
	return slices.ContainsFunc(v.Reasons, func(r risk.Reason) bool { return slices.Contains(cardRules, r.Rule) })
}

func customersOf(payments []Payment) int {
	seen := map[uint32]bool{}
	for i := range payments {
		seen[payments[i].Customer] = true
	}
	return len(seen)
}

// gather adds up what several passes have seen.
func gather(payments []Payment, plays []*play) *Result {
	r := &Result{Payments: len(payments), Policies: map[string]*Tally{}, Frauds: newTally().Frauds}
	for i := range payments {
		if payments[i].Fraud {
			r.Frauds[payments[i].Scenario]++
		}
	}
	for _, pl := range plays {
		for _, name := range slices.Sorted(maps.Keys(pl.tallies)) {
			if r.Policies[name] == nil {
				r.Policies[name] = newTally()
			}
			r.Policies[name].join(pl.tallies[name])
		}
	}
	return r
}
