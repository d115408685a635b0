package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/spf13/cobra"

	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/risk"
)

type benchCheckJSON struct {
	ChecksPerSecond float64 `json:"checks_per_s"`
	P50             int64   `json:"p50_us"`
	P99             int64   `json:"p99_us"`
	P999            int64   `json:"p999_us"`
	Errors          int64   `json:"errors"`
	ServerChecks    int64   `json:"server_checks"`
	Checks          int64   `json:"checks"`
	Seconds         float64 `json:"seconds"`
	// Goodput counts the checks that were answered, and not with an error.
	Goodput float64 `json:"goodput_per_s"`
	Refused int64   `json:"refused"`
	// ServerCPU is of the asked node; 0 where it does not know.
	ServerCPU float64 `json:"server_cpu_us"`
	// Rate and Unsent are of a load with a rate; Uncorrected is of one without.
	Rate        float64          `json:"rate,omitempty"`
	Unsent      int64            `json:"unsent,omitempty"`
	Uncorrected *uncorrectedJSON `json:"uncorrected,omitempty"`
}

// uncorrectedJSON is as measured: what waiting callers did not ask is missing.
type uncorrectedJSON struct {
	P50  int64 `json:"p50_us"`
	P99  int64 `json:"p99_us"`
	P999 int64 `json:"p999_us"`
}

type benchCheckOptions struct {
	client.Load
	rules int
	plot  string
}

func newBenchCheckCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "check", Short: "Ask one node as fast as it answers, or at a rate",
		Long: `Asks one node for a while. unary is one call a question, stream one question a message,
batch 64 questions a message, client many goroutines that share an Asker, with its
batches; a latency is of one call or message.

Without --rate each caller asks again when it is answered, and latencies are corrected
for coordinated omission: HdrHistogram adds what others would have waited behind a slow
answer, one each median. With --rate checks come at that rate, a latency begins when a
check comes, and nothing has to be corrected; unsent are those that came and found no
caller. refused are checks that were shed; they are neither errors nor answered.
server_cpu_us is what the node's process has used for each check that it answered.

Subjects that are to be hits are listed first, for an hour; a set of benchmark rules is
taken back at the end.`,
		Example: "  risknet bench check --mode batch --duration 10s --subjects 6 --hits 0.01 --rules 100 -o json\n" +
			"  risknet bench check --mode client --rate 50000 --plot latency.svg", Args: cobra.NoArgs}
	o := &benchCheckOptions{}
	flags := cmd.Flags()
	flags.StringVar(&o.Mode, "mode", "unary", strings.Join(client.LoadModes, ", "))
	duration := daysFlag(cmd, "duration", 10*time.Second, "how long to ask")
	flags.IntVar(&o.Subjects, "subjects", 6, "subjects in each question")
	flags.Float64Var(&o.Hits, "hits", 0.01, "share of the subjects that are listed")
	flags.IntVar(&o.Callers, "callers", 0, "callers at a time (unary, client), or messages in flight on each of 4 streams (default 50, 256, 32 or 4; with a rate 512, 512, 32 or 4)")
	flags.Float64Var(&o.Rate, "rate", 0, "checks that come in a second (default as fast as they are answered)")
	flags.StringVar(&o.plot, "plot", "", "write a plot of the latencies to `FILE`, .svg or .png")
	flags.IntVar(&o.rules, "rules", 0, "publish and activate so many benchmark rules first")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		o.Duration = time.Duration(*duration)
		if err := o.check(); err != nil {
			return err
		}
		return o.run(cmd)
	}
	return cmd
}

