package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"github.com/risknet/risknet/fault"
	"github.com/risknet/risknet/ledger"
	"github.com/risknet/risknet/risk"
)

// Kind says what an entry of the log is.
type Kind uint8

// The kinds of entry.
const (
	Command       Kind = 1
	Configuration Kind = 2 // kept as it is, and given back in Position
	Other         Kind = 3 // moves the position alone
)

// Entry is one entry of the log.
type Entry struct {
	Index, Term uint64
	Kind        Kind
	Data        []byte
}

// Applied is what became of an entry.
type Applied struct {
	Result  risk.Result
	Leaf    uint64    // the command's leaf, if it is one or was before
	Head    risk.Head // after the entry
	At      int64     // the leader's stamp
	Skipped bool      // it was in the state already
	Err     error     // the store failed here or before; nothing was applied
}

// Key is one token under one kind.
type Key struct {
	Kind  risk.Kind
	Token risk.Token
}

// Touched is a token of which a listing has changed. Delta is what that adds to
// the token's sum; see linkSum.
type Touched struct {
	Key
	Delta uint16
}

// Cut is what one transaction has changed.
type Cut struct {
	Version uint64 // names the state to readers
	Head    risk.Head
	Time    int64 // the network's

	Linked   []Touched // got a listing, or one of its listings changed
	Unlinked []Touched // lost one, perhaps not the last

	ScopesChanged, EpochsChanged, RulesChanged, NodesChanged, RevocationsChanged, InstitutionsChanged, PolicyChanged, ProtectionsChanged bool
}

// Apply applies entries in order and gives a result for each. Entries that are
// in the state already are skipped. After a failure, which Err then tells too,
// what came before the failing entry is in the state and nothing else ever will be.
// Apply waits for [Store.Sound].
func (s *Store) Apply(entries []Entry) []Applied {
	results := make([]Applied, len(entries))
	if err := s.Sound(context.Background()); err != nil {
		s.opts.Logger.Error("the state cannot go on", "error", s.fail(err))
	}
	for from := 0; from < len(entries); {
		if err := s.Err(); err != nil {
			for i := from; i < len(entries); i++ {
				results[i] = Applied{Head: s.Head(), Err: err}
			}
			return results
		}
		done, err := s.applyCut(entries[from:], results[from:])
		if err != nil {
			s.opts.Logger.Error("the state cannot go on", "error", s.fail(err))
		}
		from += done
	}
	return results
}

// applyCut applies as many entries as one transaction takes, commits them, and
// says how many are in the state. If one fails, the transaction is thrown away
// and those before it are done again.
func (s *Store) applyCut(entries []Entry, results []Applied) (done int, err error) {
	defer s.now.Load().gen.caught(&err)
	c := s.begin()
	defer c.txn.Discard()
	n := 0
	for n < len(entries) && (n == 0 || c.hasRoom()) {
		if err := c.apply(&entries[n], &results[n]); err != nil {
			err = fmt.Errorf("entry %d: %w", entries[n].Index, err)
			if n == 0 {
				return 0, err
			}
			done, again := s.applyCut(entries[:n], results)
			return done, errors.Join(err, again)
		}
		n++
	}
	if err := c.commit(); err != nil {
		return 0, err
	}
	return n, nil
}

// roomBytes and roomWrites are more than one command can need.
const (
	roomBytes  = 3 << 19
	roomWrites = 8_192
)

// hasRoom reports whether one more command fits under four fifths of what a
// transaction may hold.
func (c *cut) hasRoom() bool {
	db := c.meta.gen.db
	return c.bytes+roomBytes < db.MaxBatchSize()*8/10 && c.writes+roomWrites < db.MaxBatchCount()*8/10
}

func (c *cut) apply(e *Entry, out *Applied) error {
	*out = Applied{Head: c.meta.head}
	if e.Index <= c.meta.position.Index {
		out.Skipped = true
		return nil
	}
	c.meta.position.Index, c.meta.position.Term = e.Index, e.Term
	switch e.Kind {
	case Configuration:
		c.meta.position.Configuration, c.meta.position.ConfigurationIndex = bytes.Clone(e.Data), e.Index
	case Command:
		return c.command(e, out)
	}
	return nil
}

// command is the life of a command on this replica: the law, then the leaf. What
// is not an entry in our codec leaves nothing: a node that needs a newer codec
// was stopped by the command that raised the protocol.
func (c *cut) command(e *Entry, out *Applied) error {
	entry, err := risk.DecodeEntry(e.Data)
	if err != nil {
		refusal, _ := errors.AsType[*risk.Error](err)
		out.Result.Refusal = refusal
		return nil
	}
	clear(c.led)
	out.At = entry.At
	c.meta.lastAt = max(c.meta.lastAt, entry.At)
	leaf := c.meta.edge.Size()
	if out.Result, err = risk.Step(c, entry, leaf, nil); err != nil {
		return err
	}
	if first := out.Result.First; first != nil {
		out.Leaf = first.Leaf
	}
	if reset, ok := resetOf(&out.Result); ok {
		c.meta.lastAt = reset // the stamps before it were the fault
	}
	if !out.Result.Leaf {
		return nil
	}
	out.Leaf = leaf
	if err := c.grow(entry, &out.Result); err != nil {
		return err
	}
	out.Head = c.meta.head
	return nil
}

