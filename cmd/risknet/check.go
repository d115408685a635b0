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
		out := apiv1.AnswerOf(answer)
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

func printCheck(w io.Writer, out apiv1.Answer) {
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
