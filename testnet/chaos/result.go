package chaos

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

// Result is what one go at a row measured: a line of the results file.
type Result struct {
	Row        string            `json:"row"`
	What       string            `json:"what"`
	Nodes      int               `json:"nodes"`
	Began      time.Time         `json:"began"`
	Seconds    float64           `json:"seconds"`
	Runs       int               `json:"runs"`
	Seed       uint64            `json:"seed"`
	Acked      uint64            `json:"acked"`      // subjects whose change was acknowledged
	Answers    uint64            `json:"answers"`    // checks judged
	Operations int               `json:"operations"` // judged by porcupine
	Broken     map[Invariant]int `json:"broken"`
	Violations []Violation       `json:"violations,omitempty"`
	HealMillis []int64           `json:"heal_ms"`              // from the end of the fault to health
	Images     int               `json:"images,omitempty"`     // installed
	Failover   []int64           `json:"failover_ms"`          // from the kill of a leader to the next acknowledged write
	Hits       map[string]int    `json:"hits,omitempty"`       // by crash point
	Peaks      Peaks             `json:"peaks"`                // of any process
	Simulated  float64           `json:"simulated_s,omitzero"` // seconds of fake time
	Outcomes   map[string]int    `json:"outcomes,omitempty"`   // of damage to a file
	Skipped    string            `json:"skipped,omitempty"`    // why this machine cannot run the row
	Notes      []string          `json:"notes,omitempty"`      // what a reader of the page should know
	Unreached  map[string]string `json:"unreached,omitzero"`   // crash points that were not hit, and why
}

// Peaks are the largest figures that a process showed.
type Peaks struct {
	ResidentMiB int `json:"resident_mib"`
	Descriptors int `json:"descriptors"`
	Goroutines  int `json:"goroutines"`
	DiskMiB     int `json:"disk_mib"`
}

// Cover takes over what is larger in another.
func (p *Peaks) Cover(o Peaks) {
	p.ResidentMiB, p.Descriptors = max(p.ResidentMiB, o.ResidentMiB), max(p.Descriptors, o.Descriptors)
	p.Goroutines, p.DiskMiB = max(p.Goroutines, o.Goroutines), max(p.DiskMiB, o.DiskMiB)
}

// AppendResult adds a line to a results file.
func AppendResult(file string, r *Result) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	out, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := out.Write(append(line, '\n')); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

// ReadResults reads a results file.
func ReadResults(file string) ([]Result, error) {
	in, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	var all []Result
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue
		}
		var r Result
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", file, len(all)+1, err)
		}
		all = append(all, r)
	}
	return all, lines.Err()
}

// Merge joins the goes at one row. A go that was skipped counts only if no other
// ran.
func Merge(all []Result) []Result {
	var rows []Result
	for i := range all {
		r := &all[i]
		at := slices.IndexFunc(rows, func(o Result) bool { return o.Row == r.Row })
		switch {
		case at < 0:
			rows = append(rows, *r)
		case rows[at].Skipped != "":
			rows[at] = *r
		case r.Skipped == "":
			rows[at].add(r)
		}
	}
	return rows
}

func (r *Result) add(o *Result) {
	r.Seconds, r.Runs = r.Seconds+o.Seconds, r.Runs+o.Runs
	r.Acked, r.Answers, r.Operations = r.Acked+o.Acked, r.Answers+o.Answers, r.Operations+o.Operations
	r.Images += o.Images
	r.Simulated += o.Simulated
	r.Outcomes = addCounts(r.Outcomes, o.Outcomes)
	r.Broken = addCounts(r.Broken, o.Broken)
	r.Hits = addCounts(r.Hits, o.Hits)
	r.Violations = append(slices.Clone(r.Violations), o.Violations...)
	r.HealMillis = append(slices.Clone(r.HealMillis), o.HealMillis...)
	r.Failover = append(slices.Clone(r.Failover), o.Failover...)
	r.Peaks.Cover(o.Peaks)
	r.What, r.Nodes, r.Unreached = o.What, o.Nodes, o.Unreached
	for _, note := range o.Notes {
		if !slices.Contains(r.Notes, note) {
			r.Notes = append(slices.Clone(r.Notes), note)
		}
	}
}

// note says something to the reader of the page, once.
func (r *Result) note(format string, args ...any) {
	if text := withoutPaths(fmt.Sprintf(format, args...)); !slices.Contains(r.Notes, text) && len(r.Notes) < 12 {
		r.Notes = append(r.Notes, text)
	}
}

var directories = regexp.MustCompile(`/(?:[\w.\-]+/)+`)

// withoutPaths leaves out where files lie: that is another place at each run.
func withoutPaths(text string) string { return directories.ReplaceAllString(text, "…/") }

func addCounts[K comparable](a, b map[K]int) map[K]int {
	sum := map[K]int{}
	for _, m := range []map[K]int{a, b} {
		for k, n := range m {
			sum[k] += n
		}
	}
	return sum
}

// Percentile gives the value below which a share of a list lies.
func Percentile(list []int64, share float64) int64 {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))]
}
