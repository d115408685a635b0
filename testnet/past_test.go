package testnet

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/node"
	"github.com/risknet/risknet/risk"
)

// dir is a node's own directory.
func (n *network) dir(name string) string {
	n.t.Helper()
	planned, err := n.planned(name)
	if err != nil {
		n.t.Fatal(err)
	}
	return planned.Dir
}

func (n *network) must(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatal(err)
	}
}

// comesBack starts a node and waits until it is ready.
func (n *network) comesBack(name string) {
	n.t.Helper()
	n.must(n.Start(name))
	n.must(n.AwaitReady(n.ctx, name))
}

func (n *network) copy(from, to string) {
	n.t.Helper()
	if out, err := exec.Command("cp", "-a", "--sparse=always", from, to).CombinedOutput(); err != nil {
		n.t.Fatalf("%v: %s", err, out)
	}
}

// server is the id under which a node takes part in raft.
func (n *network) server(name string) string {
	n.t.Helper()
	return n.Node(name).Server()
}

// voters waits until so many nodes vote.
func (n *network) voters(want int) {
	n.t.Helper()
	n.must(awaitVoters(n.ctx, n.client(hubName, ""), want))
}

func TestAnOldBackupOfAVoterIsRecognisedAndRebuilt(t *testing.T) {
	n := start(t, 3, 3)
	n.reports("member-1", "n2", risk.KindIP, values(0, 200)...)
	n.agree()
	before := n.server("n2")
	n.must(n.Kill("n2"))
	data, backup := filepath.Join(n.dir("n2"), "data"), filepath.Join(t.TempDir(), "data")
	n.copy(data, backup)
	n.comesBack("n2")
	last := n.reports("member-1", "n2", risk.KindIP, values(200, 1000)...)
	if last.Accepted != 1000 {
		t.Fatalf("result %+v", last)
	}
	n.agree()
	n.must(n.Kill("n2"))
	n.must(os.RemoveAll(data))
	n.copy(backup, data)
	n.comesBack("n2")
	if n.server("n2") == before {
		t.Errorf("n2 goes on as %s, although its directory was old", n.server("n2"))
	}
	for _, value := range []string{"198.18.0.7", "198.18.4.100"} {
		if a := n.check("n2", "ip", value, last.Size); !a.Listed {
			t.Errorf("%s is answered %v from the lost past", value, a)
		}
	}
	n.agree()
	n.voters(3)
}

func TestALostDataDirectoryIsFilledAgain(t *testing.T) {
	n := start(t, 3, 3)
	last := n.reports("member-1", "n2", risk.KindIP, values(0, 200)...)
	n.agree()
	for _, name := range []string{"n1", "n2"} { // n1 is the founder
		before := n.server(name)
		n.must(n.Kill(name))
		n.must(os.RemoveAll(filepath.Join(n.dir(name), "data")))
		n.comesBack(name)
		if n.server(name) == before {
			t.Errorf("%s goes on as %s", name, n.server(name))
		}
		if a := n.check(name, "ip", "198.18.0.7", last.Size); !a.Listed {
			t.Errorf("%s answers %v", name, a)
		}
		n.agree()
		n.voters(3)
	}
}

// A node that lost its anchor too cannot know which lives it has lived, and must
// not go on under one of them.
func TestANodeWithoutAnyMemoryIsAnotherServer(t *testing.T) {
	n := start(t, 3, 3)
	last := n.reports("member-1", "n2", risk.KindIP, values(0, 50)...)
	n.agree()
	for range 2 {
		before := n.server("n3")
		n.must(n.Kill("n3"))
		for _, name := range []string{"data", "anchor"} {
			n.must(os.RemoveAll(filepath.Join(n.dir("n3"), name)))
		}
		n.comesBack("n3")
		if n.server("n3") == before {
			t.Errorf("n3 goes on as %s with an empty disk", before)
		}
		if a := n.check("n3", "ip", "198.18.0.7", last.Size); !a.Listed {
			t.Errorf("n3 answers %v", a)
		}
		n.agree()
		n.voters(3)
	}
}

