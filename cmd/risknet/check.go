package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/client"
)

type reasonJSON struct {
	Rule       string    `json:"rule,omitempty"`
	Listing    string    `json:"listing,omitempty"`
	Code       uint32    `json:"code"`
	Level      uint32    `json:"level"`
	Text       string    `json:"text"`
	TextZH     string    `json:"text_zh,omitempty"`
	Advice     string    `json:"advice,omitempty"`
	Subject    *int32    `json:"subject,omitempty"`
	List       string    `json:"list,omitempty"`
	Role       string    `json:"role,omitempty"`
	Reporter   string    `json:"reporter,omitempty"`
	ReportedAt string    `json:"reported_at,omitempty"`
	ExpiresAt  string    `json:"expires_at,omitempty"`
	State      string    `json:"state,omitempty"`
	Exit       *exitJSON `json:"exit,omitempty"`
	// Institutions by what they did on the listing.
	Taken map[string]uint32 `json:"taken,omitempty"`
}

func reasonsOf(list []*apiv1.Reason) []reasonJSON {
	out := make([]reasonJSON, 0, len(list))
	for _, r := range list {
		reason := reasonJSON{Rule: r.Rule, Listing: r.Listing, Code: r.Code, Level: r.Level, Text: r.Text, TextZH: r.TextZh,
			Advice: r.Advice, List: r.List, Role: r.Role, Reporter: r.Reporter, ReportedAt: moment(r.ReportedAtMs),
			ExpiresAt: moment(r.ExpiresAtMs), State: r.State, Taken: takenOf(r.Taken), Exit: exitOf(r.Exit)}
		if r.Subject >= 0 {
			reason.Subject = &r.Subject
		}
		out = append(out, reason)
	}
	return out
}

// weightJSON says why the listings of a subject may advise what they may.
type weightJSON struct {
	Subject    int32  `json:"subject"`
	Confidence uint32 `json:"confidence"`
	Origins    uint32 `json:"origins"`
	Authority  bool   `json:"authority"`
	AtMost     string `json:"at_most"`
	ReviewDue  bool   `json:"review_due"`
	Policy     uint32 `json:"policy"`
	Text       string `json:"text"`
}

func weightsOf(list []*apiv1.Weight) []weightJSON {
	var out []weightJSON
	for _, w := range list {
		out = append(out, weightJSON{Subject: w.Subject, Confidence: w.Confidence, Origins: w.Origins, Authority: w.Authority,
			AtMost: w.AtMost, ReviewDue: w.ReviewDue, Policy: w.Policy, Text: w.Text})
	}
	return out
}

type traceJSON struct {
	Rule  string `json:"rule"`
	Value bool   `json:"value"`
	Error string `json:"error,omitempty"`
	Cost  uint64 `json:"cost"`
}

type checkJSON struct {
	Advice       string       `json:"advice"`
	Listed       bool         `json:"listed"`
	Reasons      []reasonJSON `json:"reasons"`
	Weights      []weightJSON `json:"weights,omitempty"`
	RulesVersion uint32       `json:"rules_version"`
	Size         uint64       `json:"size"`
	Root         string       `json:"root"`
	AgeMS        int64        `json:"age_ms"`
	Reporters    uint32       `json:"reporters"`
	Stale        bool         `json:"stale"`
	Enforced     *bool        `json:"enforced,omitempty"` // false while the institution is not live
	Shadow       []string     `json:"shadow,omitempty"`
	Trace        []traceJSON  `json:"trace,omitempty"`
}

func checkOf(r *apiv1.CheckResponse) checkJSON {
	out := checkJSON{Advice: r.Advice, Listed: r.Listed, Reasons: reasonsOf(r.Reasons), Weights: weightsOf(r.Weights), RulesVersion: r.RulesVersion,
		Size: r.Size, Root: fmt.Sprintf("%x", r.Root), AgeMS: r.AgeMs, Reporters: r.Reporters, Stale: r.Stale, Enforced: enforcedOf(r), Shadow: r.Shadow}
	for _, t := range r.Trace {
		out.Trace = append(out.Trace, traceJSON{Rule: t.Rule, Value: t.Value, Error: t.Error, Cost: t.Cost})
	}
	return out
}

// enforcedOf is false or missing.
func enforcedOf(r *apiv1.CheckResponse) *bool {
	if r.Unenforced {
		return new(bool)
	}
	return nil
}

// checkFlags are the fields of a payment, which are flags of the same name.
var checkFlags = []struct{ name, usage string }{
	{"amount", "in minor units of the currency: 1 yuan is 100"}, {"currency", "ISO 4217, such as CNY"},
	{"mcc", "merchant category code, four digits"}, {"channel", "payment channel"}, {"scene", "payment scene"},
	{"country", "where the payment is accepted, ISO 3166 alpha-2"}, {"payer-country", "where the payer's account is held"},
	{"phase", "pre, in or post"}, {"purpose", "transaction_screening, onboarding, aml or investigation"},
	{"time", "when the payment was made"}, {"transaction-id", "the payment's own number"},
}

