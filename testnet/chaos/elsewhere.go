package chaos

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"
)

// What other rooms measure stands in the same results file, under rows that
// begin with these words.
const (
	simulated = "simulated/"
	damage    = "damage/"
)

// elsewhere reports whether a row was measured in another room.
func (r *Result) elsewhere() bool {
	return strings.HasPrefix(r.Row, simulated) || strings.HasPrefix(r.Row, damage)
}

// ReadSimulated reads the report of testnet/sim: a result for each kind of fault.
func ReadSimulated(file string, began time.Time) ([]Result, error) {
	return readLines(file, func(text []byte) (Result, error) {
		var in struct {
			Fault      string         `json:"fault"`
			Seed       uint64         `json:"seed"`
			Runs       int            `json:"runs"`
			Simulated  float64        `json:"simulated_seconds"`
			Real       float64        `json:"real_seconds"`
			Checks     uint64         `json:"checks"`
			Commands   uint64         `json:"commands"`
			Violations map[string]int `json:"violations"`
		}
		err := json.Unmarshal(text, &in)
		out := Result{Row: simulated + in.Fault, What: in.Fault, Began: began, Seconds: in.Real, Runs: in.Runs, Seed: in.Seed,
			Acked: in.Commands, Answers: in.Checks, Simulated: in.Simulated, Broken: map[Invariant]int{}}
		for name, n := range in.Violations {
			if name == "linearizable" {
				name = "LIN"
			}
			if n > 0 {
				out.Broken[Invariant(name)] += n
			}
		}
		return out, err
	})
}

// ReadDamage reads the report of the store's damaged files: a result for each
// kind of file.
func ReadDamage(file string, began time.Time) ([]Result, error) {
	return readLines(file, func(text []byte) (Result, error) {
		var in struct {
			File    string `json:"file"`
			Outcome string `json:"outcome"`
			Runs    int    `json:"runs"`
		}
		err := json.Unmarshal(text, &in)
		return Result{Row: damage + in.File, What: in.File, Began: began, Runs: in.Runs, Outcomes: map[string]int{in.Outcome: in.Runs}}, err
	})
}

// readLines gives one result for each row.
func readLines(file string, read func([]byte) (Result, error)) ([]Result, error) {
	in, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	var all []Result
	lines := bufio.NewScanner(in)
	for n := 1; lines.Scan(); n++ {
		r, err := read(lines.Bytes())
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, n, err)
		}
		all = append(all, r)
	}
	return Merge(all), lines.Err()
}

func simulatedTable(page *strings.Builder, rows []Result) {
	judged := []Invariant{"I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "I10", "LIN"}
	head, days, violations := false, 0.0, 0
	for i := range rows {
		r := &rows[i]
		if !strings.HasPrefix(r.Row, simulated) {
			continue
		}
		if !head {
			head = true
			page.WriteString("\n## On fake time\n\nThe same node code in one process, over a network in memory and on a clock that jumps to the next event (`testnet/sim`, which says what its model can and cannot do). A seed repeats its scenario.\n\n| fault | runs | simulated hours | checks |")
			for _, name := range judged {
				fmt.Fprintf(page, " %s |", name)
			}
			page.WriteString("\n|---|---|---|---|" + strings.Repeat("---|", len(judged)) + "\n")
		}
		fmt.Fprintf(page, "| %s | %d | %.1f | %d |", r.What, r.Runs, r.Simulated/3600, r.Answers)
		for _, name := range judged {
			fmt.Fprintf(page, " %d |", r.Broken[name])
			violations += r.Broken[name]
		}
		page.WriteString("\n")
		days += r.Simulated / 86400
	}
	if head {
		fmt.Fprintf(page, "\n%.2f simulated cluster-days, %d violations.\n", days, violations)
	}
}

// The outcomes of a damaged file, as the store's test names them.
var outcomes = []string{"refused at open", "refused when asked", "refused when installed", "the same answers",
	"goes on from what was synced, or later", "violation"}

func damageTable(page *strings.Builder, rows []Result) {
	head, total, violations := false, 0, 0
	for i := range rows {
		r := &rows[i]
		if !strings.HasPrefix(r.Row, damage) {
			continue
		}
		if !head {
			head = true
			page.WriteString("\n## Damaged files\n\nOne bit turned or the tail cut off, at random, in a file of a state that is closed; then it is opened, every listing, leaf and record is asked for, and more is applied (`store`, TestDamageIsRefusedOrHarmless). The log's files have their own test in `consensus`, the anchor's in `node`; the rows above damage files of stopped nodes.\n\n| file | runs |")
			for _, name := range outcomes {
				fmt.Fprintf(page, " %s |", name)
			}
			page.WriteString("\n|---|---|" + strings.Repeat("---|", len(outcomes)) + "\n")
		}
		fmt.Fprintf(page, "| %s | %d |", r.What, r.Runs)
		for _, name := range outcomes {
			fmt.Fprintf(page, " %d |", r.Outcomes[name])
		}
		page.WriteString("\n")
		total, violations = total+r.Runs, violations+r.Outcomes["violation"]
	}
	if head {
		fmt.Fprintf(page, "\n%d damages, %d violations.\n", total, violations)
	}
}
