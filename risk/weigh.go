package risk

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// CategoryName marks a listing that knows its subject by a name alone, which many
// bear.
const CategoryName = "name"

// Weight is what the listings of one subject come to.
type Weight struct {
	Confidence uint16 // 0 to 1000
	Origins    int    // independent ones that speak of a suspect now
	Authority  bool   // one of them is an authority's word
	Named      bool   // the subject is known by a name alone
	ReviewDue  bool   // a case has come to its end and waits for new evidence
	Precision  uint16 // of the least reliable reporter, per mille; 1000 if there is none
	AtMost     Advice // the hardest that the listings may advise together
	Policy     uint32 // version of the policy that says so
}

// voice is what one institution adds.
type voice struct {
	reporter ID
	origin   Origin
	weight   int64
	hub      bool
	named    bool
}

// Weigh says how much is known about a subject at a time. It is given every listing
// of the subject in whatever state, since what has expired still tells when a case
// began. Each institution has one voice, its strongest, and each origin counts once. A
// copied list adds nothing to what somebody knows from a case of its own, which it may
// well be a copy of; where there are copies alone, the strongest is one voice.
//
// One origin is at most a reason to verify. More needs a second, independent one, or an
// authority's word, which the hub alone passes on, because anybody can claim one.
func (p *Policy) Weigh(now int64, all []*Standing) Weight {
	w := Weight{Precision: 1000, AtMost: Observe, Policy: p.Version}
	var voices []voice
	for _, s := range all {
		if s.Body.Part == PartVictim || !s.ActiveAt(now) {
			continue
		}
		precision := p.Precision(s.Reputation)
		w.Precision = min(w.Precision, precision)
		if p.overAt(now, s, all) {
			w.ReviewDue = true
			continue
		}
		if precision < p.Least {
			continue
		}
		v := voice{s.Listing.Reporter, s.Listing.Item.Origin, p.weigh(now, s, precision), s.ByHub, s.Body.Category == CategoryName}
		if v.origin.Kind == OriginOwn {
			v.origin.Ref = v.reporter
		}
		voices = append(voices, v)
	}
	p.join(&w, voices)
	w.AtMost = p.atMost(&w)
	return w
}

// weigh is what one report weighs alone, per mille.
func (p *Policy) weigh(now int64, s *Standing, precision uint16) int64 {
	tier := s.Body.Tier
	if s.Body.Part == PartLinked {
		tier = 0 // it stands beside a suspect; nobody says that it did anything
	}
	if s.ByHub && s.Listing.Item.Origin.Kind == OriginAuthority {
		tier = MaxTier
	}
	shares := []uint16{precision, p.Kinds[s.Listing.Item.Kind]}
	if s.Listing.Item.Origin.Kind == OriginCopy {
		shares = append(shares, p.Copied)
	}
	if s.Body.Category == CategoryName {
		shares = append(shares, p.Name)
	}
	weight := int64(p.Tiers[tier])
	for _, share := range shares {
		weight = weight * int64(share) / 1000
	}
	if s.Listing.Item.Origin.Kind == OriginAuthority {
		return weight // what a court or a sanctions list says stands until it is taken back
	}
	fade := int64(p.Fade)
	age := min(max(0, now-s.LastFraud())/dayMillis, fade)
	return weight * (2*fade - age) / (2 * fade)
}

// Precision is how often a reporter is right, per mille.
func (p *Policy) Precision(r Reputation) uint16 {
	errors := min(r.Errors, 1<<40)
	good := uint64(p.Trust)
	if r.Reported > errors {
		good += min(r.Reported-errors, 1<<40)
	}
	return uint16(1000 * good / (good + uint64(p.Penalty)*errors))
}

// FirstFraud is when what a listing reports began, as far as anybody said. Nobody
// reports what is still to come: a date ahead would never fade, and never end.
func (s *Standing) FirstFraud() int64 {
	return s.known(cmp.Or(s.Body.OccurredFrom, s.Listing.Item.SourceDate, s.Listing.ReportedAt))
}

// LastFraud is when it was last seen.
func (s *Standing) LastFraud() int64 { return max(s.known(s.Body.OccurredTo), s.FirstFraud()) }

// known holds a date that a reporter gave to when it was said.
func (s *Standing) known(at int64) int64 { return max(0, min(at, s.Listing.ChangedAt)) }

