package audit

import (
	"context"
	"crypto/tls"
	"fmt"
	"time"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/ledger"
	"github.com/risknet/risknet/risk"
)

// visit is told of each leaf that the replica has applied.
func (m *Monitor) visit(index uint64, data []byte) {
	leaf, err := risk.DecodeLeaf(data)
	if err != nil {
		return // the replica would not have applied it
	}
	command, err := risk.DecodeCommand(leaf.Header)
	if err != nil {
		return
	}
	if leaf.Refusal == risk.Accepted {
		m.chain.take(command, SignedHeader{leaf.Header, leaf.Signatures})
	}
	if !m.Reporter.IsZero() && command.Author == m.Reporter {
		m.mine[risk.CommandID(leaf.Header)] = index
	}
	m.stamps.leaf(index, leaf, data)
}

// chain collects the hub's commands that lead to the nodes' keys.
type chain struct {
	keys  []SignedHeader
	hub   risk.ID
	nodes map[risk.ID]SignedHeader
}

func (c *chain) take(command *risk.Command, signed SignedHeader) {
	switch p := command.Params.(type) {
	case *risk.Found:
		c.keys, c.hub, c.nodes = []SignedHeader{signed}, command.Author, map[risk.ID]SignedHeader{}
	case *risk.AddKey:
		if p.Reporter == c.hub {
			c.keys = append(c.keys, signed)
		}
	case *risk.PutNode:
		c.nodes[p.Node] = signed
	}
}

// complete adds to evidence what leads from the network's id to the nodes that have
// a part in it; of the others it would only grow.
func (c *chain) complete(e *Evidence, network risk.Hash) {
	e.Network, e.Keys = network.String(), c.keys
	hub, err := hubOf(c.keys, network)
	if err != nil {
		return
	}
	for _, signed := range c.nodes {
		command, err := hub.signed(signed, 1)
		if err != nil {
			continue
		}
		record := command.Params.(*risk.PutNode)
		one := &court{Evidence: e, origin: hub.founding.Origin, nodes: []*risk.PutNode{record}}
		if one.concerns(record) {
			e.Nodes = append(e.Nodes, signed)
		}
	}
}

// concerns reports whether a node has signed or stamped anything in the evidence.
func (c *court) concerns(n *risk.PutNode) bool {
	plain, err := ledger.NewVerifier(c.origin, n.LogKey.Bytes[:])
	if err != nil {
		return false
	}
	if _, err := ledger.OpenPromise([]byte(c.Promise), plain); err == nil {
		return true
	}
	for _, note := range c.Absence {
		if _, err := ledger.OpenAbsence([]byte(note), plain); err == nil {
			return true
		}
	}
	cosigner, err := ledger.NewCosignatureVerifier(c.origin+"/"+n.Node.String(), n.LogKey.Bytes[:])
	if err != nil {
		return false
	}
	for _, note := range c.Heads {
		if _, _, err := ledger.OpenCheckpoint([]byte(note), c.origin, plain); err == nil {
			return true
		}
		if _, _, err := ledger.OpenCheckpoint([]byte(note), c.origin, cosigner); err == nil && c.Kind == Backdated {
			return true
		}
	}
	return c.Kind == Backdated // the stamp may be its own
}

// stamps holds the time of new leaves to the time at which others saw the ledger
// without them.
type stamps struct {
	size uint64    // of the newest checkpoint that was cosigned
	at   time.Time // the latest of its cosignatures
	note []byte

	suspect struct {
		index uint64
		data  []byte // nil if there is none
	}
}

// cosigned notes a checkpoint before the leaves behind it are read.
func (s *stamps) cosigned(r *Replica, signed *Signed) {
	nodes, err := r.store.Nodes()
	if err != nil {
		return
	}
	latest := time.Time{}
	for _, n := range nodes {
		key, err := ledger.NewCosignatureVerifier(r.log.origin+"/"+n.Node.String(), n.LogKey.Bytes[:])
		if err != nil {
			continue
		}
		if _, sigs, err := ledger.OpenCheckpoint(signed.Note, r.log.origin, key); err == nil && sigs[0].Time.After(latest) {
			latest = sigs[0].Time
		}
	}
	if latest.After(s.at) {
		s.size, s.at, s.note = signed.Size, latest, signed.Note
	}
}

// leaf keeps the smallest of the leaves that are stamped too early: evidence is to
// be small.
func (s *stamps) leaf(index uint64, leaf *risk.Leaf, data []byte) {
	if s.note == nil || index < s.size || s.at.UnixMilli()-leaf.At < backdatedBy.Milliseconds() {
		return
	}
	if s.suspect.data == nil || len(data) < len(s.suspect.data) {
		s.suspect.index, s.suspect.data = index, data
	}
}

// backdated raises the alarm for what was read last.
func (m *Monitor) backdated(signed *Signed) {
	suspect := m.stamps.suspect
	m.stamps.suspect.data = nil
	if suspect.data == nil {
		return
	}
	text := fmt.Sprintf("leaf %d is stamped long before it came", suspect.index)
	leaf, err := proveHash(1, signed.Size, suspect.index, m.replica.store.Hashes)
	if err != nil {
		m.alarm(Alarm{Text: fmt.Sprintf("%s (no evidence: %v)", text, err)})
		return
	}
	e := &Evidence{Kind: Backdated, Heads: []string{string(m.stamps.note), string(signed.Note)}, Leaves: []EvidenceLeaf{leaf}}
	var apart []byte
	if len(suspect.data) <= maxInline {
		e.Leaves[0].Data = suspect.data
	} else {
		apart = suspect.data
	}
	m.accuse(text, e, apart)
}

// maxInline is the largest leaf that goes into the evidence itself.
const maxInline = 2 << 10

// Network reaches nodes over the network, under one set of credentials.
type Network struct{ TLS *tls.Config }

// Ledger opens the ledger of a node.
func (o Network) Ledger(n *risk.PutNode, key ledger.Verifier) *Log { return newLog(n.HTTP, key, o.TLS) }

// Absent asks a node about a promised command.
func (o Network) Absent(ctx context.Context, n *risk.PutNode, promise string) (string, error) {
	conn, err := client.DialNode(n.API, o.TLS)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	answer, err := apiv1.NewCommandsClient(conn).Absent(ctx, &apiv1.AbsentRequest{Promise: []byte(promise)})
	if err != nil {
		return "", err
	}
	return string(answer.Absence), nil
}
