package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// writeMembers writes members from one number up to another, one a line.
func writeMembers(path string, from, to int) (string, error) {
	file, err := os.Create(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	out := bufio.NewWriter(file)
	for i := from; i < to; i++ {
		fmt.Fprintln(out, member(i))
	}
	return filepath.Clean(path), out.Flush()
}

// cpuOf is what a process has used, in seconds (proc(5)).
func cpuOf(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat is short", pid)
	}
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) / 100, nil // a hundred ticks a second
}

// anonOf is the anonymous resident memory of a process in MiB: RssAnon.
func anonOf(pid int) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, "RssAnon:"); found {
			kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib / 1024, err
		}
	}
	return 0, fmt.Errorf("/proc/%d/status has no RssAnon", pid)
}

// peak watches the memory of all nodes, also of those that come in meanwhile, until it
// is asked for their highest, in MiB.
func (n *network) peak(ctx context.Context) (stop func() float64) {
	ctx, cancel := context.WithCancel(ctx)
	highest := 0.0
	var watch sync.WaitGroup
	watch.Go(func() {
		for pause(ctx, 100*time.Millisecond) {
			nodes, _ := n.planned() // none while they are being written down
			for _, node := range nodes {
				if anon, err := anonOf(node.PID); err == nil { // one that is down uses none
					highest = max(highest, anon)
				}
			}
		}
	})
	return func() float64 {
		cancel()
		watch.Wait()
		return highest
	}
}

// settled is the RssAnon of the largest node, in MiB, as soon as half a minute takes
// nothing more from it, and after five minutes in any case.
func (n *network) settled(ctx context.Context) (lowest float64, err error) {
	const step, steps = 30 * time.Second, 10
	for range steps {
		now := 0.0
		for _, node := range n.nodes {
			anon, err := anonOf(node.PID)
			if err != nil {
				return 0, err
			}
			now = max(now, anon)
		}
		if lowest > 0 && now > 0.98*lowest {
			return now, nil
		}
		lowest = now
		if !pause(ctx, step) {
			return 0, ctx.Err()
		}
	}
	return lowest, nil
}

// idle waits until the nodes use next to nothing of the machine: their background work
// is done.
func (n *network) idle(ctx context.Context) error {
	const patience = 10 * time.Minute
	for until := time.Now().Add(patience); time.Now().Before(until); {
		used, err := n.share(ctx, 5*time.Second)
		if err != nil {
			return err
		}
		if used < 0.2*float64(len(n.nodes)) {
			return nil
		}
	}
	return fmt.Errorf("the nodes are still busy after %s", patience)
}

// share is what all nodes together use in some time, in cores.
func (n *network) share(ctx context.Context, during time.Duration) (float64, error) {
	before, began := 0.0, time.Now()
	for _, node := range n.nodes {
		used, err := cpuOf(node.PID)
		if err != nil {
			return 0, err
		}
		before -= used
	}
	if !pause(ctx, during) {
		return 0, ctx.Err()
	}
	for _, node := range n.nodes {
		used, err := cpuOf(node.PID)
		if err != nil {
			return 0, err
		}
		before += used
	}
	return before / time.Since(began).Seconds(), nil
}
