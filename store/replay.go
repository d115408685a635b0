package store

import (
	"bytes"
	"context"
	"fmt"

	"github.com/risknet/risknet/risk"
)

// Replayed is one leaf of a ledger with the bodies of its items, as far as they
// are still kept. No bodies at all stands for all of them erased.
type Replayed struct {
	Leaf   []byte
	Bodies []risk.Body
}

// ReplayError says which leaf the law does not give, and what is wrong with it.
type ReplayError struct {
	Leaf   uint64
	Reason string
}

func (e *ReplayError) Error() string { return fmt.Sprintf("leaf %d: %s", e.Leaf, e.Reason) }

// Replay applies the leaves that follow the ones that this store has, as every
// replica once did, and holds each to what the law makes of it: signatures,
// refusal, outcomes and the digest of the whole state. The first that is not so is
// a [*ReplayError]. The store must have been made for this: it has no place in a
// log.
func (s *Store) Replay(leaves []Replayed) error {
	if err := s.Sound(context.Background()); err != nil {
		return err
	}
	for from := 0; from < len(leaves); {
		done, err := s.replayCut(leaves[from:])
		if err != nil {
			return err
		}
		from += done
	}
	return nil
}

func (s *Store) replayCut(leaves []Replayed) (done int, err error) {
	defer s.now.Load().gen.caught(&err)
	s.replayed.Store(true)
	c := s.begin()
	c.replaying = true
	defer c.txn.Discard()
	for done < len(leaves) && (done == 0 || c.hasRoom()) {
		if err := c.replay(leaves[done]); err != nil {
			return 0, err
		}
		done++
	}
	return done, c.commit()
}

func (c *cut) replay(r Replayed) error {
	index := c.meta.edge.Size()
	wrong := func(format string, args ...any) error {
		return &ReplayError{Leaf: index, Reason: fmt.Sprintf(format, args...)}
	}
	leaf, err := risk.DecodeLeaf(r.Leaf)
	if err != nil {
		return wrong("is not one: %v", err)
	}
	command, err := risk.DecodeCommand(leaf.Header)
	if err != nil {
		return wrong("holds no command: %v", err)
	}
	entry := &risk.Entry{At: leaf.At, Proposer: leaf.Proposer,
		Signed: &risk.Signed{Header: leaf.Header, Signatures: leaf.Signatures, Bodies: r.Bodies}}
	if r.Bodies == nil {
		entry.Signed.Bodies = make([]risk.Body, len(command.Items))
	}
	c.meta.position.Index, c.meta.position.Term = index+1, 1
	c.meta.lastAt = max(c.meta.lastAt, leaf.At)
	clear(c.led)
	res, err := risk.Step(c, entry, index, leaf.Outcomes)
	switch {
	case err != nil:
		return fmt.Errorf("leaf %d: %w", index, err)
	case res.First != nil:
		return wrong("the command was applied as leaf %d already", res.First.Leaf)
	case !res.Leaf:
		return wrong("the command leaves nothing: %v", res.Refusal)
	}
	if difference := differs(leaf, &res, c.meta.lanes.digest()); difference != "" {
		return wrong("%s", difference)
	}
	if !bytes.Equal(c.lastLeaf(entry, &res), r.Leaf) {
		return wrong("is not in its one encoding")
	}
	return c.grow(entry, &res)
}

// differs names the first part of a leaf that the law gives otherwise.
func differs(leaf *risk.Leaf, res *risk.Result, digest risk.Hash) string {
	refusal := risk.Accepted
	if res.Refusal != nil {
		refusal = res.Refusal.Kind
	}
	if refusal != leaf.Refusal {
		return fmt.Sprintf("its outcome is %s, the law gives %s", leaf.Refusal, refusal)
	}
	if len(res.Outcomes) != len(leaf.Outcomes) {
		return fmt.Sprintf("has %d outcomes, the law gives %d", len(leaf.Outcomes), len(res.Outcomes))
	}
	for i, o := range res.Outcomes {
		if o != leaf.Outcomes[i] {
			return fmt.Sprintf("outcome of item %d is %s, the law gives %s", i, describe(leaf.Outcomes[i]), describe(o))
		}
	}
	if digest != leaf.State {
		return fmt.Sprintf("has state digest %s, the law gives %s", leaf.State, digest)
	}
	return ""
}

func describe(o risk.Outcome) string {
	switch o.Status {
	case risk.Refused:
		return o.Status.String() + " (" + o.Refusal.String() + ")"
	case risk.Created, risk.Kept:
		return o.Status.String()
	default:
		return o.Status.String() + " " + o.Target.String()
	}
}
