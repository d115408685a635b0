package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/ledger"
	"github.com/risknet/risknet/risk"
)

// Monitor watches a network for one institution: that the ledger only grows and is
// as the law gives it, that all nodes show the same one, that stamps are true, that
// what this institution was promised was kept, and that nobody else writes in its
// name. It keeps a replica, so its first look costs as much as a verification.
type Monitor struct {
	Log     *Log
	Network risk.Hash
	Dir     string // for the replica; see Options
	Nodes   Nodes
	Now     func() time.Time

	// Reporter and Outbox are the institution's own: its reporting id, and what it
	// has sent. Without them nothing is said about promises and its name.
	Reporter risk.ID
	Outbox   func() (map[risk.Hash]*client.Sent, error)

	replica *Replica
	last    *Signed // of Log, that the replica was held to
	chain   chain
	stamps  stamps
	mine    map[risk.Hash]uint64 // leaves of Reporter, by command
	settled map[risk.Hash]bool   // commands about which there is nothing more to say
	said    map[string]bool
	alarms  []Alarm
}

// Nodes reaches other nodes than the Log's.
type Nodes interface {
	// Ledger opens the ledger of a node under its own key.
	Ledger(n *risk.PutNode, key ledger.Verifier) *Log
	// Absent asks a node for its word that a promised command is no leaf: a signed
	// note, or empty if it is one.
	Absent(ctx context.Context, n *risk.PutNode, promise string) (note string, err error)
}

// Alarm is something that must not be. Evidence is empty where there is none that a
// third party could check offline.
type Alarm struct {
	Text     string
	Accused  []string
	Evidence []byte
	Leaf     []byte // belongs to the evidence and did not fit into it
}

// Close removes the replica.
func (m *Monitor) Close() error {
	if m.replica == nil {
		return nil
	}
	return m.replica.Close()
}

// Size is how far the monitor has read.
func (m *Monitor) Size() uint64 {
	if m.replica == nil {
		return 0
	}
	return m.replica.Head().Size
}

// Poll looks once, and gives the alarms that are new. The error says that it could
// not look; what was found before it counts.
func (m *Monitor) Poll(ctx context.Context) ([]Alarm, error) {
	m.alarms = nil
	err := m.poll(ctx)
	return m.alarms, err
}

func (m *Monitor) poll(ctx context.Context) error {
	if err := m.begin(); err != nil {
		return err
	}
	if err := m.own(ctx); err != nil {
		return err
	}
	nodes, err := m.replica.store.Nodes()
	if err != nil {
		return err
	}
	var faults []error
	for _, n := range nodes { // one that answers badly does not keep us from the others
		if err := m.compareInTime(ctx, n); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", n.Name, err))
		}
	}
	return errors.Join(append(faults, m.promises(ctx, nodes))...)
}

// nodePatience is how long one node may take to show what contradicts us or does not.
const nodePatience = time.Minute

func (m *Monitor) compareInTime(ctx context.Context, n *risk.PutNode) error {
	ctx, cancel := context.WithTimeout(ctx, nodePatience)
	defer cancel()
	return m.compare(ctx, n)
}

func (m *Monitor) begin() (err error) {
	if m.replica != nil {
		return nil
	}
	if m.Now == nil {
		m.Now = time.Now
	}
	m.mine, m.settled, m.said = map[risk.Hash]uint64{}, map[risk.Hash]bool{}, map[string]bool{}
	m.replica, err = NewReplica(m.Log, Options{Network: m.Network, Dir: m.Dir, Visit: m.visit})
	return err
}

// alarm says a thing once.
func (m *Monitor) alarm(a Alarm) {
	if !m.said[a.Text] {
		m.said[a.Text] = true
		m.alarms = append(m.alarms, a)
	}
}

// accuse builds evidence and holds it to what a third party would. Without keys that
// lead to the accused there is an alarm and no evidence.
func (m *Monitor) accuse(text string, e *Evidence, leaf []byte) {
	var data []byte
	err := m.chain.complete(e, m.Network, leaf)
	if err == nil {
		data, err = e.Encode()
	}
	if err == nil {
		var finding *Finding
		if finding, err = VerifyEvidence(data, m.Network, leaf); err == nil {
			m.alarm(Alarm{Text: finding.Text, Accused: finding.Accused, Evidence: data, Leaf: leaf})
			return
		}
	}
	m.alarm(Alarm{Text: fmt.Sprintf("%s (no evidence: %v)", text, err)})
}