func (o *benchCheckOptions) check() error {
	switch {
	case !slices.Contains(client.LoadModes, o.Mode):
		return usagef("mode: %q is not known; use %s", o.Mode, strings.Join(client.LoadModes, ", "))
	case o.Duration <= 0 || o.Subjects < 1 || o.Subjects > risk.MaxSubjects || o.Hits < 0 || o.Hits > 1 || o.rules < 0 || o.rules > risk.MaxRules || o.Callers < 0:
		return usagef("bench: give a duration above 0, 1 to %d subjects, hits from 0 to 1 and 0 to %d rules", risk.MaxSubjects, risk.MaxRules)
	case !(o.Rate >= 0 && o.Rate <= maxRate):
		return usagef("rate: %g; give checks a second, up to %s", o.Rate, many(maxRate))
	}
	return plottable(o.plot)
}

// maxRate is more than one machine can ask.
const maxRate = 10_000_000

func (o *benchCheckOptions) run(cmd *cobra.Command) error {
	c, err := dial(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	undo, err := benchPrepare(cmd, c, o.Load, o.rules)
	if err != nil {
		return err
	}
	defer undo()
	before, err := c.ServerUse(cmd.Context())
	if err != nil {
		return err
	}
	result, err := c.Load(cmd.Context(), o.Load)
	if err != nil {
		return err
	}
	after, err := c.ServerUse(cmd.Context())
	if err != nil {
		return err
	}
	latency := o.latency(&result)
	if o.plot != "" {
		if err := plotLatency(o.plot, o.title(&result), latency); err != nil {
			return fmt.Errorf("plot: %w", err)
		}
		note(cmd, "the plot is in %s", o.plot)
	}
	out := o.figures(&result, latency[0].latency)
	out.ServerChecks = after.Checks - before.Checks
	if out.ServerChecks > 0 {
		out.ServerCPU = (after.CPU - before.CPU) * 1e6 / float64(out.ServerChecks)
	}
	return emit(cmd, out, func(w io.Writer) { out.print(w) })
}

// latency gives the distribution that counts, and behind it what was measured, if that
// is another.
func (o *benchCheckOptions) latency(r *client.LoadResult) []namedLatency {
	if o.Rate > 0 {
		return []namedLatency{{"from the moment of arrival", r.Latency}}
	}
	return []namedLatency{{"corrected", r.Corrected()}, {"as measured", r.Latency}}
}

func (o *benchCheckOptions) title(r *client.LoadResult) string {
	title := fmt.Sprintf("%s: %s checks a second", o.Mode, many(int64(float64(r.Checks)/r.Seconds)))
	if o.Rate > 0 {
		title += fmt.Sprintf(" of %s", many(int64(o.Rate)))
	}
	return title
}

func (o *benchCheckOptions) figures(r *client.LoadResult, latency *hdrhistogram.Histogram) benchCheckJSON {
	out := benchCheckJSON{ChecksPerSecond: float64(r.Checks) / r.Seconds, Goodput: float64(r.Checks-min(r.Errors, r.Checks)) / r.Seconds,
		P50: latency.ValueAtPercentile(50), P99: latency.ValueAtPercentile(99), P999: latency.ValueAtPercentile(99.9),
		Errors: r.Errors, Refused: r.Refused, Checks: r.Checks, Seconds: r.Seconds, Rate: o.Rate, Unsent: r.Unsent}
	if o.Rate == 0 {
		measured := r.Latency
		out.Uncorrected = &uncorrectedJSON{measured.ValueAtPercentile(50), measured.ValueAtPercentile(99), measured.ValueAtPercentile(99.9)}
	}
	return out
}

func (out *benchCheckJSON) print(w io.Writer) {
	fmt.Fprintf(w, "%s checks a second (%s in %.1f s, %s by the node's count, %s errors, %s refused); p50 %d us, p99 %d us, p99.9 %d us; %.1f us of the node's CPU a check\n",
		many(int64(out.ChecksPerSecond)), many(out.Checks), out.Seconds, many(out.ServerChecks), many(out.Errors), many(out.Refused), out.P50, out.P99, out.P999, out.ServerCPU)
	if out.Rate > 0 {
		fmt.Fprintf(w, "%s came a second; %s were not sent before the end\n", many(int64(out.Rate)), many(out.Unsent))
	}
}
