package testnet

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/risk"
)

// forgets takes everything from a node that does not run, except for what its
// operator gave it.
func (n *network) forgets(name string) {
	n.t.Helper()
	for _, dir := range []string{"data", "anchor"} {
		n.must(os.RemoveAll(filepath.Join(n.dir(name), dir)))
	}
}

// says waits until a node that is not ready gives a reason that holds all words.
func (n *network) says(name string, words ...string) {
	n.t.Helper()
	n.until(name+" says "+strings.Join(words, " ... "), func() bool {
		err := n.Node(name).Ready()
		if err == nil {
			n.t.Fatalf("%s is ready, with %d leaves", name, n.Node(name).Head().Size)
		}
		for _, word := range words {
			if !strings.Contains(err.Error(), word) {
				return false
			}
		}
		return true
	})
}

func (n *network) answersNothing(name, profile string) {
	n.t.Helper()
	q := &client.Question{}
	n.must(q.Set("ip", "198.18.0.7"))
	if a, err := n.client(profile, name).Check(n.ctx, q); err == nil || !strings.Contains(err.Error(), "no state yet") {
		n.t.Errorf("%s, which has nothing, answers %v, %v", name, a, err)
	}
}

const foundedNote = "founding.bin.done"

// The founder with nothing left, not even its anchor, must not found the network
// a second time, whether its configuration remembers that it did or not.
func TestTheFounderDoesNotFoundTwice(t *testing.T) {
	for name, remembered := range map[string]bool{"noted": true, "with its first configuration": false} {
		t.Run(name, func(t *testing.T) {
			n := start(t, 3, 3)
			last := n.reports("member-1", "n2", risk.KindIP, values(0, 50)...)
			n.agree()
			n.must(n.Kill("n1"))
			n.forgets("n1")
			if !remembered {
				n.must(os.Remove(filepath.Join(n.dir("n1"), foundedNote)))
			}
			n.comesBack("n1")
			if a := n.check("n1", "ip", "198.18.0.7", last.Size); !a.Listed {
				t.Errorf("n1 answers %v", a)
			}
			n.agree()
			n.voters(3)
		})
	}
}

// The power fails everywhere, and the founder, with new disks, is up first.
func TestAFounderThatLostEverythingFoundsNothingOnItsOwn(t *testing.T) {
	for name, c := range map[string]struct {
		remembered bool
		alone      string
	}{
		"noted":                        {true, "founded before"},
		"with its first configuration": {false, "n2, n3 must say"},
	} {
		t.Run(name, func(t *testing.T) {
			n := start(t, 3, 3)
			last := n.reports("member-1", "n2", risk.KindIP, values(0, 50)...)
			n.agree()
			for _, name := range []string{"n1", "n2", "n3"} {
				n.must(n.Kill(name))
			}
			n.forgets("n1")
			if !c.remembered {
				n.must(os.Remove(filepath.Join(n.dir("n1"), foundedNote)))
			}
			n.must(n.Start("n1"))
			n.says("n1", c.alone)
			n.answersNothing("n1", hubName)
			for _, name := range []string{"n2", "n3"} {
				n.must(n.Start(name))
			}
			n.must(n.AwaitReady(n.ctx, "n1"))
			if a := n.check("n1", "ip", "198.18.0.7", last.Size); !a.Listed {
				t.Errorf("n1 answers %v", a)
			}
			n.agree()
			n.voters(3)
		})
	}
}

// A node that was alone has nobody to ask; the note beside its founding file
// keeps it from beginning again as if nothing had been.
func TestANetworkOfOneIsNotFoundTwice(t *testing.T) {
	n := start(t, 1, 1)
	n.must(n.Kill("n1"))
	n.forgets("n1")
	for range 2 { // its directories are not empty any more at the second start
		n.must(n.Start("n1"))
		n.says("n1", "founded before", "restore a backup", foundedNote)
		n.answersNothing("n1", hubName)
		n.must(n.Kill("n1"))
	}
	n.forgets("n1")
	n.must(os.Remove(filepath.Join(n.dir("n1"), foundedNote))) // as the reason says
	n.comesBack("n1")
}

// The founder is up first and waits for the last node that the founding names.
func TestAFoundingWaitsForAllThatItNames(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	plan, err := NewPlan(Options{Nodes: 3, Voters: 1, Tune: quick, Dir: t.TempDir(), Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	l := &Local{Plan: plan, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), running: map[string]*running{}}
	n := &network{Local: l, t: t, ctx: ctx}
	defer func() { n.must(l.Stop()) }()
	n.must(n.Start("n1"))
	n.says("n1", "n2, n3 must say")
	n.must(n.Start("n3"))
	n.says("n1", "n2 must say")
	n.must(n.Kill("n1")) // it goes on waiting
	n.must(n.Start("n1"))
	n.says("n1", "n2 must say")
	n.must(n.Start("n2"))
	for _, name := range []string{"n1", "n2", "n3"} {
		n.must(n.AwaitReady(ctx, name))
	}
	n.agree()
}
