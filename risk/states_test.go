package risk

import (
	"bytes"
	"math"
	"strings"
	"testing"
)

// deed is what somebody may try on a listing. For each role it says what comes of it
// while the listing is in force, while it is suspended, and when it has ended; one
// word stands for all three.
type deed struct {
	name  string
	late  bool // after the review
	do    func(*world, actor, ListingID, report) Result
	roles map[string]string
	state map[string]ListingState // that an outcome leads to; the others change none
}

func news(w *world, by actor, _ ListingID, r report) Result {
	r.item.SourceDate, r.item.Expiry, r.body.Note = w.now, w.now+300*day, "new evidence"
	item, body := r.sealed(w.t)
	return w.do(w.command(by, 1, &Listings{}, item), []Body{body})
}

func halts(op ItemOp) func(*world, actor, ListingID, report) Result {
	return func(w *world, by actor, id ListingID, _ report) Result {
		item, body := haltOf(op, id)
		return w.do(w.command(by, 1, &Listings{}, item), []Body{body})
	}
}

func lifts(w *world, by actor, id ListingID, _ report) Result {
	item, body := liftOf(id, LiftError)
	return w.do(w.command(by, 1, &Listings{}, item), []Body{body})
}

func tells(w *world, by actor, id ListingID, _ report) Result {
	return w.do(w.command(by, 1, &Feedback{Acts: []Act{{Target: id, Action: HoldFunds}}}), nil)
}

var deeds = []deed{
	{"report news", false, news, map[string]string{
		"reporter": "revised revised created", "hub": "created", "another member": "created", "auditor": "not_permitted"}, nil},
	{"report news after the review", true, news, map[string]string{
		"reporter": "renewed revised created", "hub": "created", "another member": "created", "auditor": "not_permitted"},
		map[string]ListingState{"renewed": Renewed}},
	{"lift", false, lifts, map[string]string{
		"reporter": "lifted lifted ended", "hub": "lifted lifted ended", "another member": "not_permitted", "auditor": "not_permitted"},
		map[string]ListingState{"lifted": LiftedError}},
	{"suspend", false, halts(ItemSuspend), map[string]string{
		"reporter": "not_permitted", "hub": "suspended nothing_to_do ended", "another member": "not_permitted", "auditor": "not_permitted"},
		map[string]ListingState{"suspended": Suspended}},
	{"resume", false, halts(ItemResume), map[string]string{
		"reporter": "not_permitted", "hub": "nothing_to_do resumed ended", "another member": "not_permitted", "auditor": "not_permitted"},
		map[string]ListingState{"resumed": Active}},
	{"say what was done", false, tells, map[string]string{
		"reporter": "noted noted ended", "hub": "noted noted ended", "another member": "noted noted ended", "auditor": "not_permitted"}, nil},
}

var deedRoles = map[string]actor{"reporter": acq, "hub": hub, "another member": wallet, "auditor": auditor}

// Every state × command × role, under protocol 2.
func TestEveryStateMeetsEveryRole(t *testing.T) {
	for state := Submitted; state < listingStates; state++ {
		for _, d := range deeds {
			for role := range deedRoles {
				for _, expired := range []bool{false, true} {
					name := state.String() + ": " + role + " would " + d.name
					if expired {
						name += ", and it has expired"
					}
					t.Run(name, func(t *testing.T) { meetDeed(t, state, d, role, expired) })
				}
			}
		}
	}
}

func meetDeed(t *testing.T, state ListingState, d deed, role string, expired bool) {
	w, id, r := standing(t, state)
	w.accepted(w.command(hub, 2, &RaiseProtocol{Version: 2}), nil)
	was := w.listing(id)
	switch {
	case expired:
		w.now = was.Item.Expiry
	case d.late:
		w.now = was.Item.Expiry - day
	}
	words, at := strings.Fields(d.roles[role]), 0
	switch {
	case expired || state.Terminal():
		at = 2
	case state == Suspended:
		at = 1
	}
	want := words[min(at, len(words)-1)]
	if want == "renewed" && state != Active && state != Renewed {
		want = "revised" // no protocol leads to such a state yet
	}
	res := d.do(w, deedRoles[role], id, r)
	if got := cameTo(res); got != want {
		t.Fatalf("it is %s, want %s", got, want)
	}
	now := w.listing(id)
	if at == 2 && !bytes.Equal(now.appendTo(nil), was.appendTo(nil)) {
		t.Fatalf("a listing that had ended changed from %+v to %+v", was, now)
	}
	wantState := state
	if to, changes := d.state[want]; changes {
		wantState = to
	}
	if now.State != wantState {
		t.Fatalf("it is %s now, want %s", now.State, wantState)
	}
	if inForce := at != 2 && !now.State.Terminal() && now.State != Suspended; now.ActiveAt(w.now) != inForce {
		t.Fatalf("in force: %t, want %t", !inForce, inForce)
	}
}

