package risk

import (
	"crypto/sha256"
	"errors"
	"slices"
	"testing"
)

func sha(data []byte) Hash { return sha256.Sum256(data) }

func TestACommandSentAgainGetsItsFirstOutcome(t *testing.T) {
	w := newWorld(t)
	item, body := reportOn(KindPhone, 1, w.now).sealed(t)
	good := w.sign(w.command(acq, 1, &Listings{}, item), []Body{body})
	bad := w.sign(w.command(acq, 1, &Admit{Reporter: ID{1}, Role: RoleMember, Keys: acq.publics()}), nil)
	firstLeaf := uint64(len(w.log))
	w.apply(good)
	w.apply(bad)
	w.lift(acq, ListingID{Leaf: firstLeaf}, LiftWithdrawn)
	for i, signed := range []*Signed{good, bad} {
		before := w.st.digest()
		w.now += 30 * minute
		again := w.apply(signed)
		if again.Leaf || again.First == nil || again.First.Leaf != firstLeaf+uint64(i) || w.st.digest() != before {
			t.Errorf("the second time: %+v", again)
		}
	}
	if res := w.apply(good); res.First.Outcomes[0].Status != Created {
		t.Errorf("the first outcome is %v", res.First.Outcomes)
	}
	if res := w.apply(bad); res.First.Refusal != NotPermitted {
		t.Errorf("the first refusal is %v", res.First.Refusal)
	}
}

func TestTheFoundingSentAgainGetsItsFirstOutcome(t *testing.T) {
	w := newWorld(t)
	founding := &Signed{Header: w.log[0].leaf.Header, Signatures: w.log[0].leaf.Signatures}
	if res := w.apply(founding); res.First == nil || res.First.Leaf != 0 || res.Leaf {
		t.Fatalf("got %+v", res)
	}
	other := foundParams()
	other.Name = "another"
	w.net = Hash{}
	if res := w.refused(w.command(hub, 2, other), nil, WrongNetwork); res.Leaf {
		t.Fatal("another founding became a leaf")
	}
}

// What a relay or a leader can do to a command on its way: nothing of it leaves a
// trace, so that the author's own bytes are still good afterwards.
func TestWhatIsChangedOnTheWayLeavesNothing(t *testing.T) {
	w := newWorld(t)
	item, body := reportOn(KindPhone, 1, w.now).sealed(t)
	other, otherBody := reportOn(KindPhone, 2, w.now).sealed(t)
	c := w.command(acq, 1, &Listings{}, item, other)
	c.Signers = append(c.Signers, hub.signers(1)...)
	signed := w.sign(c, []Body{body, otherBody})
	for name, f := range map[string]struct {
		change func(*Signed)
		want   Refusal
	}{
		"a signature taken off":   {func(s *Signed) { s.Signatures = s.Signatures[:1] }, BadSignature},
		"all taken off":           {func(s *Signed) { s.Signatures = nil }, BadSignature},
		"one too many":            {func(s *Signed) { s.Signatures = append(s.Signatures, s.Signatures[0]) }, BadSignature},
		"signatures reordered":    {func(s *Signed) { slices.Reverse(s.Signatures) }, BadSignature},
		"a bit of a signature":    {func(s *Signed) { s.Signatures[1][3] ^= 1 }, BadSignature},
		"a bit of the time":       {func(s *Signed) { s.Header[1+32+16+7] ^= 1 }, BadSignature},
		"a bit of an item":        {func(s *Signed) { s.Header[len(s.Header)-40] ^= 1 }, BadSignature},
		"another network":         {func(s *Signed) { s.Header[1] ^= 1 }, WrongNetwork},
		"bodies swapped":          {func(s *Signed) { slices.Reverse(s.Bodies) }, BodyMismatch},
		"a body taken out":        {func(s *Signed) { s.Bodies[1] = Body{} }, BodyMismatch},
		"a body too few":          {func(s *Signed) { s.Bodies = s.Bodies[:1] }, BodyMismatch},
		"a body too many":         {func(s *Signed) { s.Bodies = append(s.Bodies, NewBody(nil)) }, BodyMismatch},
		"another salt":            {func(s *Signed) { s.Bodies[0].Salt[0] ^= 1 }, BodyMismatch},
		"a byte after the header": {func(s *Signed) { s.Header = append(s.Header, 0) }, Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			changed, err := DecodeSigned(signed.Encode())
			if err != nil {
				t.Fatal(err)
			}
			f.change(changed)
			before := w.st.digest()
			if res := w.apply(changed); kindOf(res) != f.want || res.Leaf || w.st.digest() != before {
				t.Errorf("got %s, leaf %t; want %s and no trace", kindOf(res), res.Leaf, f.want)
			}
			if _, err := Verify(w.st, changed, w.now); err == nil {
				t.Error("the courtesy check lets it pass")
			}
		})
	}
	if _, err := Verify(w.st, signed, w.now); err != nil {
		t.Errorf("the courtesy check: %v", err)
	}
	if res := w.apply(signed); res.Refusal != nil {
		t.Errorf("the author's own bytes: %v", res.Refusal)
	}
}

