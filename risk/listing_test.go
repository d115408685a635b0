package risk

import (
	"bytes"
	"testing"
)

// standing is a world with one listing, put into a state by force: later
// protocols will reach the states that this one does not.
func standing(t *testing.T, state ListingState) (*world, ListingID, report) {
	w := newWorld(t)
	r := reportOn(KindPhone, 1, w.now)
	w.publish(acq, 1, r)
	l := w.listing(ListingID{Leaf: uint64(len(w.log) - 1)})
	raw, due := l.appendTo(nil), l.purgeAt()
	l.State = state
	if state == Withdrawn || state == LiftedError {
		l.EndedAt = w.now
	}
	if err := w.st.Put(Change{Key: l.key(), Old: raw, New: l.appendTo(nil), OldDue: due, NewDue: l.purgeAt()}); err != nil {
		t.Fatal(err)
	}
	return w, l.ID, r
}

// operation is something that is done to a listing, and what comes of it while
// the listing stands and after it has ended.
type operation struct {
	name     string
	by       actor
	do       func(*world, ListingID, report) (Item, Body)
	stands   Outcome // with the target filled in where it has one
	state    ListingState
	terminal Outcome
	expired  Outcome // if not as terminal
}

func republishing(change func(*report, *world)) func(*world, ListingID, report) (Item, Body) {
	return func(w *world, _ ListingID, r report) (Item, Body) {
		change(&r, w)
		return r.sealed(w.t)
	}
}

func lifting(reason LiftReason) func(*world, ListingID, report) (Item, Body) {
	return func(_ *world, id ListingID, _ report) (Item, Body) { return liftOf(id, reason) }
}

func refusedFor(r Refusal) Outcome { return Outcome{Status: Refused, Refusal: r} }

var operations = []operation{
	{"publish the same", acq, republishing(func(*report, *world) {}),
		Outcome{Status: Unchanged}, 0, Outcome{Status: Created}, refusedFor(BadExpiry)},
	{"publish a later expiry", acq, republishing(func(r *report, _ *world) { r.item.Expiry += 60 * day }),
		Outcome{Status: Unchanged}, 0, Outcome{Status: Created}, Outcome{}},
	{"publish an earlier expiry with a newer source date", acq, republishing(func(r *report, _ *world) { r.item.Expiry--; r.item.SourceDate++ }),
		Outcome{Status: Unchanged}, 0, Outcome{Status: Created}, refusedFor(BadExpiry)},
	{"publish a later expiry with a newer source date", acq, republishing(func(r *report, _ *world) { r.item.Expiry += 60 * day; r.item.SourceDate++ }),
		Outcome{Status: Extended}, 0, Outcome{Status: Created}, Outcome{}},
	{"publish it revised", acq, republishing(func(r *report, _ *world) { r.body.Note = "more"; r.item.Expiry += 60 * day }),
		Outcome{Status: Revised}, 0, Outcome{Status: Created}, Outcome{}},
	{"publish it under another level", acq, republishing(func(r *report, _ *world) { r.item.Level = 1; r.item.Expiry += 60 * day }),
		Outcome{Status: Revised}, 0, Outcome{Status: Created}, Outcome{}},
	{"publish it under another code", acq, republishing(func(r *report, _ *world) { r.item.Code++; r.item.Expiry += 60 * day }),
		Outcome{Status: Created}, 0, Outcome{Status: Created}, Outcome{}},
	{"publish the same as another reporter", wallet, republishing(func(r *report, _ *world) { r.item.Expiry += 60 * day }),
		Outcome{Status: Created}, 0, Outcome{Status: Created}, Outcome{}},
	{"withdraw it", acq, lifting(LiftWithdrawn), Outcome{Status: Lifted}, Withdrawn, refusedFor(Ended), Outcome{}},
	{"lift it as an error", acq, lifting(LiftError), Outcome{Status: Lifted}, LiftedError, refusedFor(Ended), Outcome{}},
	{"the hub lifts it", hub, lifting(LiftError), Outcome{Status: Lifted}, LiftedError, refusedFor(Ended), Outcome{}},
	{"another reporter lifts it", wallet, lifting(LiftError), refusedFor(NotPermitted), 0, refusedFor(NotPermitted), Outcome{}},
	{"lift it for no reason", acq, lifting(0), refusedFor(BadField), 0, refusedFor(BadField), Outcome{}},
}

func TestEveryStateMeetsEveryOperation(t *testing.T) {
	for state := Submitted; state < listingStates; state++ {
		for _, op := range operations {
			for _, after := range []bool{false, true} {
				name := state.String() + ": " + op.name
				if after {
					name += " after its expiry"
				}
				t.Run(name, func(t *testing.T) { meetOperation(t, state, op, after) })
			}
		}
	}
}