// cameTo names the outcome of the one item, or the refusal.
func cameTo(res Result) string {
	switch {
	case res.Refusal != nil:
		return res.Refusal.Kind.String()
	case res.Outcomes[0].Status == Refused:
		return res.Outcomes[0].Refusal.String()
	default:
		return res.Outcomes[0].Status.String()
	}
}

func TestAListingThatIsSuspendedGoesOnToItsExpiry(t *testing.T) {
	w := newWorld2(t)
	r := reportOn(KindPhone, 1, w.now)
	w.publish(acq, 1, r)
	id := ListingID{Leaf: uint64(len(w.log) - 1)}
	if got := cameTo(halts(ItemSuspend)(w, hub, id, r)); got != "suspended" || w.listing(id).ActiveAt(w.now) {
		t.Fatalf("it is %s, in force %t", got, w.listing(id).ActiveAt(w.now))
	}
	w.now = r.item.Expiry
	if got := cameTo(halts(ItemResume)(w, hub, id, r)); got != "ended" || w.listing(id).StateAt(w.now) != Expired {
		t.Fatalf("an expired listing is %s by a resumption", got)
	}
}

// The review is the date in the body, else half way to the expiry; only other content
// of a newer date renews, and the review moves on with it.
func TestOnlyNewEvidenceAfterTheReviewRenews(t *testing.T) {
	news := func(r *report, w *world) { r.item.SourceDate, r.body.Note = w.now, "more" }
	for name, c := range map[string]struct {
		review, at int64 // after the report; it lives 30 days
		due        bool
		change     func(*report, *world)
		want       Status
	}{
		"before the half of its life": {0, 14 * day, false, news, Revised},
		"after it":                    {0, 16 * day, true, news, WasRenewed},
		"of no newer date":            {0, 16 * day, true, func(r *report, _ *world) { r.body.Note = "more" }, Revised},
		"the same again":              {0, 16 * day, true, func(r *report, w *world) { r.item.SourceDate, r.item.Expiry = w.now, w.now+30*day }, Extended},
		"before the named date":       {20 * day, 16 * day, false, news, Revised},
		"after the named date":        {3 * day, 4 * day, true, news, WasRenewed},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld2(t)
			r := reportOn(KindPhone, 1, w.now)
			began := w.now
			if c.review != 0 {
				r.body.Review = began + c.review
			}
			w.publish(acq, 1, r)
			id := ListingID{Leaf: uint64(len(w.log) - 1)}
			w.now = began + c.at
			before := Standing{Listing: *w.listing(id), Body: r.body}
			if due := before.StateAt(w.now) == ReviewDue; due != c.due || !before.ActiveAt(w.now) {
				t.Errorf("the review is due: %t; in force: %t", due, before.ActiveAt(w.now))
			}
			c.change(&r, w)
			if out := w.publish(acq, 1, r).Outcomes[0]; out != (Outcome{Status: c.want, Target: id}) {
				t.Fatalf("it is %s", out.Status)
			}
			if l := w.listing(id); (l.State == Renewed) != (c.want == WasRenewed) || !l.ActiveAt(w.now) {
				t.Errorf("the listing is %s", l.State)
			}
		})
	}
}

func TestARenewalMovesTheReviewOn(t *testing.T) {
	l := Listing{State: Active, ReportedAt: 100, Item: Item{SourceDate: 50, Expiry: 300}}
	if at := l.reviewAt(&ListingBody{}); at != 200 {
		t.Errorf("the review of a report at 100 that ends at 300 is at %d", at)
	}
	l.State, l.Item.SourceDate = Renewed, 260
	s := Standing{Listing: l}
	for at, want := range map[int64]ListingState{279: Renewed, 280: ReviewDue, 300: Expired} {
		if got := s.StateAt(at); got != want {
			t.Errorf("renewed at 260, it is %s at %d, want %s", got, at, want)
		}
	}
}

func TestTheNewestActOfAnInstitutionCounts(t *testing.T) {
	w := newWorld2(t)
	w.publish(acq, 1, reportOn(KindPhone, 1, w.now))
	id := ListingID{Leaf: uint64(len(w.log) - 1)}
	for i, c := range []struct {
		by     actor
		action Advice
		want   string
		taken  Taken
	}{
		{acq, HoldFunds, "noted", Taken{HoldFunds: 1}},
		{wallet, HoldFunds, "noted", Taken{HoldFunds: 2}},
		{wallet, HoldFunds, "unchanged", Taken{HoldFunds: 2}},
		{wallet, Deny, "noted", Taken{HoldFunds: 1, Deny: 1}},
		{wallet, 0, "bad_field", Taken{HoldFunds: 1, Deny: 1}},
		{wallet, advices, "bad_field", Taken{HoldFunds: 1, Deny: 1}},
	} {
		res := w.do(w.command(c.by, 1, &Feedback{Acts: []Act{{Target: id, Action: c.action}}}), nil)
		if l := w.listing(id); cameTo(res) != c.want || l.Taken != c.taken {
			t.Fatalf("%d: %s, taken %v", i, cameTo(res), l.Taken)
		}
	}
	w.refused(w.command(acq, 1, &Feedback{}), nil, BadField)
	res := w.accepted(w.command(acq, 1, &Feedback{Acts: []Act{{ListingID{Leaf: 999}, Deny}, {id, Limit}}}), nil)
	if res.Outcomes[0] != refusedFor(NotFound) || res.Outcomes[1] != (Outcome{Status: Noted, Target: id}) {
		t.Fatalf("acts are not judged one by one: %+v", res.Outcomes)
	}
}

