//go:build chaos

package chaos

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMatrix measures the rows that were asked for and writes the page.
func TestMatrix(t *testing.T) {
	root := moduleRoot(t)
	m := &matrix{dir: workDir(t), runs: number(t, "RISKNET_CHAOS_RUNS", 20),
		seed: uint64(number(t, "RISKNET_CHAOS_SEED", int(time.Now().Unix())))}
	var err error
	if m.points, err = CrashPoints(root); err != nil {
		t.Fatal(err)
	}
	all := m.points
	if names := os.Getenv("RISKNET_CHAOS_POINTS"); names != "" {
		m.points = slices.DeleteFunc(slices.Clone(all), func(p string) bool {
			return !slices.ContainsFunc(strings.Split(names, ","), func(room string) bool { return strings.HasPrefix(p, room+":") })
		})
	}
	m.program = filepath.Join(t.TempDir(), "risknet")
	build := exec.Command("go", "build", "-tags", "faults", "-o", m.program, "./cmd/risknet")
	build.Dir = root
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, text)
	}
	file := os.Getenv("RISKNET_CHAOS_RESULTS")
	if file == "" {
		file = filepath.Join(root, "docs", "reliability.jsonl")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	m.hitGoal = number(t, "RISKNET_CHAOS_HITS", 50)
	before, err := ReadResults(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, r := range before {
		m.hits = addCounts(m.hits, r.Hits)
	}
	some, others := chosen(t)
	for _, w := range some {
		t.Run(w.name, func(t *testing.T) {
			m.logf = t.Logf
			result, err := m.measure(ctx, &w)
			if err != nil {
				t.Errorf("%v", err)
			}
			for i, count := range result.Broken {
				t.Errorf("%s was broken %d times", i, count)
			}
			if result.Runs == 0 && result.Skipped == "" {
				return
			}
			if err := AppendResult(file, result); err != nil {
				t.Error(err)
			}
		})
	}
	for _, name := range others {
		t.Run(name, func(t *testing.T) { measureElsewhere(ctx, t, root, name, file) })
	}
	page := filepath.Join(root, "docs", "reliability.md")
	if path := os.Getenv("RISKNET_CHAOS_PAGE"); path != "" {
		page = path
	}
	writePage(t, file, page, all)
}

// chosen gives the rows to measure here, and the names of those that other rooms
// measure.
func chosen(t *testing.T) ([]row, []string) {
	all, some, others := rows(), []row(nil), []string(nil)
	names := os.Getenv("RISKNET_CHAOS_ROWS")
	if names == "" {
		for _, e := range elsewhereRows {
			others = append(others, e.name)
		}
		return all, others
	}
	for name := range strings.SplitSeq(names, ",") {
		at := slices.IndexFunc(all, func(w row) bool { return w.name == name })
		if at >= 0 {
			some = append(some, all[at])
			continue
		}
		if name != "page" && !slices.ContainsFunc(elsewhereRows, func(e elsewhereRow) bool { return e.name == name }) {
			t.Fatalf("RISKNET_CHAOS_ROWS: there is no row %q", name)
		}
		others = append(others, name) // "page" measures nothing and writes the page
	}
	return some, others
}

func writePage(t *testing.T, results, page string, points []string) {
	all, err := ReadResults(results)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(page, []byte(Page(all, points)), 0o644); err != nil {
		t.Fatal(err)
	}
}

func number(t *testing.T, name string, otherwise int) int {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %q is not a number", name, text)
	}
	return n
}

func workDir(t *testing.T) string {
	base := os.Getenv("RISKNET_CHAOS_DIR")
	if base == "" {
		base = os.TempDir()
	}
	// The path of a node's fault control socket has at most 107 bytes.
	dir, err := os.MkdirTemp(base, "rn")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !t.Failed() {
			_ = os.RemoveAll(dir)
		}
	})
	return dir
}

func moduleRoot(t *testing.T) string {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(strings.TrimSpace(string(out)))
}
