package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/risknet/risknet/ledger"
	"github.com/risknet/risknet/risk"
)

// Evidence is a small file that shows, offline and to whoever knows the network's
// id, that a node has broken its word. It carries the signed commands that lead from
// the network's id to the keys of the nodes it is about: the founding command, whose
// hash the id is, names the hub's keys, and those have signed the nodes' records.
//
// Its form is JSON with notes as text and all else in base64. It has at most
// MaxEvidenceBytes, apart from a leaf that is larger, which then is a file of its
// own.
type Evidence struct {
	Kind    EvidenceKind   `json:"kind"`
	Network string         `json:"network"`
	Keys    []SignedHeader `json:"keys"`  // the founding command, then changes of the hub's keys
	Nodes   []SignedHeader `json:"nodes"` // put_node commands
	Promise string         `json:"promise,omitempty"`
	Absence []string       `json:"absence,omitempty"`
	Heads   []string       `json:"checkpoints,omitempty"`
	Leaves  []EvidenceLeaf `json:"leaves,omitempty"`
}

// EvidenceKind says what is shown.
type EvidenceKind string

// The kinds of evidence.
const (
	// BrokenPromise: a leader promised that a command would be a leaf, and it is
	// not, by that node's own word or by the word of most other nodes.
	BrokenPromise EvidenceKind = "broken_promise"
	// TwoRoots: two checkpoints of one size have different roots. If one node has
	// signed both, it lies; if two have, one of them has diverged or is forged.
	TwoRoots EvidenceKind = "two_roots"
	// TwoHistories: two checkpoints of different sizes have different leaves at one
	// index.
	TwoHistories EvidenceKind = "two_histories"
	// Backdated: a leaf came later than a checkpoint that nodes of two institutions
	// had cosigned at some time, and its stamp is much earlier than that. One clock
	// that is ahead must not make a liar of whoever stamps.
	Backdated EvidenceKind = "backdated"
)

// MaxEvidenceBytes is the largest evidence file.
const MaxEvidenceBytes = 10 << 10

// SignedHeader is a command as it was signed, without bodies.
type SignedHeader struct {
	Header     []byte   `json:"header"`
	Signatures [][]byte `json:"signatures"`
}

// EvidenceLeaf is a leaf in one of the checkpoints. Data is empty where the hash
// says enough, and where the leaf is a file of its own.
type EvidenceLeaf struct {
	Head  int      `json:"checkpoint"` // which of Heads
	Index uint64   `json:"index"`
	Hash  []byte   `json:"hash"`
	Path  [][]byte `json:"path"`
	Data  []byte   `json:"data,omitempty"`
}

// Finding is what evidence shows.
type Finding struct {
	Kind    EvidenceKind
	Accused []string // names of nodes; of two, one or both
	Text    string
}

// denialTolerance is how much later than the promised time an absence must be: a
// view may be two seconds old, and clocks differ.
const denialTolerance = 5 * time.Second

// backdatedBy is how far behind a cosignature's time a later stamp may be: as far as
// a leader's clock may be ahead.
const backdatedBy = 30 * time.Second

// Encode gives the file.
func (e *Evidence) Encode() ([]byte, error) {
	data, err := json.Marshal(e)
	if err == nil && len(data) >= MaxEvidenceBytes {
		err = fmt.Errorf("evidence: has %d bytes; at most %d are taken", len(data), MaxEvidenceBytes)
	}
	return append(data, '\n'), err
}

