package rules

import (
	"regexp"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/risknet/risknet/risk"
)

// Mode says whether a rule's advice counts.
type Mode uint8

// The modes. A shadow rule is evaluated and reported, and changes nothing.
const (
	On Mode = 1 + iota
	Shadow
)

func (m Mode) String() string {
	if m == Shadow {
		return "shadow"
	}
	return "on"
}

// Rule is one rule of a set.
type Rule struct {
	ID       string
	Phases   uint8 // a bit for each phase, 1<<phase
	When     string
	Advice   risk.Advice
	Code     uint16 // risk code that the rule speaks of; 0 for none
	ReasonEN string
	ReasonZH string
	Mode     Mode
	Line     int // of the rule in its file

	when *yaml.Node
}

// In reports whether the rule runs in a phase.
func (r *Rule) In(phase risk.Phase) bool { return r.Phases&(1<<phase) != 0 }

// Set is a rule set as its file states it.
type Set struct {
	Name      string
	UTCOffset time.Duration
	OnError   [risk.Phases]risk.Advice // what a failing rule advises, by phase
	Rules     []*Rule

	sheet *sheet
}

// defaultOffset is Beijing time.
const defaultOffset = 8 * time.Hour

var ruleID = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)

const maxRuleID = 64

// Parse reads a rule set: its shape, not its expressions. The error is
// [Problems].
func Parse(source []byte) (*Set, error) {
	set := parse(source)
	if err := set.sheet.problems.asError(); err != nil {
		return nil, err
	}
	return set, nil
}

// parse gives as much of the set as can be read; its sheet holds the problems.
func parse(source []byte) *Set {
	s, root := openSheet(source)
	set := &Set{UTCOffset: defaultOffset, sheet: s}
	if root == nil {
		return set
	}
	top := s.fields(root, "the rule set", "name", "utc_offset", "on_error", "rules")
	set.Name = s.text(s.need(top, root, "name", "name the set"), "name", risk.MaxNameBytes)
	if n := top["utc_offset"]; n != nil {
		set.UTCOffset = s.offset(n)
	}
	if n := s.need(top, root, "on_error", "say what a failing rule advises, as {pre: step_up, in: step_up, post: observe}"); n != nil {
		set.OnError = s.onError(n)
	}
	if n := s.need(top, root, "rules", "give at least one rule"); n != nil {
		set.Rules = s.rules(n)
	}
	return set
}

func (s *sheet) offset(n *yaml.Node) time.Duration {
	at, err := time.Parse("-07:00", n.Value)
	if n.Kind != yaml.ScalarNode || err != nil {
		s.at(n, `utc_offset must be an offset from UTC, as "+08:00"`)
		return 0
	}
	_, seconds := at.Zone()
	if seconds < -12*3600 || seconds > 14*3600 {
		s.at(n, "utc_offset must lie between -12:00 and +14:00")
	}
	return time.Duration(seconds) * time.Second
}

func (s *sheet) onError(n *yaml.Node) (advice [risk.Phases]risk.Advice) {
	fields := s.fields(n, "on_error", "pre", "in", "post")
	for phase := risk.PhasePre; phase < risk.Phases; phase++ {
		value := s.need(fields, n, phase.String(), "each phase needs the advice of a failing rule")
		if value != nil {
			advice[phase] = s.advice(value, "on_error."+phase.String())
		}
	}
	return advice
}

// advice reads an advice that is harder than allow.
func (s *sheet) advice(n *yaml.Node, what string) risk.Advice {
	advice, err := risk.ParseAdvice(n.Value)
	switch {
	case n.Kind != yaml.ScalarNode || err != nil:
		cure := suggest(n.Value, adviceNames())
		if cure == "" {
			cure = "; use one of " + strings.Join(adviceNames(), ", ")
		}
		s.at(n, "%s: %q is not advice%s", what, n.Value, cure)
	case advice == risk.Allow && strings.HasPrefix(what, "on_error"):
		s.at(n, "%s must not be allow: a failing rule never lets a payment through in silence", what)
	case advice == risk.Allow:
		s.at(n, "%s must be harder than allow: a rule can only raise the advice", what)
	}
	return advice
}

