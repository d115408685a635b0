package rules_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/rules"
)

func compile(t testing.TB, expressions ...string) *rules.Program {
	t.Helper()
	p, err := rules.Compile(oneSet(expressions...))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// In CEL an error beside a false operand of && is false, and beside a true one
// of || is true, whichever comes first.
func TestAnErrorIsAbsorbedAsInCEL(t *testing.T) {
	const fails = "100 / payee.level > 0" // nothing is listed: level is 0
	for _, test := range []struct{ when, want string }{
		{fails, "failed"},
		{"!(" + fails + ")", "failed"},
		{"false && " + fails, "still"},
		{fails + " && false", "still"},
		{"payment.amount > 0 && " + fails, "failed"},
		{fails + " && payee.listed", "still"},
		{"payment.amount > 0 || " + fails, "fired"},
		{fails + " || payment.amount > 0", "fired"},
		{fails + " || payee.listed", "failed"},
		{"9223372036854775807 + 1 > payment.amount", "failed"},
		{"4294967296 * 4294967296 == 0", "failed"},
		{"payee.listed ? " + fails + " : true", "fired"},
		{"payment.amount > 0 && (payee.listed || " + fails + ") && payee.listed", "still"},
	} {
		p := compile(t, test.when)
		var d rules.Decision
		p.Decide(cleanFacts(), &d)
		got, advice := "still", risk.Allow
		switch {
		case len(d.Failed) == 1:
			got, advice = "failed", risk.HoldFunds
		case len(d.Fired) == 1:
			got, advice = "fired", risk.StepUp
		}
		if got != test.want || d.Advice != advice {
			t.Errorf("%s: %s with advice %s, want %s", test.when, got, d.Advice, test.want)
		}
	}
}

func TestAFailingRuleGivesTheDefaultOfItsPhase(t *testing.T) {
	p := compile(t, "true", "true", "payee.codes[0] == 1") // r2 runs in every phase
	for phase, want := range map[risk.Phase]risk.Advice{risk.PhasePre: risk.Deny, risk.PhaseIn: risk.HoldFunds, risk.PhasePost: risk.Observe, 0: risk.HoldFunds} {
		f := cleanFacts()
		f.Payment.Phase = phase
		var d rules.Decision
		p.Decide(f, &d)
		if d.Advice != want || len(d.Failed) != 1 || p.OnError(phase) != want {
			t.Errorf("phase %s: %s, want %s", phase, show(&d), want)
		}
	}
}

func TestAFailingShadowRuleChangesNothing(t *testing.T) {
	p := compile(t, "false", "false", "false", "payee.codes[0] == 1")
	f := cleanFacts()
	f.Payment.Phase = risk.PhasePost
	var d rules.Decision
	p.Decide(f, &d)
	if d.Advice != risk.Allow || len(d.Shadow) != 1 || len(d.Failed) != 0 {
		t.Errorf("%s; want allow with one shadow rule", show(&d))
	}
}

func TestHoursAndDaysFollowTheOffsetOfTheSet(t *testing.T) {
	// 2026-03-01 was a Sunday; cleanFacts is at 04:00 UTC of it.
	for offset, when := range map[string]string{
		"+08:00": "payment.hour == 12 && payment.weekday == 7",
		"-05:00": "payment.hour == 23 && payment.weekday == 6",
		"+00:00": "payment.hour == 4 && payment.weekday == 7",
		"+05:30": "payment.hour == 9 && payment.weekday == 7",
	} {
		source := strings.Replace(string(oneSet(when)), "rules:", "utc_offset: \""+offset+"\"\nrules:", 1)
		p, err := rules.Compile([]byte(source))
		if err != nil {
			t.Fatal(err)
		}
		var d rules.Decision
		if p.Decide(cleanFacts(), &d); len(d.Fired) != 1 {
			t.Errorf("at %s: %s does not hold", offset, when)
		}
	}
}

func TestExplainSaysWhatEachRuleCameToAndCost(t *testing.T) {
	p := compile(t, "payment.amount > 100", "payee.codes.exists(c, c == 46)", "payee.codes[0] == 1", "true")
	traces, err := p.Explain(cleanFacts())
	if err != nil {
		t.Fatal(err)
	}
	if len(traces) != 3 {
		t.Fatalf("%d traces; want those of the three rules in the phase", len(traces))
	}
	if !traces[0].Fired || traces[0].Err != nil || traces[0].Cost == 0 {
		t.Errorf("first rule: %+v", traces[0])
	}
	if traces[1].Fired || traces[2].Err == nil || traces[2].Fired {
		t.Errorf("second rule %+v, third %+v", traces[1], traces[2])
	}
}

func TestGoroutinesShareAProgram(t *testing.T) {
	p := compile(t, "payee.codes.exists(c, c == 46)", "payee.codes.exists_one(c, c == 46)", "payment.amount + 1 > 0", "true")
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 50 {
				f, d := listedFacts(), rules.Decision{}
				p.Decide(f, &d)
				if want := decideByCEL(t, p, f); !sameDecision(&d, want) || len(d.Fired) != 3 {
					t.Errorf("Decide %s, CEL %s", show(&d), show(want))
				}
			}
		})
	}
	group.Wait()
}

func TestADecisionIsUsedAgain(t *testing.T) {
	p, d := starter(t), rules.Decision{}
	p.Decide(listedFacts(), &d)
	if d.Advice != risk.Deny || len(d.Fired) == 0 {
		t.Fatalf("listed facts: %s", show(&d))
	}
	p.Decide(cleanFacts(), &d)
	if d.Advice != risk.Allow || len(d.Fired)+len(d.Shadow)+len(d.Failed) != 0 {
		t.Errorf("clean facts after listed ones: %s", show(&d))
	}
}
