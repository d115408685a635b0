package chaos

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestRowsMeasuredInSeveralGoesAreOneRowOfThePage(t *testing.T) {
	file := filepath.Join(t.TempDir(), "docs", "results.jsonl")
	for _, r := range []Result{
		{Row: "kill", What: "SIGKILL", Nodes: 3, Runs: 20, HealMillis: []int64{100, 900}, Hits: map[string]int{"store: a": 2}},
		{Row: "disk", What: "full disk", Skipped: "no loop devices"},
		{Row: "kill", What: "SIGKILL", Nodes: 3, Runs: 5, Broken: map[Invariant]int{NeverClear: 3}, Hits: map[string]int{"store: a": 1},
			Violations: []Violation{{Invariant: NeverClear, Node: "n2", Text: "x was answered clear"}}, Failover: []int64{1500}},
	} {
		if err := AppendResult(file, &r); err != nil {
			t.Fatal(err)
		}
	}
	all, err := ReadResults(file)
	if err != nil {
		t.Fatal(err)
	}
	page := Page(all, []string{"store: a", "store: b"})
	for _, want := range []string{
		"| SIGKILL | 3 | 25 | 0 | 0 | 0 | 0 | 0 | 0 | 3 | 0 | 0 | 0 | 0 | 0 | 0 |",
		"25 runs, 3 violations.", "| store: a | 3 |", "| store: b | 0 |",
		"**full disk** was not run here: no loop devices.", "over 1 kills: p50 1.5s",
		"violation of I7 on n2: x was answered clear", "900ms / 900ms",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
}

func TestAResultsFileWithABadLineSaysWhere(t *testing.T) {
	file := filepath.Join(t.TempDir(), "results.jsonl")
	if err := os.WriteFile(file, []byte("{\"row\":\"kill\"}\n{broken\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadResults(file); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("read: %v, want an error that names line 2", err)
	}
}

func TestTheResultsDoNotSayWhereFilesLie(t *testing.T) {
	var r Result
	r.note("open /var/run/net-1/data/raft/mark: %s", "no space")
	if want := "open …/mark: no space"; !slices.Equal(r.Notes, []string{want}) {
		t.Errorf("notes: %q, want %q", r.Notes, want)
	}
}

func TestCrashPointsAreFoundInTheSource(t *testing.T) {
	dir := t.TempDir()
	source := "package p\n\nfunc f() {\n\tfault.Point(\"store: b\")\n\tfault.Point(\"store: a\")\n\tother.Point(\"no\")\n}\n"
	for name, text := range map[string]string{"p.go": source, "p_test.go": strings.ReplaceAll(source, "store", "test")} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	points, err := CrashPoints(dir)
	if err != nil || !slices.Equal(points, []string{"store: a", "store: b"}) {
		t.Errorf("points: %v, %v", points, err)
	}
}
