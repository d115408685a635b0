package check

import (
	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/rules"
)

// moves fills the facts of what this node has seen itself, for the subjects of which
// the rules in force read any. A check whose rules read none does not come here.
func (w *work) moves(q *Query) {
	wants := w.wants()
	if wants == nil {
		return
	}
	w.seen = seen{now: w.now, amount: q.Payment.Amount, money: moneyOf(q.Payment.Currency), paid: idOf(q.Payment.TransactionID)}
	var roles [risk.Roles]bool
	var kinds [risk.Kinds]bool
	for i := range q.Subjects {
		s := &q.Subjects[i]
		if len(s.Asked) == 0 {
			continue
		}
		byRole, byKind := wants.Roles[s.Role] && !roles[s.Role], wants.Kinds[s.Kind] && !kinds[s.Kind]
		roles[s.Role], kinds[s.Kind] = true, true
		if !byRole && !byKind {
			continue
		}
		var m rules.Moves
		w.c.config.Dynamics.read(ownKey(s), &w.seen, &m)
		if byRole {
			w.facts.ByRole[s.Role].Moves = m
		}
		if byKind {
			w.facts.ByKind[s.Kind].Moves = m
		}
	}
}

// learn takes the payment into what is known of those subjects, once its verdict is
// there: what was stopped is no habit. Only a payment in flight is learned.
func (w *work) learnMoves(q *Query) {
	wants := w.wants()
	if wants == nil || w.phase != risk.PhaseIn {
		return
	}
	w.seen.habit = w.v.Advice <= risk.Observe
	var roles [risk.Roles]bool
	var kinds [risk.Kinds]bool
	for i := range q.Subjects {
		s := &q.Subjects[i]
		if len(s.Asked) == 0 {
			continue
		}
		first := wants.Roles[s.Role] && !roles[s.Role] || wants.Kinds[s.Kind] && !kinds[s.Kind]
		roles[s.Role], kinds[s.Kind] = true, true
		if !first {
			continue
		}
		w.seen.party = 0
		for j := range q.Subjects {
			if o := &q.Subjects[j]; len(o.Asked) > 0 && o.Role == counterparty(s.Role) {
				w.seen.party = printOf(ownKey(o))
				break
			}
		}
		w.c.config.Dynamics.learn(ownKey(s), &w.seen)
	}
}

// wants is nil where nothing is to be read or learned.
func (w *work) wants() *rules.Wants {
	if w.c.config.Dynamics == nil || w.view.Program == nil || !w.view.Program.Wants().Any {
		return nil
	}
	return w.view.Program.Wants()
}

// ownKey is what a subject is remembered by: its own token, of the newest epoch. Of an
// address or a domain it is that of the narrowest scope that the network uses.
func ownKey(s *Subject) Key {
	best := &s.Asked[0]
	for i := range s.Asked {
		if a := &s.Asked[i]; a.Kind == s.Kind && a.Epoch == best.Epoch && a.Scope.Length > best.Scope.Length {
			best = a
		}
	}
	return Key{best.Kind, best.Token}
}
