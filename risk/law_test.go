package risk

import (
	"testing"
)

func TestTheLastVoterStays(t *testing.T) {
	w := newWorld(t)
	voters := func() uint16 {
		n, err := LoadNetwork(w.st)
		if err != nil {
			t.Fatal(err)
		}
		return n.Voters
	}
	put := func(i int, suffrage Suffrage) *Command { return w.command(hub, 1, nodeNumber(i, suffrage)) }
	remove := func(i int) *Command { return w.command(hub, 1, &RemoveNode{Node: nodeNumber(i, Voter).Node}) }
	w.accepted(put(1, Voter), nil)
	w.refused(remove(1), nil, NotPermitted)
	w.refused(put(1, NonVoter), nil, NotPermitted)
	w.accepted(put(2, NonVoter), nil)
	w.refused(remove(1), nil, NotPermitted)
	w.accepted(put(2, Voter), nil)
	w.accepted(put(2, Voter), nil) // an address may change without a vote
	if voters() != 2 {
		t.Fatalf("%d voters, want 2", voters())
	}
	w.accepted(put(1, NonVoter), nil)
	w.accepted(remove(1), nil)
	w.refused(remove(1), nil, NotFound)
	w.refused(remove(2), nil, NotPermitted)
	if voters() != 1 || w.st.count(TableNodes) != 1 {
		t.Fatalf("%d voters of %d nodes, want 1 of 1", voters(), w.st.count(TableNodes))
	}
}

func TestANodeHasAllThatOthersNeed(t *testing.T) {
	for name, change := range map[string]func(*PutNode){
		"no id":          func(p *PutNode) { p.Node = ID{} },
		"no name":        func(p *PutNode) { p.Name = "" },
		"no institution": func(p *PutNode) { p.Institution = "" },
		"no raft":        func(p *PutNode) { p.Raft = "" },
		"no api":         func(p *PutNode) { p.API = "" },
		"no http":        func(p *PutNode) { p.HTTP = "" },
		"no suffrage":    func(p *PutNode) { p.Suffrage = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			p := nodeNumber(1, Voter)
			change(p)
			w.refused(w.command(hub, 1, p), nil, BadField)
		})
	}
}

func TestTwoEpochsLiveAtMost(t *testing.T) {
	w := newWorld(t)
	open := func(e Epoch) *Command {
		return w.command(hub, 2, &OpenEpoch{Epoch: e, Commitment: Hash{uint8(e)}})
	}
	end := func(e Epoch) *Command { return w.command(hub, 2, &CloseEpoch{Epoch: e}) }
	w.refused(end(1), nil, BadField)
	w.refused(open(1), nil, BadField)
	w.refused(open(3), nil, BadField)
	w.accepted(open(2), nil)
	w.refused(open(3), nil, TooMany)
	w.refused(end(2), nil, BadField)

	old, fresh := reportOn(KindPhone, 1, w.now), reportOn(KindPhone, 2, w.now)
	fresh.body.Epoch = 2
	for _, out := range w.publish(acq, 1, old, fresh).Outcomes {
		if out.Status != Created {
			t.Errorf("with two live epochs: %+v", out)
		}
	}
	w.accepted(end(1), nil)
	out := w.publish(acq, 1, old, fresh).Outcomes
	if out[0] != refusedFor(EpochClosed) || out[1].Status != Unchanged {
		t.Errorf("after the first was closed: %+v", out)
	}
	w.accepted(open(3), nil)
	if epochs, err := LoadEpochs(w.st); err != nil || len(epochs.Live) != 2 || epochs.Live[0].Epoch != 2 || epochs.Live[1].Commitment != (Hash{3}) {
		t.Errorf("the live epochs are %+v, %v", epochs, err)
	}
}

func TestProtocolsAreRaisedOneAtATime(t *testing.T) {
	w := newWorld(t)
	w.refused(w.command(hub, 2, &RaiseProtocol{Version: 1}), nil, NothingToDo)
	w.refused(w.command(hub, 2, &RaiseProtocol{Version: 1 << 31}), nil, BadField)
}

