//go:build bugs

package bugs

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestTheSuiteCatchesEachBug(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range bugs {
		t.Run(name, func(t *testing.T) {
			out, err := run(t, root, &b)
			switch {
			case err == nil:
				t.Errorf("go test -run '%s' ./%s passes with the bug in", b.tests, b.room)
			case !strings.Contains(out, "--- FAIL") && !strings.Contains(out, "panic:"):
				t.Errorf("no test failed; the bug does not build:\n%s", out)
			}
		})
	}
}

// run gives what the tests say when the bug is in.
func run(t *testing.T, root string, b *bug) (string, error) {
	t.Helper()
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.go")
	if err := os.WriteFile(bad, []byte(b.bad(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(root, b.file): bad}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "test", "-count=1", "-timeout", "3m", "-vet=off", "-overlay", filepath.Join(dir, "overlay.json"), "-run", b.tests, "./"+b.room)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestEachGuardIsHeldByItsTest takes out each guard; with -v it prints the list.
func TestEachGuardIsHeldByItsTest(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for name, g := range guards {
		t.Run(name, func(t *testing.T) {
			out, err := run(t, root, &g)
			result := "its test fails without it"
			switch {
			case err == nil:
				result = "NOT HELD"
				t.Errorf("go test -run '%s' ./%s passes without the guard", g.tests, g.room)
			case !strings.Contains(out, "--- FAIL") && !strings.Contains(out, "panic:"):
				result = "DOES NOT BUILD"
				t.Errorf("no test failed; it does not build without the guard:\n%s", out)
			}
			lines = append(lines, fmt.Sprintf("%-45s %-25s %-10s %-40s %s", name, g.file, g.room, g.tests, result))
		})
	}
	slices.Sort(lines)
	t.Logf("guards and results:\n%s", strings.Join(lines, "\n"))
}