// VerifyEvidence checks evidence offline. Leaf is the content of a leaf that did not
// fit into it, or nil. An error says that it shows nothing.
func VerifyEvidence(data []byte, network risk.Hash, leaf []byte) (*Finding, error) {
	if len(data) > MaxEvidenceBytes {
		return nil, fmt.Errorf("evidence: has %d bytes; at most %d are taken", len(data), MaxEvidenceBytes)
	}
	e := &Evidence{}
	in := json.NewDecoder(bytes.NewReader(data))
	in.DisallowUnknownFields()
	if err := in.Decode(e); err != nil || in.More() {
		return nil, fmt.Errorf("evidence: is not a file of `risknet audit monitor`: %v", err)
	}
	if e.Network != network.String() {
		return nil, fmt.Errorf("evidence: is about network %q and not %s", e.Network, network)
	}
	c, err := newCourt(e, network)
	if err != nil {
		return nil, fmt.Errorf("evidence: %w", err)
	}
	c.leaf = leaf
	return c.judge()
}

// court knows whose key is whose.
type court struct {
	*Evidence
	origin string
	nodes  []*risk.PutNode
	leaf   []byte
	heard  map[*risk.PutNode]bool // on whose word or about whom it has judged
}

// judge gives what the evidence shows.
func (c *court) judge() (*Finding, error) {
	c.heard = map[*risk.PutNode]bool{}
	find := map[EvidenceKind]func() (*Finding, error){BrokenPromise: c.brokenPromise, TwoRoots: c.twoRoots,
		TwoHistories: c.twoHistories, Backdated: c.backdated}[c.Kind]
	if find == nil {
		return nil, fmt.Errorf("evidence: kind %q is not known", c.Kind)
	}
	finding, err := find()
	if err != nil {
		return nil, fmt.Errorf("evidence of %s: %w", c.Kind, err)
	}
	finding.Kind = c.Kind
	return finding, nil
}

// newCourt follows the commands from the network's id to the nodes' keys.
func newCourt(e *Evidence, network risk.Hash) (*court, error) {
	c := &court{Evidence: e}
	hub, err := hubOf(e.Keys, network)
	if err != nil {
		return nil, err
	}
	c.origin = hub.founding.Origin
	for i, signed := range e.Nodes {
		command, err := hub.signed(signed, 1)
		if err != nil {
			return nil, fmt.Errorf("nodes[%d]: %w", i, err)
		}
		record, ok := command.Params.(*risk.PutNode)
		if !ok {
			return nil, fmt.Errorf("nodes[%d]: is a %s command", i, command.Params.Kind())
		}
		c.nodes = append(c.nodes, record)
	}
	return c, nil
}

// node gives the one whose key verifies something.
func (c *court) node(verify func(key ledger.Verifier) error) (*risk.PutNode, error) {
	for _, n := range c.nodes {
		key, err := ledger.NewVerifier(c.origin, n.LogKey.Bytes[:])
		if err != nil {
			return nil, err
		}
		if verify(key) == nil {
			c.heard[n] = true
			return n, nil
		}
	}
	return nil, errors.New("is signed by none of the nodes that the evidence names")
}

func (c *court) head(i int) (head ledger.Checkpoint, by *risk.PutNode, err error) {
	if i < 0 || i >= len(c.Heads) {
		return head, nil, fmt.Errorf("there is no checkpoint %d", i)
	}
	by, err = c.node(func(key ledger.Verifier) error {
		var err error
		head, _, err = ledger.OpenCheckpoint([]byte(c.Heads[i]), c.origin, key)
		return err
	})
	if err != nil {
		return head, nil, fmt.Errorf("checkpoint %d: %w", i, err)
	}
	return head, by, nil
}

