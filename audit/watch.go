package audit

import (
	"context"
	"crypto/tls"
	"fmt"
	"slices"
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
	m.stamps.leaf(index, leaf, m.chain.institution(leaf.Proposer), data)
}

// stamps holds the time of new leaves to the time at which others saw the ledger
// without them.
type stamps struct {
	size uint64 // of the checkpoint that two institutions have cosigned last
	note []byte
	seen []sighting

	suspect struct {
		index uint64
		data  []byte // nil if there is none
	}
}

// sighting is the latest time at which a node of an institution cosigned.
type sighting struct {
	institution string
	at          time.Time
}

// cosigned notes a checkpoint before the leaves behind it are read. Of several the
// one counts that a second institution has seen last: a clock that is far ahead must
// not keep an old one in its place for ever.
func (s *stamps) cosigned(r *Replica, signed *Signed) {
	nodes, err := r.store.Nodes()
	if err != nil {
		return
	}
	latest := map[string]time.Time{}
	for _, n := range nodes {
		if _, at, ok := cosignedBy(signed.Note, r.log.origin, n); ok && at.After(latest[n.Institution]) {
			latest[n.Institution] = at
		}
	}
	var seen []sighting
	for institution, at := range latest {
		seen = append(seen, sighting{institution, at})
	}
	slices.SortFunc(seen, func(a, b sighting) int { return b.at.Compare(a.at) })
	if len(seen) >= 2 && (s.note == nil || seen[1].at.After(s.seen[1].at)) {
		s.size, s.note, s.seen = signed.Size, signed.Note, seen
	}
}

// before reports whether two other institutions saw the ledger, without this leaf,
// long after its stamp.
func (s *stamps) before(stamp int64, leader string) bool {
	since, others := time.UnixMilli(stamp).Add(backdatedBy), 0
	for _, one := range s.seen {
		if one.institution != leader && !one.at.Before(since) {
			others++
		}
	}
	return others >= 2
}

// leaf keeps the smallest of the leaves that are stamped too early: evidence is to
// be small.
func (s *stamps) leaf(index uint64, leaf *risk.Leaf, leader string, data []byte) {
	if s.note == nil || index < s.size || !s.before(leaf.At, leader) {
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