func TestTheTimeRule(t *testing.T) {
	for name, c := range map[string]struct {
		time, notAfter int64 // beside the network's time
		want           Refusal
	}{
		"now":                     {0, 0, Accepted},
		"exactly 5 minutes ahead": {5 * minute, 5 * minute, Accepted},
		"a millisecond more":      {5*minute + 1, 6 * minute, TooNew},
		"not after now":           {-hour, 0, Accepted},
		"not after just before":   {-hour, -1, TooOld},
		"24 hours old and valid":  {-day, 0, Accepted},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			item, body := reportOn(KindPhone, 1, w.now).sealed(t)
			command := w.command(acq, 1, &Listings{}, item)
			command.Time, command.NotAfter = w.now+c.time, w.now+c.notAfter
			signed := w.sign(command, []Body{body})
			before := w.st.digest()
			if _, err := Verify(w.st, signed, w.now); (err == nil) != (c.want == Accepted) {
				t.Errorf("the courtesy check: %v", err)
			}
			res := w.apply(signed)
			if kindOf(res) != c.want {
				t.Fatalf("got %s (%v), want %s", kindOf(res), res.Refusal, c.want)
			}
			if c.want != Accepted && (res.Leaf || w.st.digest() != before) {
				t.Error("a command outside its time left a trace: anybody could fill the ledger with old ones")
			}
		})
	}
}

func TestOnlyAcceptedCommandsMoveTheTime(t *testing.T) {
	w := newWorld(t)
	clock := func() int64 {
		c, err := LoadClock(w.st)
		if err != nil {
			t.Fatal(err)
		}
		return c.Time
	}
	was := clock()
	w.now += hour
	w.refused(w.command(acq, 1, nodeNumber(1, Voter)), nil, NotPermitted)
	if clock() != was {
		t.Error("a refused command moved the time")
	}
	ahead := w.now
	w.publish(acq, 1, reportOn(KindPhone, 1, w.now))
	if was = clock(); was < ahead {
		t.Error("an accepted command did not move the time")
	}
	w.now -= 30 * minute
	w.publish(acq, 1, reportOn(KindPhone, 2, w.now))
	if clock() != was {
		t.Error("a stamp in the past moved the time")
	}
	w.now = 1<<63 - 1
	if res, err := Step(w.st, &Entry{At: w.now, Signed: w.sign(&Command{Network: w.net, Author: acq.id, Time: was, NotAfter: was + hour,
		Signers: acq.signers(1), Params: &RetireKey{Reporter: acq.id}}, nil)}, 99, nil); err != nil || kindOf(res) != TooOld {
		t.Errorf("a stamp at the end of time: %s, %v", kindOf(res), err)
	}
}