// A node that has only just begun has heard of nothing, so it says nothing.
func TestANewLifeAnswersNothingBeforeItHasAState(t *testing.T) {
	n := start(t, 3, 3)
	n.reports("member-1", "n2", risk.KindIP, values(0, 50)...)
	n.agree()
	for _, name := range []string{"n1", "n2", "n3"} { // nobody is left to bring it up to date
		n.must(n.Kill(name))
	}
	n.must(os.RemoveAll(filepath.Join(n.dir("n3"), "data")))
	n.must(n.Start("n3"))
	c := n.client("member-2", "n3")
	q := &client.Question{}
	n.must(q.Set("ip", "198.18.0.7"))
	if a, err := c.Check(n.ctx, q); err == nil || !strings.Contains(err.Error(), "no state yet") {
		t.Errorf("a node without a state answers %v, %v", a, err)
	}
	for _, name := range []string{"n1", "n2"} {
		n.must(n.Start(name))
	}
	n.must(n.AwaitReady(n.ctx, "n3"))
	if a := n.check("n3", "ip", "198.18.0.7", 0); !a.Listed {
		t.Errorf("n3 is ready and answers %v", a)
	}
}

func TestAMissingOrDamagedAnchorIsADoubtThatTheOthersEnd(t *testing.T) {
	for name, harm := range map[string]func(n *network, anchor string){
		"missing": func(n *network, anchor string) { n.must(os.RemoveAll(anchor)) },
		"damaged": func(n *network, anchor string) { flip(n, filepath.Join(anchor, "head")) },
		"incarnation damaged": func(n *network, anchor string) {
			flip(n, filepath.Join(anchor, "incarnation"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := start(t, 3, 3)
			last := n.reports("member-1", "n2", risk.KindIP, values(0, 50)...)
			n.agree()
			n.must(n.Kill("n3"))
			harm(n, filepath.Join(n.dir("n3"), "anchor"))
			n.comesBack("n3")
			if a := n.check("n3", "ip", "198.18.0.7", last.Size); !a.Listed {
				t.Errorf("n3 answers %v", a)
			}
			n.agree()
			n.voters(3)
		})
	}
}

// Nobody asks for what the rot has struck; the node finds it all the same.
func TestRotInATableIsFoundWhileTheNodeRuns(t *testing.T) {
	t.Parallel()
	n := startTuned(t, Options{Nodes: 3, Voters: 3, Tune: func(c *node.Config) {
		quick(c)
		c.Disk.VerifyEvery = time.Second
	}})
	last := n.reports("member-1", "n2", risk.KindIP, values(0, 500)...)
	n.agree()
	n.must(n.Kill("n3"))
	n.comesBack("n3") // now what it holds is in tables
	before := n.server("n3")
	n.rot("n3")
	n.until("n3 begins another life", func() bool { return n.Node("n3").Server() != before })
	n.must(n.AwaitReady(n.ctx, "n3"))
	if a := n.check("n3", "ip", "198.18.0.7", last.Size); !a.Listed {
		t.Errorf("n3 answers %v", a)
	}
	n.agree()
}

func flip(n *network, file string) {
	text, err := os.ReadFile(file)
	n.must(err)
	text[len(text)/2] ^= 4
	n.must(os.WriteFile(file, text, 0o600))
}

func TestSwappedDirectoriesAreRefusedByName(t *testing.T) {
	n := start(t, 3, 3)
	n.reports("member-1", "n2", risk.KindIP, values(0, 50)...)
	n.agree()
	a, b := filepath.Join(n.dir("n2"), "data"), filepath.Join(n.dir("n3"), "data")
	swap := func() {
		t.Helper()
		n.must(os.Rename(a, a+".x"))
		n.must(os.Rename(b, a))
		n.must(os.Rename(a+".x", b))
	}
	n.must(n.Kill("n2"))
	n.must(n.Kill("n3"))
	swap()
	for _, name := range []string{"n2", "n3"} {
		if err := n.Start(name); err == nil || !strings.Contains(err.Error(), "is the directory of node") {
			t.Errorf("%s started in the other's directory: %v", name, err)
		}
	}
	swap()
	n.comesBack("n2")
	n.comesBack("n3")
	n.agree()
}

func TestTwoProcessesNeverShareADataDirectory(t *testing.T) {
	n := start(t, 1, 1)
	err := n.Start("n1")
	if err == nil || !strings.Contains(err.Error(), "another process runs on") {
		t.Errorf("a second n1 started: %v", err)
	}
	if a := n.check("n1", "ip", "203.0.113.9", 0); a.Advice != "allow" {
		t.Errorf("the first one suffered: %v", a)
	}
}
