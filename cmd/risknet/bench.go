package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/spf13/cobra"

	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/risk"
)

func newBenchCommand() *cobra.Command {
	return newNoun("bench", "Measure a network from outside",
		newBenchCheckCommand(), newBenchPublishCommand(), newBenchImportCommand())
}

// undoTime is how long it may take to put the rules of before in force again.
const undoTime = 30 * time.Second

// benchPrepare lists the hits and publishes the rules; undo takes the rules back.
func benchPrepare(cmd *cobra.Command, c *client.Client, l client.Load, ruleCount int) (undo func(), err error) {
	undo = func() {}
	if l.Hits == 0 && ruleCount == 0 {
		return undo, nil
	}
	signer, err := client.NewAuthor(cmd.Context(), c)
	if err != nil {
		return undo, err
	}
	if l.Hits > 0 {
		if _, err := benchList(cmd, c, signer, strings.NewReader(client.BenchListed()), nil); err != nil {
			return undo, err
		}
	}
	if ruleCount == 0 {
		return undo, nil
	}
	sets, err := c.RuleSets(cmd.Context())
	if err != nil {
		return undo, err
	}
	version, err := c.PublishRules(cmd.Context(), signer, client.BenchRules(ruleCount))
	if err != nil {
		return undo, err
	}
	if sets.Active != 0 {
		undo = func() { benchUndo(cmd, c, signer, sets.Active) }
	}
	if _, err := client.ActivateRules(cmd.Context(), signer, version); err != nil {
		undo() // nobody knows whether they are in force
		return undo, err
	}
	return undo, nil
}

// benchUndo puts a rule set in force again, also when the benchmark was interrupted.
func benchUndo(cmd *cobra.Command, c *client.Client, signer *client.Author, version uint32) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(cmd.Context()), undoTime)
	defer cancel()
	sets, err := c.RuleSets(ctx)
	if err == nil && sets.Active != version {
		_, err = client.ActivateRules(ctx, signer, version)
	}
	if err != nil {
		note(cmd, "the benchmark's rules may be in force still: %v; run risknet rules activate %d", err, version)
	}
}

// benchList reports devices for an hour, from now also where they stand already.
func benchList(cmd *cobra.Command, c *client.Client, to client.Sender, in io.Reader, progress func(int)) (client.ImportResult, error) {
	template := client.NewReport(risk.KindDevice, time.Now())
	if err := template.Set("expires", "1h"); err != nil {
		return client.ImportResult{}, err
	}
	lines, err := template.OpenRows(in, time.Now(), client.RowOptions{Format: client.FormatValues})
	if err != nil {
		return client.ImportResult{}, err
	}
	keys, err := c.Keyring(cmd.Context())
	if err != nil {
		return client.ImportResult{}, err
	}
	im := &client.Importer{Template: template, Keys: keys, To: to, Progress: progress}
	return im.Run(cmd.Context(), lines)
}

type benchPublishJSON struct {
	P50      float64 `json:"p50_ms"`
	P99      float64 `json:"p99_ms"`
	Max      float64 `json:"max_ms"`
	OwnP50   float64 `json:"own_p50_ms"`
	OwnP99   float64 `json:"own_p99_ms"`
	LiftP50  float64 `json:"lift_p50_ms"`
	LiftP99  float64 `json:"lift_p99_ms"`
	Count    int     `json:"count"`
	Nodes    int     `json:"nodes"`
	Failures int     `json:"failures"`
	Every    float64 `json:"every_ms"`
}

func newBenchPublishCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "publish", Short: "Measure the time from a report, and from a lift, until every node answers by it",
		Long: "Reports devices, each for an hour, and lifts them again. The time runs from the sending\n" +
			"of the command to the answer of the last node that goes by it; a question waits at each\n" +
			"node beforehand, so that asking takes no part of it.",
		Example: "  risknet bench publish --count 100 --every 100ms -o json", Args: cobra.NoArgs}
	count := cmd.Flags().Int("count", 100, "reports")
	every := daysFlag(cmd, "every", 0, "from one report to the next, each lifted half-way between; 0: one after the other")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *count < 1 {
			return usagef("count: must be at least 1")
		}
		pace := client.Pace{Count: *count, Every: time.Duration(*every)}
		if pace.Every < 0 {
			return usagef("every: must not be negative")
		}
		c, signer, err := author(cmd)
		if err != nil {
			return err
		}
		defer c.Close()
		m := newMeter(cmd, "publish", int64(*count))
		defer m.end()
		pace.Done = m.done
		spread, err := c.MeasurePublish(cmd.Context(), signer, pace)
		m.end()
		if err != nil {
			return err
		}
		out := benchPublishJSON{millisAt(spread.All, 50), millisAt(spread.All, 99), millisAt(spread.All, 100),
			millisAt(spread.Own, 50), millisAt(spread.Own, 99),
			millisAt(spread.AllLift, 50), millisAt(spread.AllLift, 99), *count, spread.Nodes, spread.Failures,
			float64(pace.Every.Microseconds()) / 1000}
		return emit(cmd, out, func(w io.Writer) {
			fmt.Fprintf(w, "on all %d nodes after p50 %.1f ms, p99 %.1f ms (own node p50 %.1f ms), lifts p50 %.1f ms, p99 %.1f ms; %d of %d failed\n",
				out.Nodes, out.P50, out.P99, out.OwnP50, out.LiftP50, out.LiftP99, out.Failures, 2*out.Count)
		})
	}
	return cmd
}

func millisAt(h *hdrhistogram.Histogram, percentile float64) float64 {
	return float64(h.ValueAtPercentile(percentile)) / 1000
}

type benchImportJSON struct {
	PerSecond float64 `json:"per_s"`
	Seconds   float64 `json:"seconds"`
	Accepted  int     `json:"accepted"`
	Rejected  int     `json:"rejected"`
	Size      uint64  `json:"size"`
}

func newBenchImportCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "import", Short: "Measure how fast new listings are taken in",
		Long:    "Reports made-up devices, for an hour each, and counts how many are taken in a second.",
		Example: "  risknet bench import --count 100000 -o json", Args: cobra.NoArgs}
	count := cmd.Flags().Int("count", 100_000, "listings")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *count < 1 {
			return usagef("count: must be at least 1")
		}
		c, signer, err := author(cmd)
		if err != nil {
			return err
		}
		defer c.Close()
		m := newMeter(cmd, "import", int64(*count))
		defer m.end()
		start := time.Now()
		result, err := benchList(cmd, c, signer, client.BenchValues(*count, start), m.done)
		m.end()
		if err != nil {
			return err
		}
		took := time.Since(start).Seconds()
		out := benchImportJSON{float64(result.Accepted) / took, took, result.Accepted, result.Rejected, result.Size}
		return emit(cmd, out, func(w io.Writer) {
			fmt.Fprintf(w, "%s listings a second (%s in %.1f s)\n", many(int64(out.PerSecond)), many(out.Accepted), out.Seconds)
		})
	}
	return cmd
}
