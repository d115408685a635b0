package store

import (
	"errors"
	"strings"
	"testing"

	"github.com/risknet/risknet/risk"
)

func TestForeseenNodesAreThoseThatComeAndNothingHasChanged(t *testing.T) {
	w := newWorld()
	record := func(name byte, raft string) *risk.PutNode {
		return &risk.PutNode{Node: risk.ID{name}, Name: string(name), Institution: "i", Raft: raft, API: "a", HTTP: "h", Suffrage: risk.Voter, LogKey: publicOf(w.hub.keys[0])}
	}
	w.propose(w.hub, record('n', "n:1"), nil, nil)
	s := open(t, t.TempDir(), Options{Network: w.network})
	defer s.Close()
	mustApply(t, s, w.entries)
	applied, before := len(w.entries), s.Head()

	w.propose(w.hub, record('n', "n:2"), nil, nil)
	w.propose(w.acq, record('x', "x:1"), nil, nil) // it may not
	w.propose(w.hub, record('m', "m:1"), nil, nil)
	nodes, err := s.ForeseeNodes(w.entries[applied-1:]) // the first is applied already
	if err != nil {
		t.Fatal(err)
	}
	if len(nodes) != 2 || nodes[0].Raft != "m:1" || nodes[1].Raft != "n:2" {
		t.Fatalf("foreseen are %+v", nodes)
	}
	now, err := s.Nodes()
	if err != nil || len(now) != 1 || now[0].Raft != "n:1" || s.Head() != before {
		t.Fatalf("the state is at %v with %+v (%v)", s.Head(), now, err)
	}
	mustApply(t, s, w.entries[applied:])
	other := open(t, t.TempDir(), Options{Network: w.network})
	defer other.Close()
	mustApply(t, other, w.entries)
	if s.Head() != other.Head() {
		t.Fatal("the question has left something")
	}
}

// However many reports are on their way, a step of the configuration behind them can be
// judged: a server that could not would follow nobody any more.
func TestNodesAreForeseenBehindMegabytesOfReports(t *testing.T) {
	w := newWorld()
	s := open(t, t.TempDir(), Options{Network: w.network, MemTableBytes: MinMemTableBytes})
	defer s.Close()
	mustApply(t, s, w.entries)
	applied := len(w.entries)
	for i := range 12 {
		var many []int
		for n := range 500 {
			many = append(many, 1000*i+n)
		}
		w.publish(w.acq, strings.Repeat("x", risk.MaxTextBytes), many...)
	}
	w.propose(w.hub, &risk.PutNode{Node: risk.ID{'n'}, Name: "n", Institution: "i", Raft: "n:1", API: "a", HTTP: "h",
		Suffrage: risk.Voter, LogKey: publicOf(w.hub.keys[0])}, nil, nil)
	nodes, err := s.ForeseeNodes(w.entries[applied:])
	if err != nil || len(nodes) != 1 {
		t.Errorf("%d nodes, %v", len(nodes), err)
	}
}

// An image is installed at the position and with the configuration that was announced,
// and only if its node records are accepted; otherwise the old state stands.
func TestImageThatIsNotAcceptedIsNotInstalled(t *testing.T) {
	w := newWorld()
	w.put(Configuration, []byte("configuration"))
	from := open(t, t.TempDir(), Options{Network: w.network})
	defer from.Close()
	mustApply(t, from, w.entries)
	image, at := imageOf(t, from), from.Position()
	s := open(t, t.TempDir(), Options{Network: w.network})
	defer s.Close()
	forged := at
	forged.Configuration = []byte("forged")
	if err := install(s, image, forged); err == nil || s.Head().Size != 0 {
		t.Errorf("another configuration than was announced: %v", err)
	}
	no := errors.New("these are not our nodes")
	if err := installIf(s, image, at, func([]*risk.PutNode) error { return no }); !errors.Is(err, no) || s.Head().Size != 0 {
		t.Errorf("nodes that are not accepted: %v", err)
	}
	if err := install(s, image, at); err != nil || s.Head() != from.Head() {
		t.Errorf("the image itself: %v", err)
	}
}
