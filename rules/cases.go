package rules

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/risknet/risknet/risk"
)

// Result is the outcome of one test of a rule set.
type Result struct {
	Name string
	Line int
	Got  Decision
	Diff string // what differs from the wanted; empty when the test passed
}

// RunTests runs a test file against a program. The file is a YAML list:
//
//   - name: a listed payee at night
//     phase: in
//     payment: {amount: 500000, currency: CNY, time: "2026-03-01T23:30:00+08:00"}
//     present: [device]
//     seen: {payer: {habit_payments: 12, excess: 500}}
//     listed: {payee: {level: 2, codes: [46], reporters: 2, black: true}}
//     want: {advice: deny, rules: [payee-gambling], shadow: []}
//
// Subjects are named by role or kind; what is listed is present, and counts for
// any. The rules and shadow rules that speak must be exactly the wanted ones. An
// error is [Problems] of the file; a test that fails is not an error.
func RunTests(p *Program, source []byte) ([]Result, error) {
	s, root := openSheet(source)
	if root == nil {
		return nil, s.problems.asError()
	}
	list := s.list(root, "a test file")
	if root.Kind == yaml.SequenceNode && len(list) == 0 {
		s.at(root, "the file has no tests")
	}
	var results []Result
	for _, n := range list {
		t := s.readTest(p, n)
		r := Result{Name: t.name, Line: n.Line}
		if len(s.problems) == 0 {
			p.Decide(&t.facts, &r.Got)
			r.Diff = t.diff(&r.Got)
		}
		results = append(results, r)
	}
	if err := s.problems.asError(); err != nil {
		return nil, err
	}
	return results, nil
}

// test is one entry of a test file.
type test struct {
	name   string
	facts  Facts
	advice risk.Advice
	rules  []string
	shadow []string
}

func (s *sheet) readTest(p *Program, n *yaml.Node) *test {
	t := &test{}
	defer func() { s.test = "" }()
	s.test = valueOf(n, "name")
	fields := s.fields(n, "the test", "name", "phase", "payment", "present", "listed", "seen", "want")
	t.name = s.text(s.need(fields, n, "name", "say what the test shows"), "name", risk.MaxTextBytes)
	if v := fields["payment"]; v != nil {
		s.readPayment(v, &t.facts.Payment)
	}
	if v := s.need(fields, n, "phase", "use pre, in or post"); v != nil {
		phase, err := risk.ParsePhase(v.Value)
		if err != nil {
			s.at(v, "phase: %q is not a phase; use pre, in or post", v.Value)
		}
		t.facts.Payment.Phase = phase
	}
	if v := fields["present"]; v != nil {
		for _, item := range s.list(v, "present") {
			if about := s.subject(&t.facts, item); about != nil {
				about.Present, t.facts.Any.Present = true, true
			}
		}
	}
	if v := fields["listed"]; v != nil {
		s.readListed(v, &t.facts)
	}
	if v := fields["seen"]; v != nil {
		s.readSeen(v, &t.facts)
	}
	if v := s.need(fields, n, "want", "give the advice and the rules that fire, as {advice: deny, rules: [id]}"); v != nil {
		s.readWant(p, v, t)
	}
	return t
}

func (s *sheet) readPayment(n *yaml.Node, p *risk.Payment) {
	fields := s.fields(n, "payment", "amount", "currency", "mcc", "channel", "scene", "country", "payer_country", "purpose", "time")
	p.Amount = s.number(fields["amount"], "payment.amount", 0, 1<<62)
	for name, field := range map[string]*string{"currency": &p.Currency, "mcc": &p.MCC, "channel": &p.Channel,
		"scene": &p.Scene, "country": &p.Country, "payer_country": &p.PayerCountry} {
		*field = s.text(fields[name], "payment."+name, risk.MaxNameBytes)
	}
	if v := fields["purpose"]; v != nil {
		purpose, err := risk.ParsePurpose(v.Value)
		if err != nil {
			s.at(v, "payment.%v", err)
		}
		p.Purpose = purpose
	}
	if v := fields["time"]; v != nil {
		at, err := time.Parse(time.RFC3339, v.Value)
		if err != nil {
			s.at(v, "payment.time must be RFC 3339, as 2026-03-01T23:30:00+08:00")
		}
		p.Time = at.UnixMilli()
	}
}

// subject finds the About that a role or a kind names.
func (s *sheet) subject(f *Facts, n *yaml.Node) *About {
	if role, err := risk.ParseRole(n.Value); err == nil {
		return &f.ByRole[role]
	}
	if kind, err := risk.ParseKind(n.Value); err == nil {
		return &f.ByKind[kind]
	}
	s.at(n, "%q is neither a role nor a kind of subject%s", n.Value, suggest(n.Value, subjectNames()))
	return nil
}

func subjectNames() []string {
	var names []string
	for r := risk.Role(1); r < risk.Roles; r++ {
		names = append(names, r.String())
	}
	for _, k := range risk.AllKinds() {
		names = append(names, k.String())
	}
	return names
}