func TestRuleSetsComeIntoForceAndGoBack(t *testing.T) {
	w := newWorld(t)
	in := func(active uint32, states ...RuleSetState) {
		t.Helper()
		head, err := LoadRulesHead(w.st)
		if err != nil || head.Active != active || int(head.Last) != len(states) {
			t.Fatalf("the head is %+v, %v; want %d of %d", head, err, active, len(states))
		}
		for i, want := range states {
			if set, err := LoadRuleSet(w.st, uint32(i+1)); err != nil || set == nil || set.State != want {
				t.Fatalf("set %d is %+v, %v; want %s", i+1, set, err, want)
			}
		}
	}
	activate := func(v uint32) *Command { return w.command(hub, 1, &ActivateRules{Version: v}) }
	back := func(from uint32) *Command { return w.command(hub, 1, &RollbackRules{From: from}) }
	w.refused(activate(1), nil, NotFound)
	w.refused(back(0), nil, NotFound)
	first := publishRules(w, []byte("one"))
	if len(first.Outcomes) != 1 || first.Outcomes[0].Status != Kept {
		t.Fatalf("a rule set that was published: %+v", first.Outcomes)
	}
	publishRules(w, []byte("two"))
	in(0, RulesPublished, RulesPublished)
	w.accepted(activate(1), nil)
	w.refused(activate(1), nil, NothingToDo)
	w.refused(back(1), nil, NotFound)
	w.accepted(activate(2), nil)
	in(2, RulesSuperseded, RulesActive)
	w.refused(back(1), nil, NothingToDo)
	w.accepted(back(2), nil)
	in(1, RulesActive, RulesRolledBack)
	w.refused(back(2), nil, NothingToDo)
	w.accepted(activate(2), nil)
	in(2, RulesSuperseded, RulesActive)
}

func TestARuleSetIsTheOneThatWasHashed(t *testing.T) {
	w := newWorld(t)
	body := bodyOf([]byte("one"))
	c := w.command(hub, 1, &PublishRules{Hash: sha([]byte("two"))}, Item{Op: ItemDocument, Commitment: body.Commit()})
	if res := w.refused(c, []Body{body}, BadField); !res.Leaf || len(w.st.bodies) != 0 {
		t.Errorf("a refused rule set: leaf %t, %d bodies", res.Leaf, len(w.st.bodies))
	}
}

// An erased body commits to the empty one under a salt of zeros; only a replay
// may take it for that.
func TestAnErasedBodyIsNeverNew(t *testing.T) {
	w := newWorld(t)
	item, _ := liftOf(ListingID{Leaf: 1}, LiftError)
	erased := Body{}
	item.Commitment = erased.Commit()
	if res := w.refused(w.command(acq, 1, &Listings{}, item), []Body{erased}, BodyMismatch); res.Leaf {
		t.Error("it became a leaf")
	}
}

// All who keep a ledger could agree on a lie about an item whose body is gone.
// What stands in clear is still held to the law by who replays it.
func TestALieThatTheClearPartShows(t *testing.T) {
	w := newWorld(t)
	mine, other := reportOn(KindPhone, 1, w.now), reportOn(KindPhone, 2, w.now)
	w.publish(acq, 1, mine)
	stands := ListingID{Leaf: uint64(len(w.log) - 1)}
	w.publish(wallet, 1, mine)
	others := ListingID{Leaf: uint64(len(w.log) - 1)}
	w.publish(acq, 1, other)
	ended := ListingID{Leaf: uint64(len(w.log) - 1)}
	w.lift(acq, ended, LiftWithdrawn)
	if w.listing(others).Reporter != wallet.id {
		t.Fatal("not the other's listing")
	}
	level, code, expired, broad := mine, mine, mine, mine
	level.item.Level, code.item.Code, expired.item.Expiry = 1, 9, w.now
	broad.item.Kind, broad.item.Scope = KindIP, Scope{FamilyIPv4, 8}
	for name, c := range map[string]struct {
		report report
		lie    Outcome
		want   Refusal
	}{
		"no lie":                           {mine, Outcome{Status: Unchanged, Target: stands}, Accepted},
		"another's listing":                {mine, Outcome{Status: Unchanged, Target: others}, BadField},
		"a listing that has ended":         {mine, Outcome{Status: Revised, Target: ended}, Ended},
		"a listing that never was":         {mine, Outcome{Status: Revised, Target: ListingID{Leaf: 999}}, NotFound},
		"another level is unchanged":       {level, Outcome{Status: Unchanged, Target: stands}, BadField},
		"another code is a revision":       {code, Outcome{Status: Revised, Target: stands}, BadField},
		"extended to the same expiry":      {mine, Outcome{Status: Extended, Target: stands}, BadField},
		"created though it has expired":    {expired, Outcome{Status: Created}, BadExpiry},
		"created though broad":             {broad, Outcome{Status: Created}, NeedsCosigner},
		"a publication that lifts":         {mine, Outcome{Status: Lifted, Target: stands}, BadField},
		"a publication that is a rule set": {mine, Outcome{Status: Kept}, BadField},
	} {
		t.Run(name, func(t *testing.T) {
			item, body := c.report.sealed(t)
			e := w.entry(w.sign(w.command(acq, 1, &Listings{}, item), []Body{body}))
			e.Signed.Bodies = []Body{{}}
			res, err := Step(w.st.clone(), e, uint64(len(w.log)), []Outcome{c.lie})
			want := c.lie
			if c.want != Accepted {
				want = refusedFor(c.want)
			}
			if err != nil || len(res.Outcomes) != 1 || res.Outcomes[0] != want {
				t.Fatalf("got %+v, %v; want %+v", res.Outcomes, err, want)
			}
		})
	}
}
