package check

import (
	"testing"

	"github.com/risknet/risknet/risk"
)

const bothListed = `name: both
utc_offset: "+08:00"
on_error: {pre: step_up, in: step_up, post: observe}
rules:
  - {id: one, phase: in, when: payer.listed && payee.watch, advice: deny, reason: {en: a, zh: 一}}
  - {id: two, phase: in, when: payee.watch && payer.listed, advice: deny, reason: {en: a, zh: 一}}
`

// An authority has said something mild about the payee, and one institution reports the
// payer: that report alone must not make a rule deny, whichever the rule names first.
func TestARuleThatAsksForTwoListingsBearsWhatTheWeakerDoes(t *testing.T) {
	b, payee, payer := newBook(), keyNumber(1), keyNumber(2)
	c := newChecker(t, b, 0, Config{})
	c.Absorb(Batch{Rules: []RuleSet{{1, []byte(bothListed)}}})
	c.Absorb(b.write(func(page map[Key][]risk.Standing) {
		word := standingFor(payee, b.last+1)
		word.Body.Action, word.Listing.Item.List = risk.Observe, risk.ListWatch
		page[payee] = []risk.Standing{word}
		report := standingFor(payer, b.last+1)
		report.ByHub, report.Listing.ID.Item, report.Listing.Reporter, report.Listing.Item.Origin = false, 1, risk.ID{7}, risk.Origin{}
		page[payer] = []risk.Standing{report}
	}, []Key{payee, payer}, nil))
	q := askFor(payee, payer)
	q.Subjects[1].Role = risk.RolePayer
	q.Payment.Phase = risk.PhaseIn
	v := verdictOf(t, c, q)
	bears := risk.Deny
	for _, w := range v.Weights {
		bears = min(bears, w.AtMost)
	}
	given := map[string]risk.Advice{}
	for _, r := range v.Reasons {
		if r.Rule != "" {
			given[r.Rule] = r.Advice
		}
	}
	if len(given) != 2 || given["one"] != bears || given["two"] != bears || bears >= risk.Deny || v.Advice >= risk.Deny {
		t.Errorf("the weaker bears %s, the rules give %v, the verdict is %s", bears, given, v.Advice)
	}
}
