//go:build chaos

package chaos

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// bounds are what no process may pass (I8). The load of a row is far below what
// would need as much.
var bounds = Peaks{ResidentMiB: 1024, Descriptors: 2048, Goroutines: 5000, DiskMiB: 4096}

// poll asks a node how it is all the time: ten times a second its row, once a
// second its log and what it takes of the machine.
func (n *network) poll(ctx context.Context, name string) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	log := n.logs[name]
	for round := 0; ; round++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		pid := n.pid(name)
		life := n.readLog(name, pid)
		if status, err := n.ask(ctx, name); err == nil && n.pid(name) == pid && n.readLog(name, pid) == life {
			n.witness.Status(Status{Node: name, Life: life, Applied: status.Applied, Size: status.Size, Root: status.Root})
			n.witness.Grew(name, life, status.Size)
		}
		if round%10 == 0 {
			n.measure(name, pid)
			n.checkAlive(name, pid, log)
		}
	}
}

// readLog names the life that the node is in: a process, and how often it began
// again within it.
func (n *network) readLog(name string, pid int) string {
	log := n.logs[name]
	for _, line := range log.fresh() {
		switch {
		case strings.Contains(line, "beginning again"):
			log.lives++
		case strings.HasPrefix(line, "panic:"), strings.HasPrefix(line, "fatal error:"), strings.HasPrefix(line, "SIGBUS:"):
			if !n.tolerated(line) {
				n.witness.Violate(StaysUp, name, "%s", line)
			}
		}
	}
	return fmt.Sprintf("%s/%d/%d", name, pid, log.lives)
}

// checkAlive sees that a process that nobody struck is there.
func (n *network) checkAlive(name string, pid int, log *nodeLog) {
	count, down := n.spell(name)
	if down || n.Runs(name) {
		return
	}
	if again, down := n.spell(name); again == count && !down && n.pid(name) == pid {
		n.witness.Violate(StaysUp, name, "process %d ended by itself: %s", pid, log.last())
		n.strike(name)
	}
}

// measure reads what a process takes of the machine.
func (n *network) measure(name string, pid int) {
	p := Peaks{ResidentMiB: residentMiB(pid), Descriptors: descriptors(pid)}
	if node, err := n.Node(name); err == nil {
		p.DiskMiB = diskMiB(filepath.Dir(node.Config))
	}
	p.Goroutines, _ = n.metric(name, "go_goroutines") // 0 if it does not answer
	n.mu.Lock()
	n.peaks.Cover(p)
	n.mu.Unlock()
	for _, f := range []struct {
		what       string
		got, bound int
	}{
		{"MiB resident", p.ResidentMiB, bounds.ResidentMiB},
		{"descriptors", p.Descriptors, bounds.Descriptors},
		{"goroutines", p.Goroutines, bounds.Goroutines},
		{"MiB on disk", p.DiskMiB, bounds.DiskMiB},
	} {
		if f.got > f.bound {
			n.witness.Violate(Bounded, name, "%d %s; the bound is %d", f.got, f.what, f.bound)
		}
	}
}

func residentMiB(pid int) int { return procField(pid, "VmRSS:") >> 10 }

// metric reads one of a node's own metrics.
func (n *network) metric(name, metric string) (int, error) {
	p, err := n.Node(name)
	if err != nil {
		return 0, err
	}
	answer, err := n.web.Get("https://" + p.HTTP + "/metrics")
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	for line := range strings.SplitSeq(string(text), "\n") {
		if rest, found := strings.CutPrefix(line, metric+" "); found {
			return strconv.Atoi(rest)
		}
	}
	return 0, fmt.Errorf("%s does not tell %s", name, metric)
}

func procField(pid int, field string) int {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.SplitSeq(string(text), "\n") {
		if rest, found := strings.CutPrefix(line, field); found {
			number, _ := strconv.Atoi(strings.Fields(rest)[0])
			return number
		}
	}
	return 0
}

func descriptors(pid int) int {
	list, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(list)
}

// allocated is what a file takes on the disk: badger's files are sparse.
func allocated(info fs.FileInfo) int64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Blocks * 512
	}
	return info.Size()
}
