package check

import (
	"errors"
	"slices"

	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/rules"
)

// maxTries bounds how often a check begins again with a newer view because the
// Source dropped the version of the one it had.
const maxTries = 4

// Check answers a query. It fills v and uses v's lists again; what v points to
// is shared and must not be changed. The error is a [*QueryError] or [ErrEmpty];
// every other trouble is in the verdict.
func (c *Checker) Check(q *Query, v *risk.Verdict) error {
	if err := c.hear(q, v); err != nil {
		return err
	}
	w := q.work
	w.count()
	w.moves(q)
	w.decide()
	w.learnMoves(q)
	w.finish()
	return nil
}

// Review says what the listings say now about a query that was checked before. It is
// no payment: no rule runs, and nothing is learned of its subjects.
func (c *Checker) Review(q *Query, v *risk.Verdict) error {
	if err := c.hear(q, v); err != nil {
		return err
	}
	q.work.count()
	q.work.finish()
	return nil
}

// hear asks the listings, in one view.
func (c *Checker) hear(q *Query, v *risk.Verdict) error {
	if err := q.validate(); err != nil {
		return err
	}
	if q.work == nil {
		q.work = &work{}
	}
	w := q.work
	w.c, w.v = c, v
	for try := 1; ; try++ {
		view := c.Load()
		if view.source == nil {
			return ErrEmpty
		}
		w.begin(view, q)
		if w.listings(q, try == maxTries) {
			return nil
		}
		c.counters.retries.Add(1)
	}
}

// begin empties the verdict and the room for a view.
func (w *work) begin(view *View, q *Query) {
	now := w.c.config.Now()
	w.view, w.now, w.asked = view, max(now.UnixMilli(), view.Time), 0
	w.found, w.heard = w.found[:0], w.heard[:0]
	w.forget()
	w.facts.Reset()
	w.facts.Payment = q.Payment
	if w.phase = q.Payment.Phase; !w.phase.Valid() {
		w.phase = risk.PhaseIn
	}
	age, limit := w.c.ageAt(now), w.c.config.MaxAge
	if q.MaxAge > 0 {
		limit = min(limit, q.MaxAge)
	}
	v := w.v
	*v = risk.Verdict{
		Advice: risk.Allow, Reasons: v.Reasons[:0], Weights: v.Weights[:0], Shadow: v.Shadow[:0],
		RulesVersion: view.ProgramVersion, Head: view.Head,
		AgeMillis: age.Milliseconds(), Stale: age > limit,
	}
	if view.Program != nil {
		v.RulesHash = view.Program.Hash()
	}
	if v.Stale {
		w.say(staleReason(age, limit, w.c.config.StaleAdvice))
	}
}

// listings asks for every subject. It gives up and returns false when the
// Source has dropped the version and a newer view may be tried.
func (w *work) listings(q *Query, last bool) bool {
	w.facts.Any.Present = len(q.Subjects) > 0
	purpose := q.Payment.Purpose
	if purpose == 0 {
		purpose = risk.PurposeScreening
	}
	w.fetch(q)
	prints := w.prints
	for i := range q.Subjects {
		s := &q.Subjects[i]
		w.facts.ByRole[s.Role].Present = true
		w.facts.ByKind[s.Kind].Present = true
		first, overridden := len(w.found), false
		for j := range s.Asked {
			asked := &s.Asked[j]
			w.facts.ByKind[asked.Kind].Present = true
			fp := prints[0]
			prints = prints[1:]
			if w.clean(fp) {
				continue
			}
			key := Key{asked.Kind, asked.Token}
			if o, ok := w.view.overrides.find(fp, key, w.now); ok {
				overridden = true
				w.say(overrideReason(&o, i))
			}
			sum, listed := w.holds(fp, key)
			if !listed {
				continue
			}
			list, found, err := w.view.source.Standing(w.view.Version, key.Kind, key.Token)
			if errors.Is(err, ErrGone) && !last {
				return false
			}
			if err == nil && len(list) == 0 && !w.view.filter.holds(fp) {
				continue // the Source has said it
			}
			if err != nil || len(list) == 0 || found != sum && sum != 0 {
				w.damaged(key, err, i)
				continue
			}
			w.match(asked, list, purpose, i, first)
		}
		w.weigh(s, first, overridden)
	}
	return true
}

// fetch makes the print of each token that is asked, and has memory on its way for
// all of them before the first is looked at.
func (w *work) fetch(q *Query) {
	w.prints = w.prints[:0]
	for i := range q.Subjects {
		for j := range q.Subjects[i].Asked {
			asked := &q.Subjects[i].Asked[j]
			w.prints = append(w.prints, w.c.hasher.print(asked.Kind, &asked.Token))
		}
	}
	w.warmed = w.view.filter.warm(w.prints)
}

// clean says that nothing speaks of a print: neither an exception of our own nor a
// listing. Of nearly all that is asked this is the end.
func (w *work) clean(fp uint64) bool {
	w.asked++
	return !w.view.filter.may(fp) && !w.view.overrides.may(fp)
}

// holds asks the fingerprints, and counts where the filter did not end the question.
func (w *work) holds(fp uint64, key Key) (sum Sum, listed bool) {
	known, sum := w.view.filter.ask(fp, key)
	if known == miss {
		return 0, false
	}
	w.c.counters.filterHits.Add(1)
	if known == falseHit {
		w.c.counters.falseHits.Add(1)
	}
	return sum, known == hit
}

// damaged fails closed: somebody is listed here, and we cannot say for what.
func (w *work) damaged(key Key, err error, subject int) {
	w.c.counters.damage.Add(1)
	w.c.config.Alarm(&DamageError{Version: w.view.Version, Key: key, Err: err})
	w.v.Listed = true
	w.say(damageReason(key.Kind, subject, w.c.config.DamageAdvice))
}

// decide runs the program over the facts.
func (w *work) decide() {
	view := w.view
	if view.Program == nil {
		if view.RulesVersion != 0 {
			w.say(noProgramReason(view.RulesVersion, w.c.config.DamageAdvice))
		}
		return
	}
	d := &w.decision
	view.Program.Decide(&w.facts, d)
	w.v.Advice = max(w.v.Advice, d.Advice)
	for i, r := range d.Fired {
		w.say(ruleReason(r, d.Given[i]))
	}
	for _, r := range d.Failed {
		w.say(failedReason(r, view.Program.OnError(w.phase)))
	}
	for _, r := range d.Shadow {
		w.v.Shadow = append(w.v.Shadow, r.ID)
	}
}

// say adds a reason, and its advice to the verdict's.
func (w *work) say(r risk.Reason) {
	w.v.Reasons = append(w.v.Reasons, r)
	w.v.Advice = max(w.v.Advice, r.Advice)
}

// finish counts the reporters, and lets go of what belongs to the view and to
// the caller, so that a query that lies idle keeps no old state alive.
func (w *work) finish() {
	for i, f := range w.found {
		known := func(o standing) bool { return o.Listing.Reporter == f.Listing.Reporter }
		if !slices.ContainsFunc(w.found[:i], known) {
			w.v.Reporters++
		}
	}
	clear(w.found)
	clear(w.heard)
	w.program = w.view.Program // for Explain
	w.view, w.v = nil, nil
}

// Explain says how each rule saw the last check of a query: the same facts, the
// same program.
func (c *Checker) Explain(q *Query) ([]rules.Trace, error) {
	switch {
	case q.work == nil || q.work.c == nil:
		return nil, errors.New("explain: the query was not checked yet")
	case q.work.program == nil:
		return nil, nil
	}
	return q.work.program.Explain(&q.work.facts)
}
