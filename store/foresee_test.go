package store

import (
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