// own reads what is new in the ledger of our own node.
func (m *Monitor) own(ctx context.Context) error {
	signed, err := m.Log.Checkpoint(ctx)
	if err != nil {
		return err
	}
	if m.last != nil {
		if differ, err := m.contradicts(ctx, m.Log, signed); differ || err != nil {
			return err
		}
	}
	if signed.Size > m.Size() {
		err := m.replica.Extend(ctx, signed.Checkpoint, signed.Size)
		_, leaf := errors.AsType[*BadLeaf](err)
		_, tile := errors.AsType[*BadTile](err)
		if leaf || tile {
			m.alarm(Alarm{Text: err.Error()})
		}
		if err != nil {
			return err
		}
		m.backdated(signed)
	}
	m.last = signed
	m.stamps.cosigned(m.replica, signed)
	return nil
}

// compare holds another node's checkpoint to our replica.
func (m *Monitor) compare(ctx context.Context, n *risk.PutNode) error {
	key, err := ledger.NewVerifier(m.Log.origin, n.LogKey.Bytes[:])
	if err != nil {
		return err
	}
	if _, _, err := ledger.OpenCheckpoint(m.last.Note, m.Log.origin, key); err == nil {
		return nil // it is our own node: the note's key hash alone is short enough to be met by trying
	}
	log := m.Nodes.Ledger(n, key)
	defer log.Close()
	signed, err := log.Checkpoint(ctx)
	if err != nil {
		if _, silent := errors.AsType[*silentError](err); silent {
			m.alarm(Alarm{Text: fmt.Sprintf("%s signs nothing: %v", n.Name, err), Accused: []string{n.Name}})
		}
		return ctx.Err() // it is down or slow, which others watch
	}
	_, err = m.contradicts(ctx, log, signed)
	return err
}

// contradicts reports whether a checkpoint and what we have read cannot both be; if
// so there is evidence now.
func (m *Monitor) contradicts(ctx context.Context, log *Log, signed *Signed) (bool, error) {
	size := min(signed.Size, m.Size())
	if size == 0 {
		return false, nil
	}
	theirs := log.Hashes(ctx, signed.Checkpoint)
	same, err := m.sameRoot(size, signed, theirs)
	if err != nil || same {
		return false, err
	}
	text := fmt.Sprintf("%s shows another history than %s within %d leaves", log.address, m.Log.address, size)
	if signed.Size == m.last.Size {
		m.accuse(text, &Evidence{Kind: TwoRoots, Heads: []string{string(m.last.Note), string(signed.Note)}}, nil)
		return true, nil
	}
	e, err := m.twoHistories(size, signed, theirs)
	if err != nil {
		m.alarm(Alarm{Text: fmt.Sprintf("%s (no evidence: %v)", text, err)})
		return true, nil
	}
	m.accuse(text, e, nil)
	return true, nil
}

func (m *Monitor) sameRoot(size uint64, signed *Signed, theirs ledger.HashReader) (bool, error) {
	ours, err := ledger.RootAt(size, m.replica.store.Hashes)
	if err != nil {
		return false, err
	}
	if size == signed.Size {
		return ours == signed.Root, nil
	}
	root, err := ledger.RootAt(size, theirs)
	return ours == root, err
}

// twoHistories finds the first leaf that is different and proves it in both trees.
func (m *Monitor) twoHistories(size uint64, signed *Signed, theirs ledger.HashReader) (*Evidence, error) {
	ours := ledger.HashReader(m.replica.store.Hashes)
	same, different := uint64(0), size // the first are equal, so many are not
	for different-same > 1 {
		middle := same + (different-same)/2
		equal, err := m.sameRoot(middle, signed, theirs)
		if err != nil {
			return nil, err
		}
		if equal {
			same = middle
		} else {
			different = middle
		}
	}
	e := &Evidence{Kind: TwoHistories, Heads: []string{string(m.last.Note), string(signed.Note)}}
	for i, tree := range []struct {
		size uint64
		read ledger.HashReader
	}{{m.last.Size, ours}, {signed.Size, theirs}} {
		leaf, err := proveHash(i, tree.size, same, tree.read)
		if err != nil {
			return nil, err
		}
		e.Leaves = append(e.Leaves, leaf)
	}
	return e, nil
}

// proveHash proves a leaf by its hash.
func proveHash(head int, size, index uint64, read ledger.HashReader) (EvidenceLeaf, error) {
	var hash [1]ledger.Hash
	if err := read([]uint64{ledger.StoredIndex(0, index)}, hash[:]); err != nil {
		return EvidenceLeaf{}, err
	}
	path, err := ledger.ProveInclusion(size, index, read)
	return EvidenceLeaf{Head: head, Index: index, Hash: hash[0][:], Path: raw(path)}, err
}