func meetOperation(t *testing.T, state ListingState, op operation, after bool) {
	w, id, r := standing(t, state)
	was := w.listing(id)
	item, body := op.do(w, id, r)
	want, ended := op.stands, state.Terminal() || after
	if ended {
		want = op.terminal
	}
	if after {
		w.now = was.Item.Expiry
		if op.expired != (Outcome{}) {
			want = op.expired
		}
	}
	switch want.Status {
	case Unchanged, Extended, Revised, Lifted:
		want.Target = id
	}
	got := w.accepted(w.command(op.by, 1, &Listings{}, item), []Body{body}).Outcomes[0]
	if got != want {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	now := w.listing(id)
	if ended && !bytes.Equal(now.appendTo(nil), was.appendTo(nil)) {
		t.Fatalf("a listing that had ended changed from %+v to %+v", was, now)
	}
	if ended && now.ActiveAt(w.now) {
		t.Fatal("a listing that had ended is in force")
	}
	if got.Status == Created {
		fresh := w.listing(ListingID{Leaf: uint64(len(w.log) - 1)})
		if fresh.State != Active || fresh.ID == id || fresh.Revisions != 0 || !fresh.ActiveAt(w.now) {
			t.Fatalf("the new listing is %+v", fresh)
		}
	}
	wantState := state
	if !ended && op.state != 0 {
		wantState = op.state
	}
	if now.State != wantState {
		t.Fatalf("it is %s, want %s", now.State, wantState)
	}
}

func TestATerminalStateNeverComesBack(t *testing.T) {
	for state := ListingState(0); state < listingStates; state++ {
		l := Listing{State: state, Item: Item{Expiry: 100}}
		if got := l.StateAt(99); got != state {
			t.Errorf("%s is %s before its expiry", state, got)
		}
		want := state
		if !state.Terminal() {
			want = Expired
		}
		if got := l.StateAt(100); got != want || l.ActiveAt(100) || l.ActiveAt(1<<62) {
			t.Errorf("%s is %s at its expiry, active %t", state, got, l.ActiveAt(100))
		}
		active := !state.Terminal() && state != Suspended && state != 0
		if l.ActiveAt(99) != active {
			t.Errorf("%s: active before its expiry is %t", state, !active)
		}
	}
	s := Standing{Listing: Listing{State: Active, Item: Item{Expiry: 100}}, Body: ListingBody{Effective: 50}}
	if s.ActiveAt(49) || !s.ActiveAt(50) || s.ActiveAt(100) {
		t.Error("a listing speaks from its effective date to its expiry")
	}
}

func TestARevisionDoesNotPutOffTheExpiry(t *testing.T) {
	w := newWorld(t)
	r := reportOn(KindPhone, 1, w.now)
	w.publish(acq, 1, r)
	id := ListingID{Leaf: uint64(len(w.log) - 1)}
	expiry, date := r.item.Expiry, r.item.SourceDate
	for _, c := range []struct {
		note                   string
		expiry, date           int64
		wantExpiry, wantSource int64
	}{
		{"later, no news", expiry + day, date, expiry, date},
		{"later, older news", expiry + day, date - 1, expiry, date},
		{"later, with news", expiry + day, date + 1, expiry + day, date + 1},
		{"nearer, no news", expiry - day, date - 1, expiry - day, date + 1},
		{"back again, no news", expiry, date + 1, expiry - day, date + 1},
	} {
		r.body.Note, r.item.Expiry, r.item.SourceDate = c.note, c.expiry, c.date
		if out := w.publish(acq, 1, r).Outcomes[0]; out.Status != Revised || out.Target != id {
			t.Fatalf("%s: %+v", c.note, out)
		}
		if l := w.listing(id); l.Item.Expiry != c.wantExpiry || l.Item.SourceDate != c.wantSource {
			t.Errorf("%s: expires %d days and %d ms from the first", c.note, (l.Item.Expiry-expiry)/day, l.Item.SourceDate-date)
		}
	}
	if l := w.listing(id); l.Revisions != 5 || len(w.st.bodies) != 1 {
		t.Errorf("%d revisions, %d bodies", l.Revisions, len(w.st.bodies))
	}
}

func TestWhatMayNotBePublished(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*report, int64)
		want   Refusal
	}{
		"no kind":                  {func(r *report, _ int64) { r.item.Kind = 0 }, BadField},
		"an unknown kind":          {func(r *report, _ int64) { r.item.Kind = Kinds }, BadField},
		"a phone with a prefix":    {func(r *report, _ int64) { r.item.Scope = Scope{FamilyIPv4, 24} }, BadField},
		"a phone with a length":    {func(r *report, _ int64) { r.item.Scope.Length = 1 }, BadField},
		"an ip without a prefix":   {func(r *report, _ int64) { r.item.Kind = KindIP }, BadField},
		"an ipv4 prefix of 33":     {func(r *report, _ int64) { r.item.Kind, r.item.Scope = KindIP, Scope{FamilyIPv4, 33} }, BadField},
		"an ipv6 prefix of 129":    {func(r *report, _ int64) { r.item.Kind, r.item.Scope = KindIP, Scope{FamilyIPv6, 129} }, BadField},
		"a domain of no label":     {func(r *report, _ int64) { r.item.Kind, r.item.Scope = KindDomain, Scope{FamilyDomain, 0} }, BadField},
		"level 0":                  {func(r *report, _ int64) { r.item.Level = 0 }, BadField},
		"level 4":                  {func(r *report, _ int64) { r.item.Level = 4 }, BadField},
		"no list":                  {func(r *report, _ int64) { r.item.List = 0 }, BadField},
		"no origin":                {func(r *report, _ int64) { r.item.Origin = Origin{} }, BadField},
		"a copy of nothing":        {func(r *report, _ int64) { r.item.Origin = Origin{Kind: OriginCopy} }, BadField},
		"an own case of another":   {func(r *report, _ int64) { r.item.Origin.Ref = ID{1} }, BadField},
		"no expiry":                {func(r *report, _ int64) { r.item.Expiry = 0 }, BadExpiry},
		"an expiry before 1970":    {func(r *report, _ int64) { r.item.Expiry = -1 << 63 }, BadExpiry},
		"an expiry that has come":  {func(r *report, now int64) { r.item.Expiry = now }, BadExpiry},
		"an expiry too far away":   {func(r *report, now int64) { r.item.Expiry = now + MaxListingMillis + 9 }, BadExpiry},
		"an expiry beyond all":     {func(r *report, _ int64) { r.item.Expiry = 1<<63 - 1 }, BadExpiry},
		"a source date to come":    {func(r *report, now int64) { r.item.SourceDate = now + MaxAheadMillis + 9 }, BadField},
		"a token of a closed key":  {func(r *report, _ int64) { r.body.Epoch = 0 }, EpochClosed},
		"a token of a key to come": {func(r *report, _ int64) { r.body.Epoch = 2 }, EpochClosed},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			good, bad := reportOn(KindPhone, 1, w.now), reportOn(KindPhone, 2, w.now)
			c.change(&bad, w.now)
			out := w.publish(acq, 1, bad, good).Outcomes
			if out[0] != refusedFor(c.want) || out[1].Status != Created {
				t.Fatalf("got %+v, want %s and created", out, c.want)
			}
			if n := len(w.st.listings()); n != 1 || len(w.st.bodies) != 1 {
				t.Errorf("a refused item left %d listings and %d bodies", n-1, len(w.st.bodies)-1)
			}
		})
	}
}

