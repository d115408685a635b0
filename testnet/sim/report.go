package sim

import (
	"encoding/json"
	"os"
	"strings"
	"sync"
)

// Invariants are what every run is held to.
var Invariants = []string{"I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "I10", "linearizable"}

// line is one run in the report.
type line struct {
	Fault      string         `json:"fault"`
	Seed       uint64         `json:"seed"`
	Scenario   string         `json:"scenario"`
	Runs       int            `json:"runs"`
	Events     map[string]int `json:"events"` // how often each sentence came
	Simulated  float64        `json:"simulated_seconds"`
	Real       float64        `json:"real_seconds"`
	Commands   int            `json:"commands"`
	Checks     int            `json:"checks"`
	Subjects   int            `json:"subjects"`
	Undecided  int            `json:"undecided"`
	Violations map[string]int `json:"violations"` // by invariant; expect and end are what a scenario asked for
}

var reporting sync.Mutex

// Report adds a run to a file, a line of JSON. No file takes nothing.
func (r *Result) Report(file string, real float64) error {
	if file == "" {
		return nil
	}
	out := line{Fault: r.Scenario, Seed: r.Seed, Scenario: r.Scenario, Runs: 1, Events: r.Faults,
		Simulated: r.Simulated.Seconds(), Real: real, Commands: r.Commands, Checks: r.Checks,
		Subjects: r.Subjects, Undecided: r.Undecided, Violations: map[string]int{}}
	if _, kind, found := strings.Cut(strings.TrimPrefix(r.Scenario, "seed-"), "-"); found && strings.HasPrefix(r.Scenario, "seed-") {
		out.Fault = kind
	}
	for _, name := range Invariants {
		out.Violations[name] = 0
	}
	for _, v := range r.Violations {
		out.Violations[v.Invariant]++
	}
	text, err := json.Marshal(out)
	if err != nil {
		return err
	}
	reporting.Lock()
	defer reporting.Unlock()
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.Write(append(text, '\n'))
	return err
}
