package risk

import (
	"crypto/sha256"
	"fmt"
)

// TooOldError stops a node: the network has gone on to a protocol that this
// program does not apply, and to go on without it would make this replica differ.
type TooOldError struct{ Version uint32 }

func (e *TooOldError) Error() string {
	return fmt.Sprintf("the network raised its protocol to version %d and this program applies up to %d: install a newer risknet, then start it on the same data", e.Version, ProtocolVersion)
}

func (s *step) publishRules(p *PublishRules, res *Result, recorded []Outcome) error {
	body := s.entry.Signed.Bodies[0]
	matches := Hash(sha256.Sum256(body.Data)) == p.Hash
	if body.Erased() {
		matches = len(recorded) == 1 // the leaf says whether the source was taken in
	}
	if !matches {
		return refuse(BadField, "hash", "is not the SHA-256 of the rule set that came with it")
	}
	head, err := LoadRulesHead(s)
	if err != nil {
		return err
	}
	old := head.appendTo(nil)
	if head.Last == 0 {
		old = nil
	}
	head.Last++
	if err := s.save(old, &head); err != nil {
		return err
	}
	set := &RuleSet{Version: head.Last, Hash: p.Hash, Author: s.cmd.Author, PublishedAt: s.now,
		State: RulesPublished, Leaf: s.leaf, Commitment: s.cmd.Items[0].Commitment}
	if err := s.save(nil, set); err != nil {
		return err
	}
	res.Outcomes = []Outcome{{Status: Kept}}
	return s.KeepBody(ItemID{Leaf: s.leaf}, body)
}

func (s *step) activateRules(version uint32) error {
	head, err := LoadRulesHead(s)
	if err != nil {
		return err
	}
	set, err := LoadRuleSet(s, version)
	switch {
	case err != nil:
		return err
	case set == nil:
		return refuse(NotFound, "version", "no rule set %d; the newest is %d", version, head.Last)
	case head.Active == version:
		return refuse(NothingToDo, "version", "rule set %d is in force", version)
	}
	if err := s.moveRules(head.Active, RulesSuperseded, 0); err != nil {
		return err
	}
	if err := s.moveRules(version, RulesActive, head.Active); err != nil {
		return err
	}
	old := head.appendTo(nil)
	head.Active = version
	return s.save(old, &head)
}

func (s *step) rollbackRules(p *RollbackRules) error {
	head, err := LoadRulesHead(s)
	if err != nil {
		return err
	}
	set, err := LoadRuleSet(s, head.Active)
	switch {
	case err != nil:
		return err
	case p.From != head.Active:
		return refuse(NothingToDo, "from", "rule set %d is in force, not %d", head.Active, p.From)
	case set == nil || set.Previous == 0:
		return refuse(NotFound, "from", "no rule set was in force before this one; publish and activate another")
	}
	back := set.Previous
	before, err := LoadRuleSet(s, back)
	if err != nil {
		return err
	}
	if err := s.moveRules(head.Active, RulesRolledBack, 0); err != nil {
		return err
	}
	if err := s.moveRules(back, RulesActive, before.Previous); err != nil {
		return err
	}
	old := head.appendTo(nil)
	head.Active = back
	return s.save(old, &head)
}

// moveRules sets a rule set's state; previous is kept where it is zero.
func (s *step) moveRules(version uint32, to RuleSetState, previous uint32) error {
	if version == 0 {
		return nil
	}
	set := &RuleSet{Version: version}
	raw, err := s.load(set.key(), set.read)
	if err != nil {
		return err
	}
	set.State = to
	if previous != 0 {
		set.Previous = previous
	}
	return s.save(raw, set)
}
