package sim

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
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

// play runs a scenario and fails the test on what it found.
func play(t *testing.T, s *Scenario, seed uint64) *Result {
	t.Helper()
	dir, real := quickDir(t), time.Now()
	var result *Result
	var err error
	synctest.Test(t, func(*testing.T) {
		result, err = Run{Scenario: s, Seed: seed, Dir: dir, Log: simLog()}.Play()
	})
	took := time.Since(real)
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
