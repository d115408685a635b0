// Command compare measures what the project promises side by side with what a user
// would have in its place, in one run on one machine, and writes bench/RESULTS.md:
// absolute times of a machine that others share mean little, ratios say something.
//
//	go run ./bench/compare [--rows unary,stream,…] [--goes 5] [--for 5s] [--members 1000000] [--out bench/RESULTS.md]
//
// It builds risknet, starts a network of one node in a directory of its own, and
// takes both away at the end. Rows that need Redis say so where there is none
// (Debian: apt-get install redis-server redis-tools).
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"
)

type options struct {
	rows    string
	goes    int
	each    time.Duration
	members int
	out     string
}

func main() {
	var o options
	flag.StringVar(&o.rows, "rows", "", "only these rows, by name")
	flag.IntVar(&o.goes, "goes", 5, "measurements of each side of a row, in turn; the median counts")
	flag.DurationVar(&o.each, "for", 5*time.Second, "how long one measurement takes")
	flag.IntVar(&o.members, "members", 1_000_000, "members of the set that the Redis rows ask")
	flag.StringVar(&o.out, "out", "bench/RESULTS.md", "the report; its plot lies beside it")
	echo := echoFlags()
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	run := func() error { return compare(ctx, o) }
	if echo.listen != "" {
		run = func() error { return echo.serve(ctx) }
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

// row is one promise: two sides that are measured in turn, in the same unit.
type row struct {
	name, what string
	peer       string // what stands beside us
	unit       string
	reach      float64 // the ratio to reach, and
	least      float64 // the figure of ours, if it is not zero
	prepare    func(ctx context.Context) (done func(), err error)
	theirs     func(ctx context.Context) (float64, error)
	ours       func(ctx context.Context) (float64, error)
}

// measured is a row with its figures, or with why there are none.
type measured struct {
	row
	theirsAll, oursAll []float64
	missing            string
}

func compare(ctx context.Context, o options) error {
	net, err := newNetwork(ctx)
	if err != nil {
		return err
	}
	defer net.close()
	rows := append(net.checkRows(o), net.redisRows(o)...)
	var results []measured
	for _, r := range rows {
		if o.rows != "" && !slices.Contains(strings.Split(o.rows, ","), r.name) {
			continue
		}
		one, err := r.measure(ctx, o.goes)
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		fmt.Println(one.line())
		results = append(results, one)
	}
	return report(o, results)
}

// errMissing says what a row needs and this machine does not have.
type errMissing struct{ text string }

func (e errMissing) Error() string { return e.text }

// measure takes both sides in turn, so that a slow minute of the machine is both's.
func (r row) measure(ctx context.Context, goes int) (measured, error) {
	m := measured{row: r}
	if r.prepare != nil {
		done, err := r.prepare(ctx)
		if missing, ok := err.(errMissing); ok {
			m.missing = missing.text
			return m, nil
		}
		if err != nil {
			return m, err
		}
		defer done()
	}
	for range goes {
		theirs, err := r.theirs(ctx)
		if err != nil {
			return m, fmt.Errorf("%s: %w", r.peer, err)
		}
		ours, err := r.ours(ctx)
		if err != nil {
			return m, err
		}
		m.theirsAll, m.oursAll = append(m.theirsAll, theirs), append(m.oursAll, ours)
	}
	return m, nil
}

func median(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	n := len(sorted)
	switch {
	case n == 0:
		return 0
	case n%2 == 1:
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}

// ratio is the median of the ratios of each go, for the two sides of one go had the
// same machine.
func (m *measured) ratio() float64 {
	ratios := make([]float64, len(m.oursAll))
	for i := range ratios {
		ratios[i] = m.oursAll[i] / m.theirsAll[i]
	}
	return median(ratios)
}

func (m *measured) reached() bool {
	return m.missing == "" && (m.reach == 0 || m.ratio() >= m.reach) && median(m.oursAll) >= m.least
}

func (m *measured) line() string {
	if m.missing != "" {
		return m.name + ": not measured: " + m.missing
	}
	return fmt.Sprintf("%s: %s %.0f, ours %.0f %s, ratio %.2f", m.name, m.peer, median(m.theirsAll), median(m.oursAll), m.unit, m.ratio())
}
