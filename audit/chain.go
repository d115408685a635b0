package audit

import (
	"slices"
	"strings"

	"github.com/risknet/risknet/risk"
)

// chain collects the hub's commands that lead to the nodes' keys. Records that are
// no longer in force stay: what a node signed under one of them it has signed.
type chain struct {
	keys    []SignedHeader
	hub     risk.ID
	records []nodeRecord
}

type nodeRecord struct {
	*risk.PutNode
	signed SignedHeader
}

func (c *chain) take(command *risk.Command, signed SignedHeader) {
	switch p := command.Params.(type) {
	case *risk.Found:
		c.keys, c.hub, c.records = []SignedHeader{signed}, command.Author, nil
	case *risk.AddKey:
		if p.Reporter == c.hub {
			c.keys = append(c.keys, signed)
		}
	case *risk.PutNode:
		c.records = slices.DeleteFunc(c.records, func(r nodeRecord) bool {
			return r.Node == p.Node && r.LogKey == p.LogKey && r.Institution == p.Institution
		})
		c.records = append(c.records, nodeRecord{p, signed})
	}
}

// nodes gives all nodes that there ever were, one for each key.
func (c *chain) nodes() []*risk.PutNode {
	nodes := make([]*risk.PutNode, len(c.records))
	for i, r := range c.records {
		nodes[i] = r.PutNode
	}
	return nodes
}

// institution gives whose a node is, empty if there never was one.
func (c *chain) institution(node risk.ID) (of string) {
	for _, r := range c.records {
		if r.Node == node {
			of = r.Institution
		}
	}
	return of
}

// complete adds to evidence what leads from the network's id to the nodes on whose
// word it stands, and takes out what it does not stand on: it is to be small in a
// network of any size.
func (c *chain) complete(e *Evidence, network risk.Hash, leaf []byte) error {
	e.Network, e.Keys = network.String(), c.keys
	hub, err := hubOf(c.keys, network)
	if err != nil {
		return err
	}
	all := &court{Evidence: e, origin: hub.founding.Origin, nodes: c.nodes(), leaf: leaf}
	if _, err := all.judge(); err != nil {
		return err
	}
	for _, r := range c.records {
		if all.heard[r.PutNode] {
			e.Nodes = append(e.Nodes, r.signed)
		}
	}
	for i, head := range e.Heads {
		e.Heads[i] = onlyLinesOf(head, all.origin, all.heard)
	}
	e.Keys = leastKeys(e, network)
	return nil
}

// onlyLinesOf takes the lines of other nodes out of a checkpoint's note. The plain
// signature has the origin for its name, and stays.
func onlyLinesOf(note, origin string, nodes map[*risk.PutNode]bool) string {
	text, lines, ok := strings.Cut(note, "\n\n")
	if !ok {
		return note
	}
	var kept strings.Builder
	kept.WriteString(text + "\n\n")
	for line := range strings.Lines(lines) {
		name, _, _ := strings.Cut(strings.TrimPrefix(line, "— "), " ")
		keep := name == origin
		for n := range nodes {
			keep = keep || name == cosignerName(origin, n)
		}
		if keep {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// leastKeys leaves out each of the hub's keys without which the rest still leads to
// the nodes.
func leastKeys(e *Evidence, network risk.Hash) []SignedHeader {
	keys := slices.Clone(e.Keys)
	for i := len(keys) - 1; i > 0; i-- {
		without := slices.Delete(slices.Clone(keys), i, i+1)
		one := *e
		one.Keys = without
		if _, err := newCourt(&one, network); err == nil {
			keys = without
		}
	}
	return keys
}
