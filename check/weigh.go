package check

import (
	"slices"

	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/rules"
)

// match keeps the listings that answer the question: of the kind and the very scope
// asked, and shared for what is asked. Those in force speak; the others still tell
// when a case began. What other tokens of the subject brought is known already.
func (w *work) match(asked *risk.Asked, list []risk.Standing, purpose risk.Purpose, subject, first int) {
	for i := range list {
		s := &list[i]
		it := &s.Listing.Item
		if it.Kind != asked.Kind || it.Scope != asked.Scope || s.Body.Purposes&purpose == 0 {
			continue
		}
		known := func(o *risk.Standing) bool { return o.Listing.ID == s.Listing.ID }
		if slices.ContainsFunc(w.heard, known) {
			continue
		}
		w.heard = append(w.heard, s)
		if s.ActiveAt(w.now) {
			w.found = append(w.found, standing{s, subject})
		}
	}
}

// weigh turns a subject's listings into reasons, and into facts unless an override
// takes their place. Neither an override nor a protection stands against an authority's
// word: hard block before scoped, expiring exception before soft block.
func (w *work) weigh(s *Subject, first int, overridden bool) {
	found := w.found[first:]
	if len(found) > 0 {
		weight := w.view.policy.Weigh(w.now, w.heard)
		hard := weight.Authority && weight.AtMost == risk.Deny
		if p := w.protection(s); p != nil && !hard {
			weight.AtMost = min(weight.AtMost, risk.StepUp)
			w.say(protectedReason(p, found[0].subject))
		}
		w.v.Listed = true
		if slices.ContainsFunc(found, func(f standing) bool { return f.Body.Part != risk.PartVictim }) {
			w.v.Weights = append(w.v.Weights, risk.SubjectWeight{Subject: found[0].subject, Weight: weight})
		}
		for _, f := range found {
			advice := risk.Allow
			if !overridden || hard {
				advice = adviceOf(f.Standing, w.phase, weight.AtMost)
				w.learn(s, f.Standing, advice, &weight)
			}
			w.say(listingReason(f, advice, weight.StateOf(f.Standing, w.now)))
		}
	}
	clear(w.heard)
	w.heard = w.heard[:0]
}

// protection gives the one in force for a subject itself, nil if there is none.
func (w *work) protection(s *Subject) *risk.Protected {
	for i := range s.Asked {
		if p := w.view.shelter.Of(&s.Asked[i], w.now); p != nil {
			return p
		}
	}
	return nil
}

// learn fills the facts: about any subject, about its role, and about the kinds
// of the subject and of the listing, which differ where a domain speaks about
// an e-mail.
func (w *work) learn(s *Subject, st *risk.Standing, advice risk.Advice, weight *risk.Weight) {
	w.tallied = true
	f, kind := &w.facts, st.Listing.Item.Kind
	w.tell(&w.any, &f.Any, st, advice, weight)
	w.tell(&w.byRole[s.Role], &f.ByRole[s.Role], st, advice, weight)
	w.tell(&w.byKind[kind], &f.ByKind[kind], st, advice, weight)
	if s.Kind != kind {
		w.tell(&w.byKind[s.Kind], &f.ByKind[s.Kind], st, advice, weight)
	}
}

// tell adds one listing to what the rules know of some subjects. A victim is known as
// that alone, so that no rule about those who are listed falls on it.
func (w *work) tell(t *tally, about *rules.About, st *risk.Standing, advice risk.Advice, weight *risk.Weight) {
	about.Listed = true
	about.Advice = max(about.Advice, advice)
	if st.Body.Part == risk.PartVictim {
		about.Victim, about.AtMost = true, max(about.AtMost, risk.StepUp)
		return
	}
	about.AtMost = max(about.AtMost, weight.AtMost)
	t.add(about, st)
	about.Own = about.Own || st.Listing.Reporter == w.c.config.Self
	about.Authority = about.Authority || weight.Authority
	about.Confidence = max(about.Confidence, int(weight.Confidence))
	about.Origins = max(about.Origins, weight.Origins)
}

// adviceOf is what a listing advises in a phase: what its reporter wishes, and no
// more than all that is known of the subject bears. A victim is to be warned, not
// refused, whatever its reporter wrote.
func adviceOf(s *risk.Standing, phase risk.Phase, most risk.Advice) risk.Advice {
	if s.Body.Phases != 0 && s.Body.Phases&(1<<phase) == 0 {
		return risk.Allow
	}
	if s.Body.Part == risk.PartVictim {
		most = risk.StepUp
	}
	return min(max(risk.Allow, s.Body.Action), most)
}
