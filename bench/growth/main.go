// Command growth measures what a server without a vote costs the leader: real raft over
// mutual TLS with the log on disk, three voters, and more and more servers beside them.
//
//	go run ./bench/growth -out docs
//
// The leader is a process of its own, so that its CPU can be told from that of the
// others, which share another and discard what they apply. The leader discards too: what
// it costs to apply a command does not depend on who else does. Each line of the output
// is one measurement as JSON; the plot is the CPU of the leader over the servers.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/risknet/risknet/consensus"
)

// leaderRole is the first argument of the process that leads.
const leaderRole = "lead"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "growth:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	if len(args) == 2 && args[0] == leaderRole {
		return lead(ctx, args[1], in, out)
	}
	flags := flag.NewFlagSet("growth", flag.ContinueOnError)
	counts := flags.String("non-voters", "0,10,25,50", "how many servers without a vote, in rising order")
	duration := flags.Duration("duration", 20*time.Second, "of each measurement")
	plots := flags.String("out", "", "write growth.svg into this directory")
	if err := flags.Parse(args); err != nil {
		return err
	}
	var steps []int
	for word := range strings.SplitSeq(*counts, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < 0 || len(steps) > 0 && n <= steps[len(steps)-1] {
			return fmt.Errorf("non-voters: %q: give numbers in rising order", *counts)
		}
		steps = append(steps, n)
	}
	measured, err := grow(ctx, steps, *duration, out)
	if err != nil || *plots == "" {
		return err
	}
	return draw(filepath.Join(*plots, "growth.svg"), measured)
}

// loads are what the leader is given to order: nothing, reports as they come in, and an
// import. The sizes are those of commands with one listing and with 512.
var loads = []load{
	{Name: "idle"},
	{Name: "reports", Items: 1, Bytes: 612, PerSecond: 100},
	{Name: "import", Items: 512, Bytes: 212_166, PerSecond: 5},
}

type load struct {
	Name      string
	Items     int
	Bytes     int
	PerSecond int
}

// row is one measurement.
type row struct {
	NonVoters int     `json:"non_voters"`
	Load      string  `json:"load"`
	Items     int     `json:"items_per_command"`
	Bytes     int     `json:"bytes_per_command"`
	PerSecond float64 `json:"commands_per_s"`
	Share     float64 `json:"leader_cpu_share"` // of one core
	// Command is the leader's CPU for one command, above what it uses when idle. Commands
	// take the place of some of an idle leader's messages, so it costs a little more.
	Command float64 `json:"leader_us_per_command,omitempty"`
	// Each is what one server without a vote adds, against none: to a command, and to
	// the idle leader in thousandths of a core.
	Each     float64 `json:"per_non_voter_us_per_command,omitempty"`
	EachIdle float64 `json:"per_non_voter_idle_millicores,omitempty"`
	P50      float64 `json:"commit_p50_ms,omitempty"`
}

// grow measures every load at every number of servers.
func grow(ctx context.Context, steps []int, duration time.Duration, out io.Writer) ([]row, error) {
	dir, err := os.MkdirTemp("", "growth-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	servers := steps[len(steps)-1] + 3
	if err := issue(dir, servers); err != nil {
		return nil, err
	}
	leader, err := startLeader(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer leader.stop()
	f := &fleet{dir: dir}
	defer f.stop()
	var rows []row
	for _, n := range steps {
		if err := f.growTo(n + 2); err != nil {
			return nil, err
		}
		joined, err := leader.ask(order{Members: f.members()})
		if err != nil {
			return nil, err
		}
		if err := f.await(ctx, joined.Last); err != nil {
			return nil, err
		}
		var idle row
		for _, l := range loads {
			result, err := leader.ask(order{Load: &l, Duration: duration})
			if err != nil {
				return nil, err
			}
			r := rowOf(n, l, result, &idle, rows)
			rows = append(rows, r)
			if err := json.NewEncoder(out).Encode(r); err != nil {
				return nil, err
			}
		}
	}
	return rows, nil
}

// rowOf compares a result with that of the idle leader, and with the first of its load.
func rowOf(n int, l load, result answer, idle *row, rows []row) row {
	r := row{NonVoters: n, Load: l.Name, Items: l.Items, Bytes: l.Bytes, PerSecond: float64(result.Commands) / result.Seconds,
		Share: result.CPU / result.Seconds, P50: result.P50 * 1000}
	if result.Commands == 0 {
		*idle = r
	} else {
		r.Command = (r.Share - idle.Share) / r.PerSecond * 1e6
	}
	for _, first := range rows {
		if first.Load == l.Name && n > first.NonVoters {
			if more := float64(n - first.NonVoters); result.Commands > 0 {
				r.Each = (r.Command - first.Command) / more
			} else {
				r.EachIdle = (r.Share - first.Share) / more * 1000
			}
			break
		}
	}
	return r
}

// order is what the leader is told, a line of JSON each, and answer what it says.
type order struct {
	Members  []consensus.Server
	Load     *load
	Duration time.Duration
}

type answer struct {
	Error    string
	Commands int
	Seconds  float64
	CPU      float64 // seconds
	P50      float64 // seconds until a command was applied here
	Last     uint64  // entry
}
