package testnet

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/risknet/risknet/node"
	"github.com/risknet/risknet/risk"
)

// rot turns a bit of a table of a node that runs. What was there before the
// node's last start is in tables.
func (n *network) rot(name string) {
	n.t.Helper()
	tables, err := filepath.Glob(filepath.Join(n.dir(name), "data", "state", "state-*", "*.sst"))
	if n.must(err); len(tables) == 0 {
		n.t.Fatal("there are no tables")
	}
	table, err := os.OpenFile(tables[0], os.O_RDWR, 0) // in place: badger has it mapped
	n.must(err)
	one := make([]byte, 1)
	at, err := table.Seek(-2, io.SeekEnd) // of the checksum's length
	n.must(err)
	_, err = table.ReadAt(one, at)
	n.must(err)
	_, err = table.WriteAt([]byte{one[0] ^ 4}, at)
	n.must(err)
	n.must(table.Close())
}

// heard is closed when a log says all of some words in one line.
type heard struct {
	words [][]byte
	done  chan struct{}
	once  sync.Once
}

func (h *heard) Write(line []byte) (int, error) {
	for _, word := range h.words {
		if !bytes.Contains(line, word) {
			return len(line), nil
		}
	}
	h.once.Do(func() { close(h.done) })
	return len(line), nil
}

// Without the third voter the others are ready on this node's word alone. If it
// gave itself up for them, nobody would be left who could rebuild it.
func TestADamagedNodeStaysWhereItIsNeeded(t *testing.T) {
	t.Parallel()
	n := startTuned(t, Options{Nodes: 3, Voters: 3, Tune: func(c *node.Config) {
		quick(c)
		c.Disk.VerifyEvery = time.Second
	}})
	n.reports("member-1", "n2", risk.KindIP, values(0, 500)...)
	n.agree()
	alarm := &heard{words: [][]byte{[]byte("node=n3"), []byte("alarm"), []byte("damaged")}, done: make(chan struct{})}
	n.Log = slog.New(slog.NewTextHandler(alarm, nil))
	n.must(n.Kill("n3"))
	n.comesBack("n3")
	n.must(n.Kill("n1"))
	n.must(n.AwaitReady(n.ctx, "n3"))
	before := n.Node("n3").Server()
	n.rot("n3")
	select {
	case <-alarm.done:
	case <-n.ctx.Done():
		t.Fatal("n3 does not find it")
	}
	for i := range 5 {
		last := n.reports("member-1", "n2", risk.KindIP, values(1000+i, 1)...)
		if a := n.check("n2", "ip", "198.18.0.7", last.Size); !a.Listed || a.Stale {
			t.Errorf("n2 answers %v", a)
		}
	}
	if now := n.Node("n3").Server(); now != before {
		t.Errorf("n3 has given itself up as %s for %s while nobody could rebuild it", before, now)
	}
	n.comesBack("n1")
	n.until("n3 begins another life", func() bool { return n.Node("n3").Server() != before })
	n.must(n.AwaitReady(n.ctx, "n3"))
	n.agree()
}
