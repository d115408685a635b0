package apiv1

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A change to a .proto file, a generator or the generated code without the
// others is seen here, on any machine, without running a generator.
func TestGeneratedCodeIsFresh(t *testing.T) {
	sums, err := os.ReadFile("generated.sum")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(string(sums)) {
		want, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		seen[filepath.Base(name)] = true
		text, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Error(err)
			continue
		}
		if got := sha256.Sum256(text); hex.EncodeToString(got[:]) != want {
			t.Errorf("%s has changed since the code was generated: run go generate ./api/...", name)
		}
	}
	for _, pattern := range []string{"*.proto", "*.pb.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("no %s here: %v", pattern, err)
		}
		for _, name := range files {
			if !seen[name] {
				t.Errorf("%s is not in generated.sum: run go generate ./api/...", name)
			}
		}
	}
}