type checkOptions struct {
	subjects, columns  []string
	file, kind, format string
	question           client.Question
}

func newCheckCommand() *cobra.Command {
	var o checkOptions
	cmd := &cobra.Command{Use: "check --subject KIND=VALUE …", Short: "Ask whether a payment may go on, once or for a file",
		Example: "  risknet check --subject ip=203.0.113.9 --subject payee.account=0102/6222 --amount 500000 --currency CNY\n" +
			"  risknet check --file payments.csv --column ip_address=ip --column payee=payee.account > answers.ndjson",
		Args: cobra.NoArgs}
	flags := cmd.Flags()
	flags.StringArrayVar(&o.subjects, "subject", nil, "ask about `kind=value`, or role.kind=value such as payee.account=…; may be repeated")
	flags.StringVar(&o.file, "file", "", "ask about every record of a csv or ndjson `file`; - is standard input")
	flags.StringArrayVar(&o.columns, "column", nil, "use column `name=field` of the file; may be repeated")
	flags.StringVar(&o.format, "format", "", "csv, ndjson, values or ipsum (default: by the content)")
	kind := kindFlag(cmd, "every line of the file is one value of this kind")
	for _, f := range checkFlags {
		flags.String(f.name, "", f.usage)
	}
	flags.Uint64Var(&o.question.MinSize, "min-size", 0, "answer from a state of at least so many leaves")
	age := daysFlag(cmd, "max-age", 0, "an older view counts as stale (default: the node's own limit)")
	flags.BoolVar(&o.question.Explain, "explain", false, "say how each rule was evaluated")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		o.kind, o.question.MaxAge = *kind, time.Duration(*age)
		if err := o.fill(cmd); err != nil {
			return usageError{err.Error()}
		}
		c, err := dial(cmd)
		if err != nil {
			return err
		}
		defer c.Close()
		if o.file != "" {
			return checkFile(cmd, c, o)
		}
		answer, err := c.Check(cmd.Context(), &o.question)
		if err != nil {
			return err
		}
		out := checkOf(answer)
		return emit(cmd, out, func(w io.Writer) { printCheck(w, out) })
	}
	return cmd
}

// fill reads what the flags say of the payment and its subjects.
func (o *checkOptions) fill(cmd *cobra.Command) error {
	for _, f := range checkFlags {
		value, _ := cmd.Flags().GetString(f.name)
		if err := o.question.Set(strings.ReplaceAll(f.name, "-", "_"), value); err != nil {
			return err
		}
	}
	for _, text := range o.subjects {
		field, value, ok := strings.Cut(text, "=")
		if !ok || value == "" {
			return usagef("subject: is not KIND=VALUE; write for example ip=203.0.113.9")
		}
		if err := o.question.Set(field, value); err != nil {
			return err
		}
	}
	if o.file == "" && len(o.subjects) == 0 {
		return usagef("subject: is missing; ask about --subject KIND=VALUE, or about a --file")
	}
	return nil
}

func printCheck(w io.Writer, out checkJSON) {
	listed := "not listed"
	if out.Listed {
		listed = fmt.Sprintf("listed by %d", out.Reporters)
	}
	fmt.Fprintf(w, "%s (%s; rules %d, size %d, root %.16s, age %s)\n", paint(out.Advice), listed, out.RulesVersion, out.Size, out.Root, ageText(out.AgeMS))
	if out.Enforced != nil {
		fmt.Fprintln(w, "not to be enforced: this node's institution is not live")
	}
	if out.Stale {
		fmt.Fprintln(w, "the node has lost touch: its stale policy is part of this answer")
	}
	var lines []table.Row
	for _, r := range out.Reasons {
		lines = append(lines, table.Row{r.Rule + r.Listing, r.Code, r.Level, paint(r.Advice), r.Text})
	}
	if len(lines) > 0 {
		rows(w, table.Row{"reason", "code", "level", "advice", "text"}, lines)
	}
	for _, weight := range out.Weights {
		fmt.Fprintf(w, "subject %d: %s\n", weight.Subject+1, weight.Text)
	}
	for _, r := range out.Reasons {
		if r.Exit != nil {
			fmt.Fprintf(w, "way out of %s: %s Papers: %s Ask: %s Answer within %d days.\n", r.Listing, r.Exit.How, r.Exit.Papers, r.Exit.Whom, r.Exit.Days)
		}
	}
	for _, t := range out.Trace {
		fmt.Fprintf(w, "rule %s: %t (cost %d) %s\n", t.Rule, t.Value, t.Cost, t.Error)
	}
}
