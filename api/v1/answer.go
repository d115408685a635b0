package apiv1

import (
	"encoding/hex"
	"time"
)

// Answer is a CheckResponse as scripts know it, from the command line and from the
// Redis door: numbers are numbers, moments are text, and what a script asks for by name
// is always there. What it has may become more, and never less.
type Answer struct {
	Advice       string         `json:"advice"`
	Listed       bool           `json:"listed"`
	Reasons      []AnswerReason `json:"reasons"`
	Weights      []AnswerWeight `json:"weights,omitempty"`
	RulesVersion uint32         `json:"rules_version"`
	Size         uint64         `json:"size"`
	Root         string         `json:"root"`
	AgeMS        int64          `json:"age_ms"`
	Reporters    uint32         `json:"reporters"`
	Stale        bool           `json:"stale"`
	Enforced     *bool          `json:"enforced,omitempty"` // false while the institution is not live
	Shadow       []string       `json:"shadow,omitempty"`
	Trace        []AnswerTrace  `json:"trace,omitempty"`
}

// AnswerReason is a rule or a listing that advises something.
type AnswerReason struct {
	Rule       string      `json:"rule,omitempty"`
	Listing    string      `json:"listing,omitempty"`
	Code       uint32      `json:"code"`
	Level      uint32      `json:"level"`
	Text       string      `json:"text"`
	TextZH     string      `json:"text_zh,omitempty"`
	Advice     string      `json:"advice,omitempty"`
	Subject    *int32      `json:"subject,omitempty"`
	List       string      `json:"list,omitempty"`
	Role       string      `json:"role,omitempty"`
	Reporter   string      `json:"reporter,omitempty"`
	ReportedAt string      `json:"reported_at,omitempty"`
	ExpiresAt  string      `json:"expires_at,omitempty"`
	State      string      `json:"state,omitempty"`
	Exit       *AnswerExit `json:"exit,omitempty"`
	// Taken counts institutions by what they did on the listing.
	Taken map[string]uint32 `json:"taken,omitempty"`
}

// AnswerExit says how somebody comes off a list.
type AnswerExit struct {
	How    string `json:"how"`
	Papers string `json:"papers"`
	Whom   string `json:"whom"`
	Days   uint32 `json:"days"`
}

// AnswerWeight says why the listings of a subject may advise what they may.
type AnswerWeight struct {
	Subject    int32  `json:"subject"`
	Confidence uint32 `json:"confidence"`
	Origins    uint32 `json:"origins"`
	Authority  bool   `json:"authority"`
	AtMost     string `json:"at_most"`
	ReviewDue  bool   `json:"review_due"`
	Policy     uint32 `json:"policy"`
	Text       string `json:"text"`
}

// AnswerTrace says how a rule was evaluated.
type AnswerTrace struct {
	Rule  string `json:"rule"`
	Value bool   `json:"value"`
	Error string `json:"error,omitempty"`
	Cost  uint64 `json:"cost"`
}

// AnswerOf is the answer in a response.
func AnswerOf(r *CheckResponse) Answer {
	a := Answer{Advice: r.Advice, Listed: r.Listed, Reasons: ReasonsOf(r.Reasons), RulesVersion: r.RulesVersion, Size: r.Size,
		Root: hex.EncodeToString(r.Root), AgeMS: r.AgeMs, Reporters: r.Reporters, Stale: r.Stale, Enforced: r.Enforced(), Shadow: r.Shadow}
	for _, w := range r.Weights {
		a.Weights = append(a.Weights, AnswerWeight{Subject: w.Subject, Confidence: w.Confidence, Origins: w.Origins, Authority: w.Authority,
			AtMost: w.AtMost, ReviewDue: w.ReviewDue, Policy: w.Policy, Text: w.Text})
	}
	for _, t := range r.Trace {
		a.Trace = append(a.Trace, AnswerTrace{Rule: t.Rule, Value: t.Value, Error: t.Error, Cost: t.Cost})
	}
	return a
}

// Enforced is false while the institution is not live, and else missing.
func (x *CheckResponse) Enforced() *bool {
	if x.Unenforced {
		return new(bool)
	}
	return nil
}

// ReasonsOf is never null.
func ReasonsOf(list []*Reason) []AnswerReason {
	out := make([]AnswerReason, 0, len(list))
	for _, r := range list {
		reason := AnswerReason{Rule: r.Rule, Listing: r.Listing, Code: r.Code, Level: r.Level, Text: r.Text, TextZH: r.TextZh,
			Advice: r.Advice, List: r.List, Role: r.Role, Reporter: r.Reporter, ReportedAt: Moment(r.ReportedAtMs),
			ExpiresAt: Moment(r.ExpiresAtMs), State: r.State, Taken: TakenOf(r.Taken), Exit: ExitOf(r.Exit)}
		if r.Subject >= 0 {
			reason.Subject = &r.Subject
		}
		out = append(out, reason)
	}
	return out
}

// ExitOf is missing where nobody has said anything.
func ExitOf(e *Exit) *AnswerExit {
	if e == nil || e.How == "" && e.Papers == "" && e.Whom == "" {
		return nil
	}
	return &AnswerExit{How: e.How, Papers: e.Papers, Whom: e.Whom, Days: e.Days}
}

// TakenOf counts institutions by action.
func TakenOf(list []*Taken) map[string]uint32 {
	taken := map[string]uint32{}
	for _, t := range list {
		taken[t.Action] = t.Institutions
	}
	return taken
}

// Moment is a time in Unix milliseconds as text, in UTC; none is empty.
func Moment(millis int64) string {
	if millis == 0 {
		return ""
	}
	return time.UnixMilli(millis).UTC().Format(time.RFC3339)
}