func (s *sheet) readListed(n *yaml.Node, f *Facts) {
	if n.Kind != yaml.MappingNode {
		s.at(n, "listed must be a mapping from a role or a kind to what is listed about it")
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		about := s.subject(f, n.Content[i])
		if about == nil {
			continue
		}
		if about.Listed {
			s.at(n.Content[i], "%q stands twice in listed", n.Content[i].Value)
		}
		*about = s.readAbout(n.Content[i+1])
		f.Any.merge(about)
	}
}

func (s *sheet) readAbout(n *yaml.Node) About {
	a := About{Present: true, Listed: true}
	fields := s.fields(n, "the listing", "level", "codes", "reporters", "black", "hint", "watch", "victim", "advice",
		"own", "origins", "confidence", "authority", "at_most")
	a.Own, a.Authority = s.flag(fields["own"], "own"), s.flag(fields["authority"], "authority")
	a.Origins = int(s.number(fields["origins"], "origins", 0, 1<<31-1))
	a.Confidence = int(s.number(fields["confidence"], "confidence", 0, 1000))
	a.Level = uint8(s.number(fields["level"], "level", 1, 3))
	a.Reporters = int(s.number(fields["reporters"], "reporters", 0, 1<<31-1))
	a.Black, a.Hint = s.flag(fields["black"], "black"), s.flag(fields["hint"], "hint")
	a.Watch, a.Victim = s.flag(fields["watch"], "watch"), s.flag(fields["victim"], "victim")
	a.Suspect = !a.Victim || a.Black || a.Hint || a.Watch
	if v := fields["codes"]; v != nil {
		for _, code := range s.list(v, "codes") {
			a.Codes = append(a.Codes, uint16(s.number(code, "codes", 1, 1<<16-1)))
		}
		if len(a.Codes) > MaxCodes {
			s.at(v, "codes has %d codes; at most %d are allowed", len(a.Codes), MaxCodes)
		}
	}
	for name, into := range map[string]*risk.Advice{"advice": &a.Advice, "at_most": &a.AtMost} {
		if v := fields[name]; v != nil {
			advice, err := risk.ParseAdvice(v.Value)
			if err != nil {
				s.at(v, "%v", err)
			}
			*into = advice
		}
	}
	return a
}

// merge joins what is listed about one subject into what is listed about any.
func (a *About) merge(b *About) {
	if a.Level == 0 || b.Level != 0 && b.Level < a.Level {
		a.Level = b.Level
	}
	a.Present, a.Listed = a.Present || b.Present, a.Listed || b.Listed
	a.Black, a.Hint, a.Watch = a.Black || b.Black, a.Hint || b.Hint, a.Watch || b.Watch
	a.Victim, a.Advice = a.Victim || b.Victim, max(a.Advice, b.Advice)
	a.Suspect, a.Own, a.Authority = a.Suspect || b.Suspect, a.Own || b.Own, a.Authority || b.Authority
	a.Reporters, a.Origins = max(a.Reporters, b.Reporters), max(a.Origins, b.Origins)
	a.Confidence, a.AtMost = max(a.Confidence, b.Confidence), max(a.AtMost, b.AtMost)
	for _, code := range b.Codes {
		if !slices.Contains(a.Codes, code) && len(a.Codes) < MaxCodes {
			a.Codes = append(a.Codes, code)
		}
	}
}

func (s *sheet) readWant(p *Program, n *yaml.Node, t *test) {
	fields := s.fields(n, "want", "advice", "rules", "shadow")
	if v := s.need(fields, n, "advice", "give the advice of the rules, allow when none fires"); v != nil {
		advice, err := risk.ParseAdvice(v.Value)
		if err != nil {
			s.at(v, "%v", err)
		}
		t.advice = advice
	}
	read := func(name string) (ids []string) {
		if fields[name] == nil {
			return nil
		}
		for _, item := range s.list(fields[name], "want."+name) {
			if !slices.ContainsFunc(p.Rules(), func(r *Rule) bool { return r.ID == item.Value }) {
				s.at(item, "the rule set has no rule %q", item.Value)
			}
			ids = append(ids, item.Value)
		}
		return ids
	}
	t.rules, t.shadow = read("rules"), read("shadow")
}

// diff says how a decision differs from the wanted one.
func (t *test) diff(d *Decision) string {
	var parts []string
	if d.Advice != t.advice {
		parts = append(parts, fmt.Sprintf("advice is %s, want %s", d.Advice, t.advice))
	}
	compare := func(what string, rules []*Rule, want []string) {
		got := ids(rules)
		slices.Sort(got)
		want = slices.Sorted(slices.Values(want))
		if !slices.Equal(got, want) {
			parts = append(parts, fmt.Sprintf("%s are %v, want %v", what, got, want))
		}
	}
	compare("rules", d.Fired, t.rules)
	compare("shadow rules", d.Shadow, t.shadow)
	compare("failed rules", d.Failed, nil)
	return strings.Join(parts, "; ")
}

func ids(rules []*Rule) []string {
	list := make([]string, len(rules))
	for i, r := range rules {
		list[i] = r.ID
	}
	return list
}
