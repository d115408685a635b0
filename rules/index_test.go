package rules

import (
	"math/bits"
	"testing"

	"github.com/risknet/risknet/risk"
)

const indexed = `
name: index
on_error: {pre: deny, in: deny, post: deny}
rules:
  - {id: open, phase: in, when: payment.amount > 1, advice: deny, reason: {en: a, zh: 一}}
  - {id: keyed, phase: in, when: 'payment.mcc == "7995" && payment.currency == "CNY"', advice: deny, reason: {en: a, zh: 一}}
  - {id: keyed-too, phase: in, when: 'payment.mcc in ["7800", "7995"] && payment.currency == "CNY"', advice: deny, reason: {en: a, zh: 一}}
  - {id: listed, phase: in, when: 'payee.level in [1, 2]', advice: deny, reason: {en: a, zh: 一}}
  - {id: listed-or, phase: in, when: payer.listed || ip.black, advice: deny, reason: {en: a, zh: 一}}
  - {id: keyed-listed, phase: in, when: 'payment.scene == "inbound" && 42 in any.codes', advice: deny, reason: {en: a, zh: 一}}
  - {id: keyed-or, phase: in, when: 'payment.scene == "outbound" || payment.scene == "gate"', advice: deny, reason: {en: a, zh: 一}}
  - {id: number, phase: in, when: '2 + 1 == payment.hour', advice: deny, reason: {en: a, zh: 一}}
  - {id: numbers, phase: in, when: 'payment.hour in [3, 4] || payment.hour == 5', advice: deny, reason: {en: a, zh: 一}}
  - {id: gate-1, phase: in, when: 'payment.amount % 7 == 1 && payment.country != "CN"', advice: deny, reason: {en: a, zh: 一}}
  - {id: gate-2, phase: in, when: 'payment.amount % 7 == 2 && payment.country != "CN"', advice: deny, reason: {en: a, zh: 一}}
  - {id: gate-3, phase: in, when: 'payment.amount % 7 == 3 && payment.country!="CN"', advice: deny, reason: {en: a, zh: 一}}
  - {id: gate-4, phase: in, when: 'payment.amount % 7 == 4 && ("CN" != payment.country) && payment.country != "CN"', advice: deny, reason: {en: a, zh: 一}}
  - {id: another-phase, phase: [pre, post], when: payment.amount > 1, advice: deny, reason: {en: a, zh: 一}}
`

// That the index passes over no rule that could fire is shown against cel-go;
// here it is shown to pass over those that cannot.
func TestTheIndexPassesOverRulesThatCannotFire(t *testing.T) {
	p, err := Compile([]byte(indexed))
	if err != nil {
		t.Fatal(err)
	}
	home := func(p risk.Payment) risk.Payment {
		p.Country, p.Time = "CN", -1
		return p
	}
	three := int64(dayMillis + 3*hourMillis - defaultOffset.Milliseconds())
	for _, test := range []struct {
		name    string
		payment risk.Payment
		listed  func(f *Facts) *About
		visited int
	}{
		{"nothing known", home(risk.Payment{}), nil, 1},
		{"a category of two rules", home(risk.Payment{MCC: "7995"}), nil, 3},
		{"a category of one rule", home(risk.Payment{MCC: "7800"}), nil, 2},
		{"a scene that asks for a listing", home(risk.Payment{Scene: "inbound"}), nil, 1},
		{"a scene of an alternative", home(risk.Payment{Scene: "gate"}), nil, 2},
		{"an hour of two rules", risk.Payment{Country: "CN", Time: three}, nil, 3},
		{"an hour of one rule", risk.Payment{Country: "CN", Time: three + 2*hourMillis}, nil, 2},
		{"a condition that four rules share", risk.Payment{Country: "SG", Time: -1}, nil, 5},
		{"something listed", home(risk.Payment{}), func(f *Facts) *About { return &f.Any }, 1},
		{"something listed in the scene", home(risk.Payment{Scene: "inbound"}), func(f *Facts) *About { return &f.Any }, 2},
		{"the payee listed", home(risk.Payment{}), func(f *Facts) *About { return &f.ByRole[risk.RolePayee] }, 2},
		{"one of two who are asked about listed", home(risk.Payment{}), func(f *Facts) *About { return &f.ByKind[risk.KindIP] }, 2},
	} {
		f := &Facts{Payment: test.payment}
		if test.listed != nil {
			test.listed(f).Listed, f.Any.Listed = true, true
		}
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

// A condition that is asked once for all is not asked again by each of its rules.
func TestASharedConditionIsAskedOnce(t *testing.T) {
	p, err := Compile([]byte(indexed))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range p.rules {
		for _, g := range r.guard {
			if g.text == `payment.country != "CN"` {
				t.Errorf("%s asks it again", r.ID)
			}
		}
	}
	if gates := len(p.index[risk.PhaseIn].gates); gates != 1 {
		t.Errorf("%d conditions are shared, want 1", gates)
	}
}

// What Reset leaves from one check must not be in the next.
func TestResetLeavesNothing(t *testing.T) {
	f := &Facts{Payment: risk.Payment{Amount: 1}, Any: About{Present: true, Listed: true, Codes: []uint16{1}}}
	f.ByRole[risk.RolePayer] = About{Present: true, Moves: Moves{Mean: 1}}
	f.ByKind[risk.KindIP] = About{Listed: true, Level: 1, AtMost: risk.Deny}
	f.Reset()
	for _, name := range newTable(0).facts {
		if got, want := name.value(f), name.value(&Facts{}); got.Equal(want).Value() != true {
			t.Errorf("%s is %v after Reset", name.name, got)
		}
	}
}
