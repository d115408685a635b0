package node

import (
	"errors"
	"fmt"
	"slices"
	"strings"

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
	if err := keepsVoters(nodes, before, after); err != nil {
		return err
	}
	return stepFollows(nodes, before, after)
}

// keepsVoters refuses a step that takes a vote away and leaves no majority of the nodes
// that the records name as voters. One node at a time may begin a new life; a leader
// that takes away one after the other would be left alone with the network.
func keepsVoters(nodes []*risk.PutNode, before, after []consensus.Server) error {
	recorded, had, has := 0, 0, 0
	for _, record := range nodes {
		if record.Suffrage != risk.Voter {
			continue
		}
		recorded++
		if votesFor(before, record.Node) {
			had++
		}
		if votesFor(after, record.Node) {
			has++
		}
	}
	if has < had && 2*has <= recorded {
		return fmt.Errorf("the step leaves %d voters of the %d that the records name", has, recorded)
	}
	return nil
}

// votesFor reports whether a node has a vote in some life.
func votesFor(list []consensus.Server, node risk.ID) bool {
	return slices.ContainsFunc(list, func(s consensus.Server) bool {
		id, _, err := splitServer(s.ID)
		return err == nil && s.Voter && id == node
	})
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

// acceptServers judges the configuration of an image by the image's own node records.
// A node without a state has nothing to hold it to, as after a recovery, when one
// server is the network.
func (n *Node) acceptServers(want consensus.Position, nodes []*risk.PutNode) error {
	if n.Head().Size == 0 {
		return nil
	}
	servers, err := want.Servers()
	if err != nil {
		return err
	}
	select {
	case <-n.ordering:
		return serversFollow(nodes, n.order.Servers(), servers)
	default:
		return errors.New("an image comes before raft runs")
	}
}

// serversFollow: where no step leads from what a node knows to a configuration, a
// majority of the voters that the records name must be in it, and nobody else whom
// the node does not know. So whoever made it, its voters can go on without him.
func serversFollow(nodes []*risk.PutNode, known, servers []consensus.Server) error {
	if sameServers(known, servers) {
		return nil
	}
	recorded, present := map[risk.ID]*risk.PutNode{}, map[risk.ID]bool{}
	for _, record := range nodes {
		if record.Suffrage == risk.Voter {
			recorded[record.Node] = record
		}
	}
	for _, s := range servers {
		id, _, err := splitServer(s.ID)
		if err != nil {
			return err
		}
		record, was := recorded[id], nodeIsAt(known, id, s.Address)
		switch {
		case !s.Voter || was && record == nil:
		case record == nil || !was && s.Address != record.Raft:
			return fmt.Errorf("configuration of an image: %s at %s has a vote, and no record says so", s.ID, s.Address)
		default:
			present[id] = true
		}
	}
	if 2*len(present) <= len(recorded) {
		return fmt.Errorf("configuration of an image: only %d of the %d voters that the records name are in it; remove the records of nodes that are gone for good", len(present), len(recorded))
	}
	return nil
}

func sameServers(a, b []consensus.Server) bool {
	order := func(x, y consensus.Server) int { return strings.Compare(x.ID, y.ID) }
	return slices.Equal(slices.SortedFunc(slices.Values(a), order), slices.SortedFunc(slices.Values(b), order))
}
