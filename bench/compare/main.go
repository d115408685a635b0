// Command compare measures what the project promises side by side with what a user
// would have in its place, in one run on one machine, and writes bench/RESULTS.md:
// absolute times of a machine that others share mean little, ratios say something.
//
//	go run ./bench/compare [--rows unary,stream,…] [--goes 5] [--for 5s] [--out bench/RESULTS.md]
//
// It builds risknet, starts networks in directories of their own, and takes them away
// at the end. Rows that need Redis install it where the distribution's packages can be
// had (apt-get, as root), and say so where they cannot. All of it takes about an hour,
// 20 GB of disk and 12 GB of memory; --rows measures some of it, and the report keeps
// the latest figures of the others.
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
	members int // of the set that the Redis rows ask
	million int // listings of the rows that import a million
	many    int // listings of the rows with ten million
	checks  int // answers that are judged
	out     string
}

func main() {
	var o options
	flag.StringVar(&o.rows, "rows", "", "only these rows, by name")
	flag.IntVar(&o.goes, "goes", 5, "measurements of each side of a row, in turn; the median counts")
	flag.DurationVar(&o.each, "for", 5*time.Second, "how long one measurement takes")
	flag.IntVar(&o.members, "members", 1_000_000, "members of the set that the Redis rows ask")
	flag.IntVar(&o.million, "million", 1_000_000, "listings of the rows that import a million")
	flag.IntVar(&o.many, "many", 10_000_000, "listings of the rows with ten million")
	flag.IntVar(&o.checks, "checks", 10_000_000, "answers to judge under load")
	flag.StringVar(&o.out, "out", "bench/RESULTS.md", "the report; its figures (.jsonl) and its plot (.svg) lie beside it")
	again := flag.Bool("report", false, "measure nothing and write the report of what is kept")
	echo := echoFlags()
	flag.Parse()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	run := func() error { return compare(ctx, o) }
	if *again {
		run = func() error { return report(o) }
	}
	if echo.listen != "" {
		run = func() error { return echo.serve(ctx) }
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

func compare(ctx context.Context, o options) error {
	program, err := build(ctx)
	if err != nil {
		return err
	}
	defer program.remove()
	suites, known := suitesOf(o), map[string]bool{}
	for _, s := range suites {
		for _, t := range s.trials {
			for _, r := range t.rows {
				known[r.name] = true
			}
		}
	}
	wanted := func(name string) bool { return o.rows == "" || slices.Contains(strings.Split(o.rows, ","), name) }
	for name := range strings.SplitSeq(o.rows, ",") {
		if name != "" && !known[name] {
			return fmt.Errorf("rows: there is none named %q", name)
		}
	}
	for _, s := range suites {
		if err := s.run(ctx, o, program, wanted); err != nil {
			return err
		}
	}
	return report(o)
}

// suite is trials of one network, or of none.
type suite struct {
	network *network
	trials  []trial
}

// run starts the network if one of its rows is wanted, and keeps each row as soon as
// it is measured: a run can be broken off.
func (s *suite) run(ctx context.Context, o options, program *program, wanted func(string) bool) error {
	started := false
	for i := range s.trials {
		t := &s.trials[i]
		if !slices.ContainsFunc(t.rows, func(r row) bool { return wanted(r.name) }) {
			continue
		}
		if !started && s.network != nil {
			if err := s.network.start(ctx, program); err != nil {
				return err
			}
			defer s.network.close()
			started = true
		}
		results := t.run(ctx, o.goes)
		if err := ctx.Err(); err != nil {
			return err
		}
		for i := range results {
			fmt.Println(results[i].line())
		}
		if err := keep(o, results); err != nil {
			return err
		}
	}
	return nil
}