func TestABodyThatIsNoListingIsRefused(t *testing.T) {
	w := newWorld(t)
	item, _ := reportOn(KindPhone, 1, w.now).sealed(t)
	for _, data := range [][]byte{nil, {1}, make([]byte, MaxBodyBytes+1)} {
		body := bodyOf(data)
		item.Commitment = body.Commit()
		if out := w.accepted(w.command(acq, 1, &Listings{}, item), []Body{body}).Outcomes[0]; out != refusedFor(Malformed) {
			t.Errorf("a body of %d bytes: %+v", len(data), out)
		}
	}
	note := bodyOf([]byte{0xff})
	lift := Item{Op: ItemLift, Target: ListingID{Leaf: 1}, Reason: LiftError, Commitment: note.Commit()}
	if out := w.accepted(w.command(acq, 1, &Listings{}, lift), []Body{note}).Outcomes[0]; out != refusedFor(BadField) {
		t.Errorf("a note that is not text: %+v", out)
	}
	if out := w.lift(acq, ListingID{Leaf: 999}, LiftError); out != refusedFor(NotFound) {
		t.Errorf("the lift of nothing: %+v", out)
	}
}

func TestABroadListingNeedsTwoHubKeys(t *testing.T) {
	for _, c := range []struct {
		kind  Kind
		scope Scope
		broad bool
	}{
		{KindIP, Scope{FamilyIPv4, 0}, true}, {KindIP, Scope{FamilyIPv4, 15}, true}, {KindIP, Scope{FamilyIPv4, 16}, false},
		{KindIP, Scope{FamilyIPv6, 31}, true}, {KindIP, Scope{FamilyIPv6, 32}, false},
		{KindDomain, Scope{FamilyDomain, 1}, true}, {KindDomain, Scope{FamilyDomain, 2}, false},
	} {
		for hubKeys := range 3 {
			w := newWorld(t)
			r := reportOn(c.kind, 1, w.now)
			r.item.Scope = c.scope
			item, body := r.sealed(t)
			command := w.command(acq, 1, &Listings{}, item)
			command.Signers = append(command.Signers, hub.signers(hubKeys)...)
			want := Outcome{Status: Created}
			if c.broad && hubKeys < BroadSigners {
				want = refusedFor(NeedsCosigner)
			}
			if got := w.accepted(command, []Body{body}).Outcomes[0]; got != want {
				t.Errorf("%s with %d hub keys: got %+v, want %+v", c.scope, hubKeys, got, want)
			}
		}
	}
}