// A bad stamp moves the time a year ahead and outcomes are forgotten; a quorum of
// the hub sets it back. What was signed before can still not be applied twice.
func TestAResetOfTheTimeForgivesNothing(t *testing.T) {
	w := newWorld(t)
	item, body := reportOn(KindPhone, 1, w.now).sealed(t)
	published := w.sign(w.command(acq, 1, &Listings{}, item), []Body{body})
	w.apply(published)
	w.lift(acq, ListingID{Leaf: uint64(len(w.log) - 1)}, LiftError)
	right := w.now
	w.now += 366 * day
	w.publish(acq, 1, reportOn(KindPhone, 2, w.now))
	w.now = right
	reset := func(count uint32) *Command {
		c := w.command(hub, 2, &ResetTime{Time: right + minute, Count: count})
		c.Time, c.NotAfter = right+minute, right+2*minute
		return c
	}
	first := w.sign(reset(0), nil)
	if res := w.refused(reset(1), nil, NothingToDo); res.Leaf {
		t.Error("a refused reset became a leaf; it stands outside the time rule and could be sent for ever")
	}
	if res := w.apply(first); res.Refusal != nil {
		t.Fatal(res.Refusal)
	}
	if clock, _ := LoadClock(w.st); clock.Time != right+minute || clock.Floor != right+minute {
		t.Fatalf("the clock shows %+v", clock)
	}
	w.now = right + 2*minute
	delete(w.st.records, string((&Remembered{ID: published.ID()}).key())) // as if it had been swept already
	if res := w.apply(published); kindOf(res) != TooOld || res.Leaf {
		t.Errorf("a listing that was lifted came back: %s", kindOf(res))
	}
	w.publish(acq, 1, reportOn(KindPhone, 3, w.now))
	w.now += 2 * day
	w.publish(acq, 1, reportOn(KindPhone, 4, w.now))
	if res := w.apply(first); res.First == nil && kindOf(res) != NothingToDo {
		t.Errorf("the reset again: %+v", res)
	}
}

func TestWhatTheTimeMayNotBeResetTo(t *testing.T) {
	w := newWorld(t)
	right := w.now
	for name, c := range map[string]struct {
		signed, to int64
	}{
		"a time to come":         {right + hour, right + hour},
		"far from when it's set": {right - hour, right - 2*hour},
		"before 1970":            {1, -1},
		"the end of time":        {right, 1<<63 - 1},
	} {
		command := w.command(hub, 2, &ResetTime{Time: c.to})
		command.Time, command.NotAfter = c.signed, c.signed
		if res := w.refused(command, nil, BadField); res.Leaf {
			t.Errorf("%s: a refused reset became a leaf", name)
		}
	}
}

// Outcomes are forgotten, and listings past their retention removed, at most 64
// of each with one leaf, in the order of (due time, key).
func TestEachLeafSweepsAtMostSixtyFour(t *testing.T) {
	w := newWorld(t)
	for i := range 100 {
		r := reportOn(KindPhone, uint64(i), w.now)
		r.item.Expiry = w.now + day + int64((i*37)%100)*minute
		w.publish(acq, 1, r)
	}
	w.now += day + 100*minute + RetentionMillis + hour
	for w.st.count(TableListings) > 1 {
		want := map[byte][]string{}
		for _, table := range []byte{TableRemembered, TableListings} {
			due, err := w.st.Due(table, w.now, MaxRemovals)
			if err != nil {
				t.Fatal(err)
			}
			for _, key := range due {
				want[table] = append(want[table], string(key))
			}
		}
		before := w.st.clone()
		w.accepted(w.command(hub, 1, nodeNumber(1, NonVoter)), nil)
		for table, keys := range want {
			var gone []string
			for key := range before.records {
				if _, stays := w.st.records[key]; !stays && key[0] == table {
					gone = append(gone, key)
				}
			}
			slices.Sort(gone)
			slices.Sort(keys)
			if !slices.Equal(gone, keys) {
				t.Fatalf("table %c: %d were removed, %d were due first", table, len(gone), len(keys))
			}
		}
		if len(want[TableListings]) == 0 {
			break
		}
	}
	if left := w.st.count(TableListings); left != 0 {
		t.Errorf("%d listings were never removed", left)
	}
	if len(w.st.index) != 0 || len(w.st.bodies) != 0 {
		t.Errorf("%d links and %d bodies outlive their listings", len(w.st.index), len(w.st.bodies))
	}
}

// A state that cannot be read stops the node: it never looks like a refusal.
func TestABrokenStateIsNotARefusal(t *testing.T) {
	for kind := CommandKind(2); kind < KindRaiseProtocol; kind++ {
		for calls := 1; ; calls++ {
			w := prepared(t)
			if kind == KindOpenEpoch {
				w.accepted(w.command(hub, 2, &CloseEpoch{Epoch: 1}), nil)
			}
			params, items, bodies := lawful(w, kind)
			e := w.entry(w.sign(w.command(hub, 2, params, items...), bodies))
			w.st.calls, w.st.failAt = 0, calls
			res, err := Step(w.st, e, 99, nil)
			if err == nil && res.Refusal == nil && w.st.calls < calls {
				break // it went through before that call
			}
			if !errors.Is(err, errBroken) || res.Refusal != nil {
				t.Fatalf("%s, call %d: %v, %v", kind, calls, res.Refusal, err)
			}
		}
	}
}
