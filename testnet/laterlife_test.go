package testnet

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/risknet/risknet/node"
	"github.com/risknet/risknet/risk"
)

// A node that came by invitation loses its disks, and its clock, which was ahead, is
// right now: its new life has a lower number than the lost one. It knows nobody whom it
// could ask; that its leader calls it by the later number is all that it hears.
func TestALostNodeWhoseClockWasAheadIsLetInAgain(t *testing.T) {
	var ahead atomic.Int64
	ahead.Store(int64(10 * time.Minute))
	t.Parallel()
	n := startTuned(t, Options{Nodes: 3, Voters: 3, Tune: quick, Environment: func(name string) node.Environment {
		if name != "n4" {
			return node.Environment{}
		}
		return node.Environment{Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }}
	}})
	n.adds(false)
	report := n.reports("member-1", "", risk.KindIP, "203.0.113.7")
	n.must(n.Node("n4").AwaitSize(n.ctx, report.Size))
	before := n.server("n4")
	n.must(n.Kill("n4"))
	for _, name := range []string{"data", "anchor"} {
		n.must(os.RemoveAll(filepath.Join(n.dir("n4"), name)))
	}
	ahead.Store(0)
	n.must(n.Start("n4"))
	n.eventually("it holds everything again", func() bool {
		at := n.Node("n4")
		return at != nil && at.Head().Size >= report.Size
	})
	if n.server("n4") <= before {
		t.Errorf("it goes on as %s, and was %s", n.server("n4"), before)
	}
}
