package check

import (
	"testing"

	"github.com/risknet/risknet/risk"
)

const newPayer = `name: new-payer
utc_offset: "+08:00"
on_error: {pre: step_up, in: step_up, post: observe}
rules:
  - id: new-payer
    phase: in
    when: payer.habit_payments < 10
    advice: observe
    reason: {en: Who pays is new here., zh: 付款人为新客户。}
`

// A review is what the look back asks with: it must not pass for a payment.
func TestAReviewSaysWhatTheListingsSayAndLearnsNothing(t *testing.T) {
	b, k := newBook(), keyNumber(1)
	dynamics := NewDynamics(100)
	c := newChecker(t, b, 0, Config{Dynamics: dynamics})
	c.Absorb(Batch{Rules: []RuleSet{{1, []byte(newPayer)}}})
	q := askFor(k)
	q.Subjects[0].Role = risk.RolePayer
	q.Payment = risk.Payment{Phase: risk.PhaseIn, Amount: 100, Currency: "CNY", TransactionID: "T-1"}
	v := &risk.Verdict{}
	if err := c.Review(q, v); err != nil || v.Listed || dynamics.Subjects() != 0 {
		t.Errorf("%v: %+v; %d subjects were learned of", err, v, dynamics.Subjects())
	}
	c.Absorb(b.list(k))
	if err := c.Review(q, v); err != nil || len(v.Reasons) != 1 || v.Reasons[0].Listing != (risk.ListingID{Leaf: 1}) || v.Reasons[0].Advice != risk.Deny {
		t.Errorf("%v: %+v", err, v)
	}
	if v := verdictOf(t, c, q); len(v.Reasons) < 2 || dynamics.Subjects() != 1 {
		t.Errorf("a check gives %d reasons and learns of %d subjects; this test shows nothing", len(v.Reasons), dynamics.Subjects())
	}
	if err := c.Review(&Query{}, v); err != nil {
		t.Error(err)
	}
	empty, _ := New(Config{})
	if err := empty.Review(q, v); err != ErrEmpty {
		t.Errorf("without a state: %v", err)
	}
}
