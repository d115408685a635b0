package node

import (
	"fmt"
	"slices"

	"github.com/risknet/risknet/consensus"
	"github.com/risknet/risknet/risk"
)

// permitStep holds a step of raft's configuration to the node records, as they will be
// when what lies before it in the log is applied: the records drive raft, and no
// leader can have it otherwise.
func (n *Node) permitStep(before, after []consensus.Server, pending []consensus.Entry) error {
	nodes, err := n.store.ForeseeNodes(storeEntries(pending))
	if err != nil {
		return err
	}
	return stepFollows(nodes, before, after)
}

// stepFollows says why a step does not follow from the records. A server may go while
// its record stands: then its node begins a new life, which nobody but the node knows.
func stepFollows(nodes []*risk.PutNode, before, after []consensus.Server) error {
	if len(nodes) == 0 {
		return nil // the network is being founded
	}
	for _, s := range after {
		was, known := serverIn(before, s.ID)
		if known && was == s {
			continue
		}
		id, _, err := splitServer(s.ID)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(nodes, func(r *risk.PutNode) bool { return r.Node == id })
		switch {
		case known && !s.Voter && was.Voter && (at < 0 || nodes[at].Suffrage != risk.Voter):
			continue
		case at < 0:
			return fmt.Errorf("server %s: there is no record of its node", s.ID)
		case s.Voter != was.Voter && s.Voter != (nodes[at].Suffrage == risk.Voter):
			return fmt.Errorf("server %s: the record of node %s says that its suffrage is %s", s.ID, nodes[at].Name, nodes[at].Suffrage)
		case s.Address != was.Address && s.Address != nodes[at].Raft && !nodeIsAt(before, id, s.Address):
			return fmt.Errorf("server %s: the record of node %s says that it is at %s, not at %s", s.ID, nodes[at].Name, nodes[at].Raft, s.Address)
		}
	}
	return nil
}

func serverIn(list []consensus.Server, id string) (consensus.Server, bool) {
	at := slices.IndexFunc(list, func(s consensus.Server) bool { return s.ID == id })
	if at < 0 {
		return consensus.Server{}, false
	}
	return list[at], true
}

// nodeIsAt: a node whose new address another one has stays where it was.
func nodeIsAt(list []consensus.Server, node risk.ID, address string) bool {
	return slices.ContainsFunc(list, func(s consensus.Server) bool {
		id, _, err := splitServer(s.ID)
		return err == nil && id == node && s.Address == address
	})
}
