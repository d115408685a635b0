package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/risknet/risknet/testnet"
)

const operationsGuide = "../../docs/operations.md"

// guideBlock is one fenced block of commands, and the line that it begins at.
type guideBlock struct {
	line int
	text string
}

var fencedShell = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")

func guideBlocks(text string) []guideBlock {
	var blocks []guideBlock
	for _, at := range fencedShell.FindAllStringSubmatchIndex(text, -1) {
		blocks = append(blocks, guideBlock{1 + strings.Count(text[:at[2]], "\n"), text[at[2]:at[3]]})
	}
	return blocks
}

// guideScript says which block begins, so that what fails can be shown with what
// it printed.
func guideScript(blocks []guideBlock) string {
	script := "set -euo pipefail\n"
	for i, b := range blocks {
		script += fmt.Sprintf("echo '%s%d'\n%s", blockMark, i, b.text)
	}
	return script
}

const blockMark = "--- block "

// TestOperationsGuide runs every block of the guide in one shell, as a reader
// would who types all of it.
func TestOperationsGuide(t *testing.T) {
	t.Parallel() // beside the scripts: it waits for elections most of the time
	text, err := os.ReadFile(operationsGuide)
	if err != nil {
		t.Fatal(err)
	}
	blocks := guideBlocks(string(text))
	if len(blocks) < 15 {
		t.Fatalf("%d blocks were found in %s; the search is broken", len(blocks), operationsGuide)
	}
	dir := t.TempDir()
	t.Cleanup(func() {
		if p, err := testnet.Load(filepath.Join(dir, "net")); err == nil {
			if err := p.Down(); err != nil {
				t.Error(err)
			}
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	out, err := runGuide(ctx, dir, guideScript(blocks))
	if err == nil {
		return
	}
	before, printed := out, ""
	if i := strings.LastIndex(out, blockMark); i >= 0 {
		before, printed, _ = strings.Cut(out[i+len(blockMark):], "\n")
	}
	failed, convErr := strconv.Atoi(before)
	if convErr != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	t.Fatalf("%s:%d: %v\n%s--- which printed\n%s", operationsGuide, blocks[failed].line, err, blocks[failed].text, printed)
}

// runGuide ends the shell and what it waits for, if the time is over; the nodes
// are sessions of their own.
func runGuide(ctx context.Context, dir, script string) (string, error) {
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, "bash", "-c", script)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	return out.String(), err
}

func TestGuideBlocksHaveTheirLine(t *testing.T) {
	blocks := guideBlocks("# x\n\n```sh\na\nb\n```\n\n```yaml\nc: d\n```\n\n```sh\ne\n```\n")
	if len(blocks) != 2 || blocks[0] != (guideBlock{4, "a\nb\n"}) || blocks[1] != (guideBlock{13, "e\n"}) {
		t.Errorf("%+v", blocks)
	}
}