// resetOf gives the time that a command has set the network's clock back to.
func resetOf(res *risk.Result) (int64, bool) {
	if !res.Leaf || res.Refusal != nil {
		return 0, false
	}
	p, ok := res.Command.Params.(*risk.ResetTime)
	if !ok {
		return 0, false
	}
	return p.Time, true
}

// lastLeaf is the leaf of a command, after its step.
func (c *cut) lastLeaf(entry *risk.Entry, res *risk.Result) []byte {
	l := risk.Leaf{Header: entry.Signed.Header, Signatures: entry.Signed.Signatures, At: entry.At,
		Proposer: entry.Proposer, Outcomes: res.Outcomes, State: c.meta.lanes.digest()}
	if res.Refusal != nil {
		l.Refusal = res.Refusal.Kind
	}
	return l.Encode()
}

// grow appends the leaf of a command to the ledger.
func (c *cut) grow(entry *risk.Entry, res *risk.Result) error {
	size := c.meta.edge.Size()
	encoded := c.lastLeaf(entry, res)
	if err := c.set(numbered(prefixLeaf, size), encoded); err != nil {
		return err
	}
	at := ledger.StoredCount(size)
	for i, h := range c.meta.edge.Append(nil, ledger.LeafHash(encoded)) {
		if err := c.set(numbered(prefixHash, uint64(at)+uint64(i)), append([]byte(nil), h[:]...)); err != nil {
			return err
		}
	}
	c.meta.setHead()
	return nil
}

// commit makes the cut the newest state and tells of it. The position moves in
// the same transaction as the data: after a crash both are there or neither.
func (c *cut) commit() error {
	s, m := c.store, c.meta
	if m.position.Index == s.now.Load().position.Index {
		return nil // all were skipped
	}
	clock, err := risk.LoadClock(&reader{meta: m})
	if err != nil {
		return err
	}
	encoded, err := m.encode()
	if err != nil {
		return err
	}
	if err := errors.Join(c.writeCreated(), c.writeDueGroups(), c.mark(encoded)); err != nil {
		return err
	}
	// If we crash here, raft delivers the entries again and nothing was done.
	fault.Point("store: before commit")
	if err := c.txn.CommitAt(m.version(), nil); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	// If we crash here, raft delivers them again and Apply skips them, unless
	// the machine lost what was not synced: then they are applied again.
	fault.Point("store: after commit")
	s.soonest = c.soonest
	s.now.Store(m)
	m.gen.keep(m.version())
	linked, unlinked := c.touched()
	s.opts.OnCut(Cut{
		Version: m.version(), Head: m.head, Time: clock.Time, Linked: linked, Unlinked: unlinked,
		ScopesChanged: c.changed[risk.TableScopes], EpochsChanged: c.changed[risk.TableEpochs],
		RulesChanged: c.changed[risk.TableRulesHead], NodesChanged: c.changed[risk.TableNodes],
		RevocationsChanged: c.changed[risk.TableRevocations], InstitutionsChanged: c.changed[risk.TableInstitutions],
		PolicyChanged: c.changed[risk.TablePolicy], ProtectionsChanged: c.changed[risk.TableProtections],
	})
	return nil
}

// mark writes the position and the mark of this cut; see checkCuts.
func (c *cut) mark(encoded []byte) error {
	if err := c.set([]byte(keyMeta), encoded); err != nil {
		return err
	}
	if err := c.delete(numbered(prefixCut, c.store.now.Load().version())); err != nil {
		return err
	}
	return c.set(numbered(prefixCut, c.meta.version()), nil)
}

// Verify is the courtesy that a node does before it asks for order; see
// risk.Verify.
func (s *Store) Verify(signed *risk.Signed, at int64) (command *risk.Command, err error) {
	err = s.newest(func(m *meta, txn *badger.Txn) error {
		command, err = risk.Verify(&reader{meta: m, txn: txn}, signed, at)
		return err
	})
	return command, err
}

// Known says what the state remembers of a command, and at which head; see
// risk.Known.
func (s *Store) Known(id risk.Hash, notAfter int64) (found *risk.Remembered, head risk.Head, err error) {
	err = s.newest(func(m *meta, txn *badger.Txn) error {
		head = m.head
		found, err = risk.Known(&reader{meta: m, txn: txn}, id, notAfter)
		return err
	})
	return found, head, err
}
