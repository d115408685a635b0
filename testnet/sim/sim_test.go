package sim

import (
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// quickDir gives a directory in memory if there is one: what is lost in a crash
// is this package's business, so that the disk need not sync.
func quickDir(t *testing.T) string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		if dir, err := os.MkdirTemp("/dev/shm", "risknet-sim-"); err == nil {
			t.Cleanup(func() { os.RemoveAll(dir) })
			return dir
		}
	}
	return t.TempDir()
}

func simLog() *slog.Logger {
	if os.Getenv("RISKNET_SIM_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))
	}
	return slog.New(slog.NewTextHandler(io.Discard, nil))
}

// guard panics, with every stack, when fake time stands still for long: then some
// goroutine waits for what is not of the bubble, or for a lock whose holder waits.
func guard(t *testing.T, run *Run) (end func()) {
	const patience = 3 * time.Minute
	before := run.Progress.Load()
	var timer *time.Timer
	timer = time.AfterFunc(patience, func() {
		now := run.Progress.Load()
		if now == before {
			debug.SetTraceback("all")
			panic(fmt.Sprintf("%s: fake time stands still at %s", t.Name(), time.Duration(now)))
		}
		before = now
		timer.Reset(patience)
	})
	return func() { timer.Stop() }
}

// play runs a scenario and fails the test on what it found.
func play(t *testing.T, s *Scenario, seed uint64) *Result {
	t.Helper()
	dir, real := quickDir(t), time.Now()
	var result *Result
	var err error
	run := Run{Scenario: s, Seed: seed, Dir: dir, Log: simLog(), Progress: new(atomic.Int64)}
	if seed >= FirstLong {
		run.Tune = Unhurried
	}
	defer guard(t, &run)()
	synctest.Test(t, func(*testing.T) { result, err = run.Play() })
	took := time.Since(real)
	if err := result.Report(os.Getenv("RISKNET_SIM_REPORT"), took.Seconds()); err != nil {
		t.Error(err)
	}
	t.Logf("seed %d: %s simulated in %s (%.0f times), %d commands, %d checks, size %d, %d subjects linearizable, at most %d goroutines",
		seed, result.Simulated, took.Round(time.Millisecond), result.Simulated.Seconds()/took.Seconds(),
		result.Commands, result.Checks, result.Size, result.Subjects, result.Goroutines)
	if err != nil || len(result.Violations) > 0 {
		t.Errorf("repeat with RISKNET_SIM_SEED=%d\nscenario %s:\n%s\nwhat happened last:\n%s\n", seed, s.Name, s, result.Story)
	}
	if err != nil {
		t.Error(err)
	}
	for _, v := range result.Violations {
		t.Error(v)
	}
	return result
}

func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("../testdata/*.scenario")
	if err != nil || len(files) == 0 {
		t.Fatal("there are no scenarios", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".scenario")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s, err := Parse(name, string(text))
			if err != nil {
				t.Fatal(err)
			}
			play(t, s, 1)
		})
	}
}

// TestSeeds plays scenarios that a seed makes: a few short ones; with
// RISKNET_SIM_DAYS as many simulated days of a network as it says, in runs of an
// hour from RISKNET_SIM_SEED on; with RISKNET_SIM_SEED alone just that one.
// RISKNET_SIM_REPORT names a file that gets a line of JSON for each run. Ten days
// need go test's -timeout 0.
func TestSeeds(t *testing.T) {
	first, last := uint64(1), uint64(4)
	seed, err := number("RISKNET_SIM_SEED")
	if err != nil {
		t.Fatal(err)
	}
	days, err := number("RISKNET_SIM_DAYS")
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case days > 0:
		first = max(FirstLong, uint64(seed))
		last = first + uint64(math.Ceil(days*24)) - 1
	case seed > 0:
		first, last = uint64(seed), uint64(seed)
	}
	before, limit := debug.SetGCPercent(400), debug.SetMemoryLimit(8<<30) // a world holds little for long
	t.Cleanup(func() {
		debug.SetGCPercent(before)
		debug.SetMemoryLimit(limit)
	})
	for seed := first; seed <= last; seed++ {
		s := Generate(seed)
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			play(t, s, seed)
		})
	}
}

func number(name string) (float64, error) {
	text := os.Getenv(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %q is not a number", name, text)
	}
	return n, nil
}
