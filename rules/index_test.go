package rules

import (
	"math/bits"
	"testing"

	"github.com/risknet/risknet/risk"
)

// That the index passes over no rule that could fire is shown against cel-go;
// here it is shown to pass over those that cannot.
func TestTheIndexPassesOverRulesThatCannotFire(t *testing.T) {
	const source = `
name: index
on_error: {pre: deny, in: deny, post: deny}
rules:
  - {id: open, phase: in, when: payment.amount > 1, advice: deny, reason: {en: a, zh: 一}}
  - {id: keyed, phase: in, when: 'payment.mcc == "7995" && payment.currency == "CNY"', advice: deny, reason: {en: a, zh: 一}}
  - {id: keyed-too, phase: in, when: 'payment.mcc in ["7800", "7995"] && payment.currency == "CNY"', advice: deny, reason: {en: a, zh: 一}}
  - {id: listed, phase: in, when: 'payee.level in [1, 2]', advice: deny, reason: {en: a, zh: 一}}
  - {id: listed-or, phase: in, when: payer.listed || ip.black, advice: deny, reason: {en: a, zh: 一}}
  - {id: keyed-listed, phase: in, when: 'payment.scene == "inbound" && 42 in any.codes', advice: deny, reason: {en: a, zh: 一}}
  - {id: another-phase, phase: [pre, post], when: payment.amount > 1, advice: deny, reason: {en: a, zh: 一}}
`
	p, err := Compile([]byte(source))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name    string
		payment risk.Payment
		listed  bool
		visited int
	}{
		{"nothing known", risk.Payment{}, false, 1},
		{"a category of two rules", risk.Payment{MCC: "7995"}, false, 3},
		{"a category of one rule", risk.Payment{MCC: "7800"}, false, 2},
		{"a scene that asks for a listing", risk.Payment{Scene: "inbound"}, false, 1},
		{"something listed", risk.Payment{}, true, 3},
		{"something listed in the scene", risk.Payment{Scene: "inbound"}, true, 4},
	} {
		f := &Facts{Payment: test.payment}
		f.Any.Listed = test.listed
		var marked bitset
		p.index[risk.PhaseIn].candidates(f, f.listed(), &marked)
		got := 0
		for _, word := range marked {
			got += bits.OnesCount64(word)
		}
		if got != test.visited {
			t.Errorf("%s: %d rules are visited, want %d", test.name, got, test.visited)
		}
	}
	if needs := p.rules[4].needs; needs != roleBit(risk.RolePayer)|kindBit(risk.KindIP) {
		t.Errorf("payer.listed || ip.black needs %b", needs)
	}
}
