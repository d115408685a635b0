package rules_test

import (
	"slices"
	"testing"

	"github.com/risknet/risknet/rules"
	"github.com/risknet/risknet/rules/industry"
)

func starter(t testing.TB) *rules.Program {
	t.Helper()
	p, err := rules.Compile(industry.Source)
	if err != nil {
		t.Fatal(rules.InFile(err, "rules.yaml"))
	}
	return p
}

func TestStarterSetPassesItsTestsAndEachRuleFiresAndKeepsStill(t *testing.T) {
	p := starter(t)
	results, err := rules.RunTests(p, industry.Tests)
	if err != nil {
		t.Fatal(rules.InFile(err, "tests.yaml"))
	}
	fired, still := map[string]bool{}, map[string]bool{}
	for _, r := range results {
		if r.Diff != "" {
			t.Errorf("tests.yaml:%d: %s: %s", r.Line, r.Name, r.Diff)
		}
		spoke := slices.Concat(r.Got.Fired, r.Got.Shadow)
		for _, rule := range p.Rules() {
			if slices.Contains(spoke, rule) {
				fired[rule.ID] = true
			} else {
				still[rule.ID] = true
			}
		}
	}
	for _, rule := range p.Rules() {
		if !fired[rule.ID] || !still[rule.ID] {
			t.Errorf("rule %s: fires in a test %v, keeps still in one %v; both are needed", rule.ID, fired[rule.ID], still[rule.ID])
		}
	}
	if got := p.Closures(); got != len(p.Rules()) {
		t.Errorf("%d of %d starter rules run as closures; all of them should", got, len(p.Rules()))
	}
}

func TestStarterSetAllocatesNothing(t *testing.T) {
	p := starter(t)
	for name, facts := range map[string]*rules.Facts{"clean": cleanFacts(), "listed": listedFacts()} {
		var d rules.Decision
		p.Decide(facts, &d) // gives the lists their room
		if n := testing.AllocsPerRun(100, func() { p.Decide(facts, &d) }); n != 0 {
			t.Errorf("%s facts: %v allocations in a decision", name, n)
		}
	}
}
