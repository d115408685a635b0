package store

import (
	"fmt"
	"os"
	"testing"
)

// memoryDisk is where Linux keeps files in memory.
const memoryDisk = "/dev/shm"

// TestMain puts the states of these tests into memory where that can be: they
// ask what a process finds again, and a sync would be most of their time.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp(memoryDisk, "risknet-store-*")
	if err == nil {
		err = os.Setenv("TMPDIR", dir)
	} else {
		fmt.Fprintln(os.Stderr, "no disk in memory, so these tests take longer:", err)
		err = nil
	}
	code := 1
	if err == nil {
		code = m.Run()
	}
	if dir != "" {
		err = os.RemoveAll(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}
