package risk

import "testing"

func TestAPolicyFollowsTheOneBefore(t *testing.T) {
	w := newWorld2(t)
	p := *DefaultPolicy()
	if got, err := LoadPolicy(w.st); err != nil || got.Version != 0 || got.Deny != p.Deny {
		t.Fatalf("before any was set %+v is in force, %v", got, err)
	}
	p.Version, p.Deny = 2, 700
	w.refused(w.command(hub, 2, &SetPolicy{Policy: p}), nil, BadField)
	p.Version = 1
	w.accepted(w.command(hub, 2, &SetPolicy{Policy: p}), nil)
	w.refused(w.command(hub, 2, &SetPolicy{Policy: p}), nil, BadField) // as of two who change it at once
	if got, err := LoadPolicy(w.st); err != nil || got.Version != 1 || got.Deny != 700 || len(got.Cases) != len(p.Cases) {
		t.Errorf("policy %+v is in force, %v", got, err)
	}
}

func TestAPolicyThatMakesNoSenseIsRefused(t *testing.T) {
	for what, change := range map[string]func(*Policy){
		"a share over the whole":            func(p *Policy) { p.Kinds[KindIP] = 1001 },
		"more proof weighs less":            func(p *Policy) { p.Tiers[2] = p.Tiers[1] - 1 },
		"deny before hold":                  func(p *Policy) { p.Deny = p.Hold - 1 },
		"hold before step up":               func(p *Policy) { p.Hold = p.StepUp - 1 },
		"nothing is enough to stop":         func(p *Policy) { p.StepUp, p.Hold = 0, 0 },
		"no fading":                         func(p *Policy) { p.Fade = 0 },
		"no trust in anybody new":           func(p *Policy) { p.Trust = 0 },
		"a case without days":               func(p *Policy) { p.Cases[0].Days = 0 },
		"a code twice":                      func(p *Policy) { p.Cases[1].Code = p.Cases[0].Code },
		"codes that are not in their order": func(p *Policy) { p.Cases[0], p.Cases[1] = p.Cases[1], p.Cases[0] },
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld2(t)
			p := *DefaultPolicy()
			p.Version = 1
			change(&p)
			w.refused(w.command(hub, 2, &SetPolicy{Policy: p}), nil, BadField)
		})
	}
}

// What a reporter reports of its own and what turns out to be wrong is counted,
// whoever says that it was wrong.
func TestWhatBecomesOfReportsIsCounted(t *testing.T) {
	w := newWorld2(t)
	var reports []report
	for n := range uint64(6) {
		reports = append(reports, reportOn(KindMerchant, n, w.now))
	}
	reports[5].item.Origin = OriginNamed(OriginCopy, "a list")
	leaf := uint64(len(w.log))
	w.publish(acq, 1, reports...)
	w.publish(acq, 1, reports...) // unchanged
	w.lift(acq, ListingID{leaf, 0}, LiftError)
	w.lift(hub, ListingID{leaf, 1}, LiftError)
	w.lift(acq, ListingID{leaf, 2}, LiftWithdrawn)
	w.lift(hub, ListingID{leaf, 5}, LiftError)
	got, err := LoadReputation(w.st, acq.id)
	if err != nil || got.Reported != 5 || got.Errors != 3 {
		t.Errorf("%+v, %v; want 5 reported and 3 errors", got, err)
	}
	if got, err := LoadReputation(w.st, hub.id); err != nil || got.Reported != 0 || got.Errors != 0 {
		t.Errorf("of the hub: %+v, %v", got, err)
	}
}

// Under protocol 1 nobody counts, or its ledgers would have another state.
func TestNothingIsCountedUnderProtocol1(t *testing.T) {
	w := newWorld(t)
	leaf := uint64(len(w.log))
	w.publish(acq, 1, reportOn(KindMerchant, 1, w.now))
	w.lift(acq, ListingID{leaf, 0}, LiftError)
	if raw, err := w.st.Record((&Reputation{Reporter: acq.id}).key()); raw != nil || err != nil {
		t.Errorf("there is a record: %x, %v", raw, err)
	}
}
