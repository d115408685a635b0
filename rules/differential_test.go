package rules_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/rules"
)

// oneSet writes a rule set with one rule for each expression, all modes and
// phases mixed by their number.
func oneSet(expressions ...string) []byte {
	var b strings.Builder
	b.WriteString("name: generated\non_error: {pre: deny, in: hold_funds, post: observe}\nrules:\n")
	phases := []string{"in", "[pre, in]", "[pre, in, post]", "post"}
	advice := []string{"step_up", "limit", "observe"}
	for i, e := range expressions {
		mode := "on"
		if i%4 == 3 {
			mode = "shadow"
		}
		fmt.Fprintf(&b, "- id: r%d\n  phase: %s\n  when: '%s'\n  advice: %s\n  mode: %s\n  reason: {en: why, zh: 原因}\n",
			i, phases[i%len(phases)], strings.ReplaceAll(e, "'", "''"), advice[i%len(advice)], mode)
	}
	return []byte(b.String())
}

// grammar draws well-typed expressions, among them some that fail at run time.
type grammar struct {
	t    *rapid.T
	loop bool // the loop variable c is in scope
}

func (g grammar) pick(options ...string) string {
	return rapid.SampledFrom(options).Draw(g.t, "choice")
}
func (g grammar) below(n int) int { return rapid.IntRange(0, n-1).Draw(g.t, "choice") }
func (g grammar) subject() string { return g.pick("any", "payer", "payee", "ip", "merchant") }

func (g grammar) flag(depth int) string {
	if depth <= 0 {
		return g.atom()
	}
	switch g.below(8) {
	case 0, 1, 2:
		return "(" + g.flag(depth-1) + " && " + g.flag(depth-1) + ")"
	case 3, 4:
		return "(" + g.flag(depth-1) + " || " + g.flag(depth-1) + ")"
	case 5:
		return "!" + g.flag(depth-1)
	case 6:
		return "(" + g.flag(depth-1) + " ? " + g.flag(depth-1) + " : " + g.flag(depth-1) + ")"
	default:
		return "(" + g.flag(depth-1) + g.pick(" == ", " != ") + g.flag(depth-1) + ")"
	}
}

func (g grammar) atom() string {
	comparison := g.pick(" == ", " != ", " < ", " <= ", " > ", " >= ")
	switch g.below(11) {
	case 0:
		return g.subject() + "." + g.pick("listed", "black", "hint", "watch", "victim", "present")
	case 1, 2:
		return "(" + g.num() + comparison + g.num() + ")"
	case 3:
		return "(" + g.text() + comparison + g.text() + ")"
	case 4:
		return "(" + g.num() + " in " + g.subject() + ".codes)"
	case 5:
		return "(" + g.num() + " in [" + g.num() + ", 46, 2])"
	case 6:
		return "(" + g.text() + " in " + g.pick(`["CN"]`, `["5411", "7995"]`, `["app", "ecny", "inbound"]`, "[payment.mcc]") + ")"
	case 7:
		return g.text() + "." + g.pick("startsWith", "endsWith", "contains") + "(" + g.text() + ")"
	case 8: // what rules are found by, and what several rules share
		return "(payment." + g.pick(`mcc == "7995"`, `channel == "app"`, `scene == "inbound"`, `country == "CN"`, "weekday == 6",
			"weekday in [6, 7] || payment.weekday == 1", `mcc == "7995" || payment.mcc == "5411"`, "hour < 12", "hour < 12", "hour < 12") + ")"
	case 9:
		return g.pick("true", "false")
	default:
		if g.loop {
			return "(c" + comparison + g.pick("2", "42", "46") + ")"
		}
		inner := grammar{g.t, true}
		return g.subject() + ".codes." + g.pick("exists", "all", "exists_one") + "(c, " + inner.atom() + ")"
	}
}

func (g grammar) num() string {
	s := g.subject()
	options := []string{"0", "1", "46", "-1", "100 * 500", "DENY", "STEP_UP", "payment.amount", "payment.hour", "payment.weekday",
		s + ".level", s + ".reporters", s + ".advice", "size(" + s + ".codes)", s + ".codes.size()", "size(payment.channel)",
		"payment.amount / 100", "payment.amount % 7",
		// These can fail.
		"payment.amount + 1", "payment.amount * 2", "-payment.amount", "100 / " + s + ".level", "100 % " + s + ".reporters",
		s + ".codes[0]", "payment.amount / -1", "(payment.amount - 1)"}
	if g.loop {
		options = append(options, "c", "c", "c + 1")
	}
	return rapid.SampledFrom(options).Draw(g.t, "number")
}

