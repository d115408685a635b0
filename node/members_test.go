package node

import (
	"slices"
	"testing"

	"github.com/risknet/risknet/consensus"
	"github.com/risknet/risknet/risk"
)

// A hub that gives two nodes one address must not stop what the other nodes need.
func TestTwoNodesWithOneAddressAreNotFollowed(t *testing.T) {
	a, b, c := risk.ID{1}, risk.ID{2}, risk.ID{3}
	record := func(id risk.ID, raft string) *risk.PutNode {
		return &risk.PutNode{Node: id, Raft: raft, Suffrage: risk.Voter}
	}
	server := func(id risk.ID, number uint64, address string) consensus.Server {
		return consensus.Server{ID: serverID(id, number), Address: address, Voter: true}
	}
	present := []consensus.Server{server(a, 1, "a:1"), server(b, 1, "b:1")}
	for name, x := range map[string]struct {
		nodes   []*risk.PutNode
		said    []uint64
		want    []consensus.Server
		clashes int
	}{
		"a new life":            {[]*risk.PutNode{record(a, "a:1"), record(b, "b:1")}, []uint64{1, 2}, []consensus.Server{server(a, 1, "a:1"), server(b, 2, "b:1")}, 0},
		"one that never said":   {[]*risk.PutNode{record(a, "a:1"), record(c, "c:1")}, []uint64{1, 0}, []consensus.Server{server(a, 1, "a:1")}, 0},
		"a move":                {[]*risk.PutNode{record(a, "a:2"), record(b, "b:1")}, []uint64{1, 1}, []consensus.Server{server(a, 1, "a:2"), server(b, 1, "b:1")}, 0},
		"onto another's":        {[]*risk.PutNode{record(a, "b:1"), record(b, "b:1")}, []uint64{1, 2}, []consensus.Server{server(a, 1, "a:1"), server(b, 2, "b:1")}, 1},
		"a new one on a server": {[]*risk.PutNode{record(a, "a:1"), record(c, "a:1"), record(b, "b:1")}, []uint64{1, 1, 1}, []consensus.Server{server(a, 1, "a:1"), server(b, 1, "b:1")}, 1},
		"two new ones":          {[]*risk.PutNode{record(c, "c:1"), record(risk.ID{4}, "c:1")}, []uint64{1, 1}, []consensus.Server{server(c, 1, "c:1")}, 1},
	} {
		want, clashes := serversFor(x.nodes, present, x.said)
		if !slices.Equal(want, x.want) || len(clashes) != x.clashes {
			t.Errorf("%s: %v, %d clashes; want %v, %d", name, want, len(clashes), x.want, x.clashes)
		}
	}
}
