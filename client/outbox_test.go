package client_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/risknet/risknet/client"
)

// A crash in the middle of a line costs that line and no other, whoever writes next.
func TestALineThatWasCutOffCostsThatLineAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outbox")
	whole := `{"command":"` + strings.Repeat("ab", 32) + `"}` + "\n"
	if err := os.WriteFile(path, []byte(whole+whole[:20]), 0o600); err != nil {
		t.Fatal(err)
	}
	box, err := client.OpenOutbox(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := box.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	_, err = file.WriteString(strings.Replace(whole, "ab", "cd", 1))
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if sent, err := client.ReadOutbox(in); err != nil || len(sent) != 2 {
		t.Errorf("%d commands, %v", len(sent), err)
	}
}