func (g grammar) text() string {
	return g.pick(`""`, `"CN"`, `"app"`, "payment.channel", "payment.mcc", "payment.scene", "payment.country", "payment.payer_country",
		"payment.currency", "payment.purpose", `(payment.channel + "x")`)
}

// cel-go, run on every rule without index and closures, is the meaning: Decide
// must find the same rules true, false and failing.
func TestDecideAgreesWithCEL(t *testing.T) {
	closures, rests, failures, fired := 0, 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		expressions := make([]string, 8)
		for i := range expressions {
			expressions[i] = grammar{t: t}.flag(rapid.IntRange(0, 3).Draw(t, "depth"))
		}
		p := compileAffordable(t, expressions)
		closures += p.Closures()
		rests += len(p.Rules()) - p.Closures()
		var d rules.Decision
		for range 20 {
			f := drawFacts(t)
			p.Decide(f, &d)
			want := decideByCEL(t, p, f)
			if !sameDecision(&d, want) {
				t.Fatalf("facts %+v\nDecide %s\nCEL    %s\n%s", f, show(&d), show(want), strings.Join(expressions, "\n"))
			}
			failures += len(d.Failed)
			fired += len(d.Fired)
		}
	})
	t.Logf("%d closures, %d in cel-go; %d fired, %d failed", closures, rests, fired, failures)
	if closures == 0 || rests == 0 || failures == 0 || fired == 0 {
		t.Errorf("the grammar does not reach every way")
	}
}

// compileAffordable compiles the expressions; one that is refused for its cost
// becomes false, and any other problem is a fault of the grammar.
func compileAffordable(t *rapid.T, expressions []string) *rules.Program {
	p, err := rules.Compile(oneSet(expressions...))
	var problems rules.Problems
	if !errors.As(err, &problems) {
		return p
	}
	for _, problem := range problems {
		if !strings.Contains(problem.Text, "the cost is estimated") && !strings.Contains(problem.Text, "nodes") {
			t.Fatalf("%v\n%s", err, strings.Join(expressions, "\n"))
		}
		var i int
		fmt.Sscanf(problem.Rule, "r%d", &i)
		expressions[i] = "false"
	}
	return compileAffordable(t, expressions)
}

func decideByCEL(t interface{ Fatal(...any) }, p *rules.Program, f *rules.Facts) *rules.Decision {
	traces, err := p.Explain(f)
	if err != nil {
		t.Fatal(err)
	}
	d := &rules.Decision{Advice: risk.Allow}
	for _, trace := range traces {
		switch {
		case !trace.Fired && trace.Err == nil:
		case trace.Rule.Mode == rules.Shadow:
			d.Shadow = append(d.Shadow, trace.Rule)
		case trace.Err != nil:
			d.Failed = append(d.Failed, trace.Rule)
			d.Advice = max(d.Advice, p.OnError(f.Payment.Phase))
		default:
			d.Fired = append(d.Fired, trace.Rule)
			d.Advice = max(d.Advice, trace.Rule.Advice)
		}
	}
	return d
}

func sameDecision(a, b *rules.Decision) bool {
	return a.Advice == b.Advice && slices.Equal(a.Fired, b.Fired) && slices.Equal(a.Shadow, b.Shadow) && slices.Equal(a.Failed, b.Failed)
}

func show(d *rules.Decision) string {
	list := func(rules []*rules.Rule) (ids []string) {
		for _, r := range rules {
			ids = append(ids, r.ID)
		}
		return ids
	}
	return fmt.Sprintf("%s fired %v shadow %v failed %v", d.Advice, list(d.Fired), list(d.Shadow), list(d.Failed))
}

func TestStarterSetAgreesWithCEL(t *testing.T) {
	p := starter(t)
	rapid.Check(t, func(t *rapid.T) {
		f := drawFacts(t)
		var d rules.Decision
		p.Decide(f, &d)
		if want := decideByCEL(t, p, f); !sameDecision(&d, want) {
			t.Fatalf("facts %+v\nDecide %s\nCEL    %s", f, show(&d), show(want))
		}
	})
}
