package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/risknet/risknet/replay"
)

type worthJSON struct {
	Payments     int                   `json:"payments"`
	Institutions uint32                `json:"institutions"`
	DelayHours   float64               `json:"delay_hours"`
	Frauds       int                   `json:"frauds"`
	Scenarios    map[string]int        `json:"scenarios"`
	Caught       int                   `json:"caught"`
	Stopped      int                   `json:"stopped"`
	ByPolicy     map[string]worthTally `json:"by_policy"`
	Seconds      float64               `json:"seconds"`
}

type worthTally struct {
	Caught    int            `json:"caught"`
	Stopped   int            `json:"stopped"`
	Scenarios map[string]int `json:"scenarios"`
	// Hours from the earliest standing report of a terminal to the first fraud stopped
	// there, median over the terminals.
	ProtectedAfterHours float64 `json:"protected_after_hours"`
}

func worthOf(r *replay.Result, o replay.Options, took time.Duration) worthJSON {
	out := worthJSON{Payments: r.Payments, Institutions: o.Institutions, DelayHours: o.Delay.Hours(), Frauds: r.Total(),
		Scenarios: byName(r.Frauds), ByPolicy: map[string]worthTally{}, Seconds: took.Seconds()}
	for name, t := range r.Policies {
		out.ByPolicy[name] = worthTally{Caught: t.Caught(), Stopped: t.Stopped, Scenarios: byName(t.Frauds),
			ProtectedAfterHours: float64(t.ProtectedAfter()) / float64(time.Hour.Milliseconds())}
	}
	out.Caught, out.Stopped = out.ByPolicy[replay.Default].Caught, out.ByPolicy[replay.Default].Stopped
	return out
}

func byName(scenarios map[uint8]int) map[string]int {
	out := map[string]int{}
	for scenario, n := range scenarios {
		out[fmt.Sprint(scenario)] = n
	}
	return out
}

type worthOptions struct {
	replay.Options
	columns     []string
	plot        string
	delay, life *days
}

func newReplayCommand() *cobra.Command {
	o := worthOptions{}
	cmd := &cobra.Command{Use: "replay FILE…", Short: "See what sharing is worth: labelled payments through a simulated network",
		Long: `Plays labelled payments through a simulated network on fake time, with the real store,
check and rules. A customer's institution is the customer's number modulo the number of
institutions; a fraud is reported by the institution that suffered it, about the
terminal, so long after the payment. Stopped means advice above observe.

  alone             each institution's own reports, one is enough, for 28 days
  shared_one        everybody's reports, one is enough
  shared_two        two institutions must have reported
  default           the network's own policy with the starter rules
  default_unshared  the same, with own reports only

The files are CSV with a header, gzipped or not, and have the columns of the Fraud
Detection Handbook unless --column names others. One machine gives the same figures as
any other.`,
		Example: "  risknet replay payments-04.csv.gz payments-05.csv.gz --plot worth.svg\n  risknet replay --column time=at --column fraud=label payments.csv -o json",
		Args:    cobra.MinimumNArgs(1)}
	flags := cmd.Flags()
	flags.Uint32Var(&o.Institutions, "institutions", 10, "how many there are")
	o.delay = daysFlag(cmd, "delay", 168*time.Hour, "from a fraud to its report")
	o.life = daysFlag(cmd, "life", 28*24*time.Hour, "of a report")
	flags.BoolVar(&o.NoAmountRule, "without-amount-rule", false, "leave out the rule for large amounts")
	flags.StringArrayVar(&o.columns, "column", nil, "`field=NAME`: where a field stands: time, customer, terminal, amount, fraud, scenario")
	flags.StringVar(&o.plot, "plot", "", "write a plot to `FILE`, .svg or .png")
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return o.run(cmd, args) }
	cmd.AddCommand(newGenerateCommand())
	return cmd
}

func newGenerateCommand() *cobra.Command {
	w := replay.DefaultWorld()
	cmd := &cobra.Command{Use: "generate", Short: "Write a file of made-up payments with frauds",
		Long: `Writes payments that a seeded simulator makes: customers who pay at terminals near them,
and three sorts of fraud: large amounts, terminals that are taken over, cards that leak.
The same flags give the same file.`,
		Example: "  risknet replay generate --seed 7 --days 120 > payments.csv", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := w.Check(); err != nil {
				return usageError{err.Error()}
			}
			return replay.Write(cmd.OutOrStdout(), w.Generate())
		}}
	flags := cmd.Flags()
	flags.Uint64Var(&w.Seed, "seed", w.Seed, "of the random numbers")
	flags.IntVar(&w.Customers, "customers", w.Customers, "how many")
	flags.IntVar(&w.Terminals, "terminals", w.Terminals, "how many")
	flags.IntVar(&w.Days, "days", w.Days, "how many")
	flags.Float64Var(&w.Radius, "radius", w.Radius, "in which a customer pays, on a square of side 100")
	flags.IntVar(&w.TerminalsPerDay, "terminals-per-day", w.TerminalsPerDay, "taken over each day")
	flags.IntVar(&w.TerminalDays, "terminal-days", w.TerminalDays, "for how long")
	flags.IntVar(&w.CustomersPerDay, "cards-per-day", w.CustomersPerDay, "that leak each day")
	flags.IntVar(&w.CustomerDays, "card-days", w.CustomerDays, "for how long")
	return cmd
}

func (o *worthOptions) run(cmd *cobra.Command, paths []string) error {
	named := map[string]string{}
	for _, column := range o.columns {
		field, name, ok := strings.Cut(column, "=")
		if !ok {
			return usagef("column: %q is not of the form field=NAME", column)
		}
		named[field] = name
	}
	begin := time.Now()
	payments, err := replay.ReadFiles(paths, named)
	if err != nil {
		return err
	}
	o.Delay, o.Life = time.Duration(*o.delay), time.Duration(*o.life)
	result, err := replay.Run(cmd.Context(), payments, o.Options)
	if err != nil {
		return err
	}
	if o.plot != "" {
		if err := result.Plot(o.plot); err != nil {
			return fmt.Errorf("plot: %w", err)
		}
		fmt.Fprintf(os.Stderr, "the plot is in %s\n", o.plot)
	}
	out := worthOf(result, o.Options, time.Since(begin))
	return emit(cmd, out, func(w io.Writer) { printWorth(w, out) })
}

func printWorth(w io.Writer, out worthJSON) {
	fmt.Fprintf(w, "%d payments, %d of them fraud; %d institutions; a fraud is known after %.0f h\n", out.Payments, out.Frauds, out.Institutions, out.DelayHours)
	scenarios := slices.Sorted(maps.Keys(out.Scenarios))
	head := table.Row{"policy", "frauds caught", "good payments stopped"}
	for _, s := range scenarios {
		head = append(head, fmt.Sprintf("scenario %s (%d)", s, out.Scenarios[s]))
	}
	head = append(head, "first stop after")
	var lines []table.Row
	for _, name := range replay.Policies() {
		t := out.ByPolicy[name]
		line := table.Row{name, t.Caught, t.Stopped}
		for _, s := range scenarios {
			line = append(line, t.Scenarios[s])
		}
		lines = append(lines, append(line, fmt.Sprintf("%.0f h", t.ProtectedAfterHours)))
	}
	rows(w, head, lines)
}