func (c *court) brokenPromise() (*Finding, error) {
	var promise ledger.Promise
	leader, err := c.node(func(key ledger.Verifier) (err error) {
		promise, err = ledger.OpenPromise([]byte(c.Promise), key)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("promise: %w", err)
	}
	itself := false
	var others []*risk.PutNode
	for i, note := range c.Absence {
		var absence ledger.Absence
		by, err := c.node(func(key ledger.Verifier) (err error) {
			absence, err = ledger.OpenAbsence([]byte(note), key)
			return err
		})
		switch {
		case err != nil:
			return nil, fmt.Errorf("absence[%d]: %w", i, err)
		case absence.Command != promise.Command:
			return nil, fmt.Errorf("absence[%d]: is about another command", i)
		case absence.Promise != promise.Hash():
			return nil, fmt.Errorf("absence[%d]: denies another promise of the command", i)
		case absence.Time < promise.By+denialTolerance.Milliseconds():
			return nil, fmt.Errorf("absence[%d]: was said %d ms after the promised time, which is too soon", i, absence.Time-promise.By)
		case by.Node == leader.Node:
			itself = true
		default:
			others = addInstitution(others, by, leader)
		}
	}
	text := fmt.Sprintf("%s promised that command %x would be a leaf by %s", leader.Name, promise.Command, clock(promise.By))
	switch {
	case itself:
		return &Finding{Accused: []string{leader.Name}, Text: text + "; later it signed that it is not"}, nil
	case len(others) >= 2:
		return &Finding{Accused: []string{leader.Name}, Text: text + fmt.Sprintf("; later %s signed that it is not", names(others))}, nil
	}
	return nil, errors.New("neither the leader itself nor nodes of two other institutions say that the command is absent")
}

// addInstitution counts each institution once, and not the leader's own.
func addInstitution(list []*risk.PutNode, n, leader *risk.PutNode) []*risk.PutNode {
	for _, other := range append([]*risk.PutNode{leader}, list...) {
		if other.Institution == n.Institution {
			return list
		}
	}
	return append(list, n)
}

func (c *court) twoRoots() (*Finding, error) {
	a, byA, err := c.head(0)
	if err != nil {
		return nil, err
	}
	b, byB, err := c.head(1)
	if err != nil {
		return nil, err
	}
	if a.Size != b.Size || a.Root == b.Root {
		return nil, errors.New("the two checkpoints do not contradict each other")
	}
	return contradiction(byA, byB, fmt.Sprintf("at %d leaves there are the roots %x and %x", a.Size, a.Root, b.Root)), nil
}

// contradiction: who signs both lies; of two, one is wrong.
func contradiction(a, b *risk.PutNode, what string) *Finding {
	if a.Node == b.Node {
		return &Finding{Accused: []string{a.Name}, Text: a.Name + " signed two histories: " + what}
	}
	return &Finding{Accused: []string{a.Name, b.Name}, Text: fmt.Sprintf("%s and %s signed two histories, and one of them has diverged or lies: %s", a.Name, b.Name, what)}
}

func (c *court) twoHistories() (*Finding, error) {
	if len(c.Leaves) != 2 || c.Leaves[0].Head == c.Leaves[1].Head {
		return nil, errors.New("needs a leaf in each of two checkpoints")
	}
	var by [2]*risk.PutNode
	for i := range c.Leaves {
		var err error
		if by[i], err = c.holds(&c.Leaves[i]); err != nil {
			return nil, err
		}
	}
	if c.Leaves[0].Index != c.Leaves[1].Index || bytes.Equal(c.Leaves[0].Hash, c.Leaves[1].Hash) {
		return nil, errors.New("the two leaves do not contradict each other")
	}
	return contradiction(by[0], by[1], fmt.Sprintf("leaf %d has the hashes %x and %x", c.Leaves[0].Index, c.Leaves[0].Hash, c.Leaves[1].Hash)), nil
}

// holds verifies that a leaf is in its checkpoint, and says who signed that.
func (c *court) holds(l *EvidenceLeaf) (*risk.PutNode, error) {
	head, by, err := c.head(l.Head)
	if err != nil {
		return nil, err
	}
	path, err := hashes(l.Path)
	if err != nil {
		return nil, err
	}
	if len(l.Hash) != len(ledger.Hash{}) {
		return nil, errors.New("leaf hash: is not of 32 bytes")
	}
	return by, ledger.VerifyInclusion(path, head.Size, head.Root, l.Index, ledger.Hash(l.Hash))
}

// backdated: Heads are the cosigned checkpoint and the later one; Leaves is the leaf.
func (c *court) backdated() (*Finding, error) {
	if len(c.Heads) != 2 || len(c.Leaves) != 1 || c.Leaves[0].Head != 1 {
		return nil, errors.New("needs a cosigned checkpoint, a later one and a leaf in that")
	}
	before, _, err := c.head(0)
	if err != nil {
		return nil, err
	}
	one := &c.Leaves[0]
	if _, err := c.holds(one); err != nil {
		return nil, err
	}
	data := one.Data
	if len(data) == 0 {
		data = c.leaf
	}
	if ledger.LeafHash(data) != ledger.Hash(one.Hash) {
		return nil, fmt.Errorf("the leaf's content is not here; give the file of leaf %d with --leaf", one.Index)
	}
	leaf, err := risk.DecodeLeaf(data)
	if err != nil {
		return nil, err
	}
	leader := c.byID(leaf.Proposer)
	if leader == nil {
		return nil, fmt.Errorf("the node %s that stamped the leaf is not named", leaf.Proposer)
	}
	if one.Index < before.Size {
		return nil, errors.New("the leaf was there before the checkpoint that was cosigned")
	}
	witnesses, at := c.witnesses(before, leader, time.UnixMilli(leaf.At).Add(backdatedBy))
	if len(witnesses) < 2 {
		return nil, fmt.Errorf("nodes of %d other institutions cosigned the checkpoint %s or more behind the stamp; two are needed", len(witnesses), backdatedBy)
	}
	return &Finding{Accused: []string{leader.Name}, Text: fmt.Sprintf("%s stamped leaf %d with %s, and %s had cosigned the ledger without it at %s",
		leader.Name, one.Index, clock(leaf.At), names(witnesses), clock(at.UnixMilli()))}, nil
}

// byID gives the newest record of a node.
func (c *court) byID(id risk.ID) (newest *risk.PutNode) {
	for _, n := range c.nodes {
		if n.Node == id {
			newest = n
		}
	}
	if newest != nil {
		c.heard[newest] = true
	}
	return newest
}

// witnesses gives nodes of two other institutions than the leader's that cosigned
// the first checkpoint not before some time, and the earlier of their times.
func (c *court) witnesses(head ledger.Checkpoint, leader *risk.PutNode, since time.Time) (by []*risk.PutNode, at time.Time) {
	for _, n := range c.nodes {
		seen, said, ok := cosignedBy([]byte(c.Heads[0]), c.origin, n)
		if !ok || seen != head || said.Before(since) {
			continue
		}
		more := addInstitution(by, n, leader)
		if len(more) == len(by) {
			continue
		}
		c.heard[n] = true
		if by = more; at.IsZero() || said.Before(at) {
			at = said
		}
		if len(by) == 2 {
			break
		}
	}
	return by, at
}

// cosignedBy gives the checkpoint in a note that a node has cosigned, and when.
func cosignedBy(note []byte, origin string, n *risk.PutNode) (ledger.Checkpoint, time.Time, bool) {
	key, err := ledger.NewCosignatureVerifier(cosignerName(origin, n), n.LogKey.Bytes[:])
	if err != nil {
		return ledger.Checkpoint{}, time.Time{}, false
	}
	head, by, err := ledger.OpenCheckpoint(note, origin, key)
	if err != nil {
		return head, time.Time{}, false
	}
	return head, by[0].Time, true
}

// cosignerName is the key name under which a node cosigns.
func cosignerName(origin string, n *risk.PutNode) string { return origin + "/" + n.Node.String() }

func clock(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02 15:04:05.000 MST") }

func names(nodes []*risk.PutNode) string {
	var b bytes.Buffer
	for i, n := range nodes {
		if i > 0 {
			b.WriteString(" and ")
		}
		b.WriteString(n.Name)
	}
	return b.String()
}