// overAt reports whether the case that a listing belongs to has come to its end.
func (p *Policy) overAt(now int64, s *Standing, all []*Standing) bool {
	life := p.caseLife(s.Listing.Item.Code)
	if life == 0 || s.Listing.Item.Origin.Kind == OriginAuthority {
		return false
	}
	began := firstFrauds(s.Listing.Item.Code, all)
	for len(began) > 0 {
		start := began[0]
		if len(began) > 1 && began[1] < start+life {
			start = began[1]
		}
		n, _ := slices.BinarySearch(began, start+life)
		if began = began[n:]; s.FirstFraud() < start+life {
			return now >= start+life
		}
	}
	return false
}

// firstFrauds are when the reporters of a code saw the first fraud, in order. A case
// takes in all that began before its end, and what began later is another case. It
// begins with the second of them: one reporter that makes up an earlier date must not
// end what the others have just found.
func firstFrauds(code uint16, all []*Standing) []int64 {
	firsts := map[ID]int64{}
	for _, s := range all {
		l := &s.Listing
		if l.Item.Code != code || l.State == Withdrawn || l.State == LiftedError || s.Body.Part == PartVictim {
			continue
		}
		if at, known := firsts[l.Reporter]; !known || s.FirstFraud() < at {
			firsts[l.Reporter] = s.FirstFraud()
		}
	}
	return slices.Sorted(maps.Values(firsts))
}

// join makes one confidence of the voices: what is left of doubt after each
// independent origin.
func (p *Policy) join(w *Weight, voices []voice) {
	slices.SortFunc(voices, func(a, b voice) int {
		return cmp.Or(cmp.Compare(b.weight, a.weight), bytes.Compare(a.reporter[:], b.reporter[:]),
			cmp.Compare(a.origin.Kind, b.origin.Kind), bytes.Compare(a.origin.Ref[:], b.origin.Ref[:]))
	})
	var heard []ID
	var origins []Origin
	doubt := int64(1000)
	w.Named = len(voices) > 0
	onlyCopies := !slices.ContainsFunc(voices, func(v voice) bool { return v.origin.Kind != OriginCopy })
	for _, v := range voices {
		w.Named = w.Named && v.named
		w.Authority = w.Authority || v.hub && v.origin.Kind == OriginAuthority
		if slices.Contains(heard, v.reporter) {
			continue
		}
		heard = append(heard, v.reporter)
		if v.origin.Kind == OriginCopy && !onlyCopies {
			continue
		}
		if v.origin.Kind == OriginCopy {
			v.origin.Ref = ID{} // lists copy each other, so all of them are one
		}
		if !slices.Contains(origins, v.origin) {
			origins = append(origins, v.origin)
			doubt = doubt * (1000 - v.weight) / 1000
		}
	}
	w.Origins, w.Confidence = len(origins), uint16(1000-doubt)
}

func (p *Policy) atMost(w *Weight) Advice {
	known := int(w.Confidence)
	switch {
	case w.Origins == 0:
		return Observe
	case w.Named && (w.Authority || known >= int(p.StepUp)):
		return StepUp
	case w.Authority:
		return Deny
	case known < int(p.StepUp):
		return Observe
	case w.Origins < 2 || known < int(p.Hold):
		return StepUp
	case known < int(p.Deny):
		return HoldFunds
	default:
		return Deny
	}
}

// StateOf gives a listing's state as it stands among the others: one of the gravest
// level, or of somebody who is known by a name alone, waits for a second origin, and
// one whose case has ended waits for review.
func (w *Weight) StateOf(s *Standing, now int64) ListingState {
	state := s.StateAt(now)
	if s.Body.Part == PartVictim || state != Active && state != Renewed && state != ReviewDue {
		return state
	}
	switch alone := w.Origins < 2 && !w.Authority; {
	case w.ReviewDue && w.Origins == 0:
		return ReviewDue
	case alone && (s.Listing.Item.Level == 1 || s.Body.Category == CategoryName):
		return PendingSecond
	}
	return state
}

// String says in words why the listings may advise what they may.
func (w *Weight) String() string {
	text := fmt.Sprintf("%d independent origins", w.Origins)
	if w.Origins == 1 {
		text = "1 independent origin"
	}
	if w.Authority {
		text += ", among them an authority"
	}
	if w.Named {
		text += ", known by a name alone"
	}
	if w.ReviewDue {
		text += ", a case is due for review"
	}
	return fmt.Sprintf("%s: confidence %d of 1000, at most %s (policy %d)", text, w.Confidence, w.AtMost, w.Policy)
}
