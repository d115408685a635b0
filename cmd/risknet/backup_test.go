package main

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// Backups lie on all kinds of file systems, and runs may have the same FILE.
func TestABackupGetsItsNameAndTakesNobodys(t *testing.T) {
	for name, link := range map[string]func(string, string) error{
		"with links":    os.Link,
		"without links": func(string, string) error { return errors.ErrUnsupported },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file, temp := filepath.Join(dir, "n1.backup"), filepath.Join(dir, "n1.backup.part-1")
			save := func(text string) error {
				t.Helper()
				if err := os.WriteFile(temp, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				return settle(link, temp, file)
			}
			if err := save("the first"); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(temp); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("its first name is still there: %v", err)
			}
			if err := save("the second"); err == nil {
				t.Error("a second run took the same FILE")
			}
			if text, err := os.ReadFile(file); err != nil || string(text) != "the first" {
				t.Errorf("FILE holds %q (%v)", text, err)
			}
		})
	}
}