// adviceNames lists what a rule may advise.
func adviceNames() []string {
	var names []string
	for a := risk.Observe; a.Valid(); a++ {
		names = append(names, a.String())
	}
	return names
}

func (s *sheet) rules(n *yaml.Node) []*Rule {
	list := s.list(n, "rules")
	switch {
	case n.Kind == yaml.SequenceNode && len(list) == 0:
		s.at(n, "rules is empty: an empty set would let everything through; give at least one rule")
	case len(list) > risk.MaxRules:
		s.at(n, "rules has %d rules; at most %d are allowed", len(list), risk.MaxRules)
		return nil
	}
	rules, lines := make([]*Rule, 0, len(list)), map[string]int{}
	for _, item := range list {
		r := s.readRule(item)
		s.rule = r.ID
		if first := lines[r.ID]; r.ID != "" && first > 0 {
			s.at(item, "id stands twice; it is first used in line %d", first)
		} else {
			lines[r.ID] = item.Line
		}
		s.rule = ""
		rules = append(rules, r)
	}
	return rules
}

func (s *sheet) readRule(n *yaml.Node) *Rule {
	r := &Rule{Mode: On, Line: n.Line}
	defer func() { s.rule = "" }()
	s.rule = valueOf(n, "id")
	if n.Kind != yaml.MappingNode {
		s.at(n, "a rule must be a mapping of id, phase, when, advice, reason")
		return r
	}
	fields := s.fields(n, "the rule", "id", "phase", "when", "advice", "code", "reason", "mode")
	if v := s.need(fields, n, "id", "name the rule"); v != nil {
		r.ID = v.Value
		if v.Kind != yaml.ScalarNode || len(r.ID) > maxRuleID || !ruleID.MatchString(r.ID) {
			s.at(v, "id must be lower-case words joined by hyphens, as night-large, at most %d characters", maxRuleID)
		}
	}
	if v := s.need(fields, n, "phase", "use pre, in, post or a list of them"); v != nil {
		r.Phases = s.phases(v)
	}
	if v := s.need(fields, n, "when", "give the condition as a CEL expression"); v != nil {
		r.when, r.When = v, s.text(v, "when", risk.MaxRuleBytes)
	}
	if v := s.need(fields, n, "advice", "use one of "+strings.Join(adviceNames(), ", ")); v != nil {
		r.Advice = s.advice(v, "advice")
	}
	r.Code = uint16(s.number(fields["code"], "code", 1, 1<<16-1))
	if v := s.need(fields, n, "reason", "say why in both languages, as {en: …, zh: …}"); v != nil {
		reason := s.fields(v, "reason", "en", "zh")
		r.ReasonEN = s.text(s.need(reason, v, "en", "give the reason in English"), "reason.en", risk.MaxTextBytes)
		r.ReasonZH = s.text(s.need(reason, v, "zh", "give the reason in Chinese"), "reason.zh", risk.MaxTextBytes)
	}
	if v := fields["mode"]; v != nil {
		r.Mode = s.mode(v)
	}
	return r
}

// valueOf finds the name of a rule or a test ahead of reading it, for its problems.
func valueOf(n *yaml.Node, key string) string {
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1].Value
		}
	}
	return ""
}

func (s *sheet) phases(n *yaml.Node) (set uint8) {
	list := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		list = n.Content
	}
	if len(list) == 0 {
		s.at(n, "phase is empty; use pre, in, post or a list of them")
	}
	for _, item := range list {
		phase, err := risk.ParsePhase(item.Value)
		switch {
		case item.Kind != yaml.ScalarNode || err != nil:
			s.at(item, "phase: %q is not a phase; use pre, in or post", item.Value)
		case set&(1<<phase) != 0:
			s.at(item, "phase: %s stands twice", phase)
		default:
			set |= 1 << phase
		}
	}
	return set
}

func (s *sheet) mode(n *yaml.Node) Mode {
	switch {
	case n.Kind == yaml.ScalarNode && n.Value == "on":
		return On
	case n.Kind == yaml.ScalarNode && n.Value == "shadow":
		return Shadow
	}
	s.at(n, "mode: %q is not a mode; use on or shadow", n.Value)
	return On
}