// What a purge removes is bounded, also where very many have acted on a listing.
func TestAListingGoesWithAllThatWasDoneOnIt(t *testing.T) {
	w := newWorld2(t)
	w.publish(acq, 1, reportOn(KindPhone, 1, w.now), reportOn(KindPhone, 2, w.now))
	leaf := uint64(len(w.log) - 1)
	const many = 2*MaxActRemovals + 5
	l := w.listing(ListingID{Leaf: leaf})
	for i := range many {
		raw := l.appendTo(nil)
		one := &Taking{Target: l.ID, Reporter: ID{7, byte(i), byte(i >> 8)}, Action: Advice(1 + i%7)}
		l.Taken[one.Action]++
		for _, change := range []Change{{Key: one.key(), New: one.appendTo(nil)},
			{Key: l.key(), Old: raw, New: l.appendTo(nil), OldDue: l.purgeAt(), NewDue: l.purgeAt()}} {
			if err := w.st.Put(change); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.now = l.purgeAt() + 1
	for i, left := range []int{many - MaxActRemovals, many - 2*MaxActRemovals, 0} {
		w.accepted(w.command(hub, 1, &RevokeCertificate{Fingerprint: Hash{1, byte(i)}}), nil)
		if n := w.st.count(TableActs); n != left {
			t.Fatalf("command %d leaves %d acts, want %d", i, n, left)
		}
	}
	if n := w.st.count(TableListings); n != 0 {
		t.Errorf("%d listings are left", n)
	}
}

func TestACodeHasItsLongestLife(t *testing.T) {
	w := newWorld2(t)
	w.accepted(w.command(hub, 2, &SetLives{Lives: []LongestLife{{3, 20}, {4, 40}}}), nil)
	r := reportOn(KindPhone, 1, w.now)
	for _, c := range []struct {
		code uint16
		days int64
		want string
	}{{3, 20, "created"}, {3, 21, "bad_expiry"}, {4, 40, "created"}, {5, 1830, "created"}, {5, 1831, "bad_expiry"}} {
		r.item.Code, r.item.Expiry = c.code, w.now+1+c.days*day
		if got := cameTo(w.publish(acq, 1, r)); got != c.want {
			t.Errorf("code %d for %d days: %s, want %s", c.code, c.days, got, c.want)
		}
	}
	lives, err := LoadLives(w.st)
	if err != nil {
		t.Fatal(err)
	}
	far := &Item{Code: 3, Expiry: w.now + 21*day}
	if err := lives.Check(far, w.now); err == nil || !strings.Contains(err.Error(), "20 days") {
		t.Errorf("the refusal does not name the longest life: %v", err)
	}
	for _, bad := range [][]LongestLife{{{4, 1}, {3, 1}}, {{3, 1}, {3, 2}}, {{3, 0}}, {{3, math.MaxUint16}}} {
		w.refused(w.command(hub, 2, &SetLives{Lives: bad}), nil, BadField)
	}
	w.refused(w.command(hub, 2, &SetLives{Lives: lives.Longest}), nil, NothingToDo)
	w.accepted(w.command(hub, 2, &SetLives{}), nil)
}

// Protocol 1 does not know what came later: it is no command, and leaves nothing.
func TestProtocol1DoesNotKnowTheLaterItems(t *testing.T) {
	w := newWorld(t)
	w.publish(acq, 1, reportOn(KindPhone, 1, w.now))
	id := ListingID{Leaf: uint64(len(w.log) - 1)}
	for _, d := range []func(*world, actor, ListingID, report) Result{halts(ItemSuspend), halts(ItemResume), tells} {
		if res := d(w, hub, id, report{}); kindOf(res) != Malformed || res.Leaf {
			t.Errorf("it is %s, a leaf: %t", kindOf(res), res.Leaf)
		}
	}
	r := reportOn(KindPhone, 1, w.now)
	w.now += 29 * day
	if got := cameTo(news(w, acq, id, r)); got != "revised" {
		t.Errorf("news under protocol 1 are %s", got)
	}
}