// promises looks what became of what we were promised.
func (m *Monitor) promises(ctx context.Context, nodes []*risk.PutNode) error {
	if m.Outbox == nil {
		return nil
	}
	sent, err := m.Outbox()
	switch {
	case errors.Is(err, fs.ErrNotExist) && len(m.mine) == 0:
		return nil // nothing was ever sent
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("outbox: %w, and %d leaves are in our name; name the file in which this institution's programs note what they send", err, len(m.mine))
	case err != nil:
		return err
	}
	m.inOurName(sent)
	for id, one := range sent {
		if _, kept := m.mine[id]; kept || m.settled[id] {
			continue
		}
		for _, promise := range one.Promises {
			if err := m.promised(ctx, id, promise, nodes); err != nil {
				return err
			}
		}
	}
	return nil
}

// inOurName looks for leaves of ours that we did not send.
func (m *Monitor) inOurName(sent map[risk.Hash]*client.Sent) {
	var foreign []risk.Hash
	own := 0
	for id := range m.mine {
		switch {
		case sent[id] != nil:
			own++
		case !m.settled[id]:
			m.settled[id] = true
			foreign = append(foreign, id)
		}
	}
	slices.SortFunc(foreign, func(a, b risk.Hash) int { return cmp.Compare(m.mine[a], m.mine[b]) })
	if own == 0 && len(foreign) > 1 {
		m.alarm(Alarm{Text: fmt.Sprintf("none of the %d leaves in our name is in the outbox: see that it is the one in which this institution's programs note what they send. If it is, a signing key of ours is in other hands; retire it", len(foreign))})
		return
	}
	for _, id := range foreign {
		m.alarm(Alarm{Text: fmt.Sprintf("leaf %d is command %s in our name, and we did not send it: a signing key of ours is in other hands; retire it", m.mine[id], id)})
	}
}

// promised asks the nodes about a command that was promised and is no leaf.
func (m *Monitor) promised(ctx context.Context, id risk.Hash, note string, nodes []*risk.PutNode) error {
	promise, leader := openPromise(note, m.Log.origin, m.chain.nodes())
	if leader == nil || risk.Hash(promise.Command) != id {
		m.alarm(Alarm{Text: fmt.Sprintf("the promise of command %s is signed by no node of the network, or is about another", id)})
		m.settled[id] = true
		return nil
	}
	if m.Now().UnixMilli() < promise.By+2*denialTolerance.Milliseconds() {
		return nil
	}
	text := fmt.Sprintf("command %s was promised and is not a leaf", id)
	denials, enough, err := m.denials(ctx, note, promise, leader, nodes)
	switch {
	case err != nil || len(denials) == 0:
		return err // it is a leaf that we have not read yet, or nobody answers
	case !enough: // others may answer the next time
		m.alarm(Alarm{Text: text + " (no evidence yet: neither the leader itself nor nodes of two other institutions say so)"})
		return nil
	}
	m.settled[id] = true
	m.accuse(text, &Evidence{Kind: BrokenPromise, Promise: note, Absence: denials}, nil)
	return nil
}

// denials asks the nodes until enough of them deny a promise: the leader itself, or
// nodes of two other institutions. What is no such denial is passed over; it must not
// spoil the others.
func (m *Monitor) denials(ctx context.Context, note string, promise ledger.Promise, leader *risk.PutNode, nodes []*risk.PutNode) (said []string, enough bool, err error) {
	var others []*risk.PutNode
	for _, n := range nodes {
		absence, err := m.Nodes.Absent(ctx, n, note)
		if ctx.Err() != nil {
			return nil, false, ctx.Err()
		}
		if err != nil || !denies(absence, promise, m.Log.origin, n) {
			continue
		}
		if n.Node == leader.Node {
			return []string{absence}, true, nil
		}
		if more := addInstitution(others, n, leader); len(more) > len(others) && len(others) < 2 {
			others, said = more, append(said, absence)
		}
	}
	return said, len(others) >= 2, nil
}

// denies holds an absence to what a court will ask of it.
func denies(note string, promise ledger.Promise, origin string, by *risk.PutNode) bool {
	key, err := ledger.NewVerifier(origin, by.LogKey.Bytes[:])
	if err != nil {
		return false
	}
	absence, err := ledger.OpenAbsence([]byte(note), key)
	return err == nil && absence.Promise == promise.Hash() && absence.Time >= promise.By+denialTolerance.Milliseconds()
}

// openPromise also gives the node that signed it, nil if none did.
func openPromise(note, origin string, nodes []*risk.PutNode) (ledger.Promise, *risk.PutNode) {
	for _, n := range nodes {
		key, err := ledger.NewVerifier(origin, n.LogKey.Bytes[:])
		if err != nil {
			continue
		}
		if promise, err := ledger.OpenPromise([]byte(note), key); err == nil {
			return promise, n
		}
	}
	return ledger.Promise{}, nil
}
