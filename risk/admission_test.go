package risk

import (
	"fmt"
	"slices"
	"testing"
)

// applying is an application that the applicant has signed too.
func (w *world) applying(name string) *Command {
	key := actorNamed("spare", "1", "2", "3")
	if name == "comer" {
		key.keys = key.keys[2:]
	}
	p := &Apply{Reporter: idNamed(name), Role: RoleMember, Keys: []PublicKey{publicOf(key.keys[0])}}
	c := w.command(hub, 1, p)
	c.Signers = append(c.Signers, Signer{Reporter: p.Reporter, Key: p.Keys[0].ID(), Algorithm: Ed25519})
	return c
}

// newWorld2 is a network under protocol 2.
func newWorld2(t *testing.T) *world {
	w := newWorld(t)
	w.accepted(w.command(hub, 2, &RaiseProtocol{Version: 2}), nil)
	return w
}

var allStages = []Stage{StageApplied, StageVetted, StageSandbox, StageShadow, StageSigned, StageLive, StageQuarantined, StageSuspended, StageExited}

// at brings the newcomer to a stage, by a way that leads there.
func (w *world) at(stage Stage) actor {
	w.t.Helper()
	w.accepted(w.applying("new"), nil)
	way := map[Stage][]Stage{StageApplied: nil, StageQuarantined: append(slices.Clone(allStages[1:6]), StageQuarantined),
		StageSuspended: {StageSuspended}, StageExited: {StageSuspended, StageExited}}
	steps, special := way[stage]
	if !special {
		steps = allStages[1 : slices.Index(allStages, stage)+1]
	}
	for _, to := range steps {
		w.accepted(w.command(hub, 2, move(to)), nil)
	}
	return actor{id: idNamed("new"), keys: actorNamed("spare", "1").keys}
}

// move has what belongs to a move.
func move(to Stage) *Advance {
	p := &Advance{Reporter: idNamed("new"), To: to, Comment: "as agreed"}
	switch to {
	case StageShadow:
		p.Proof = Hash{1}
	case StageSigned:
		p.Purposes, p.Size, p.Root = PurposeScreening, 7, Hash{2}
	}
	return p
}

// The whole table, from every stage to every stage: what the field has, and nothing
// else. A terminal state never comes back.
func TestEveryMoveBetweenStages(t *testing.T) {
	lead := map[Stage]string{
		StageApplied: "vetted suspended", StageVetted: "sandbox suspended", StageSandbox: "shadow suspended",
		StageShadow: "signed suspended", StageSigned: "live suspended", StageLive: "quarantined suspended",
		StageQuarantined: "live suspended", StageSuspended: "exited", StageExited: "",
	}
	for _, from := range allStages {
		var there []string
		for _, to := range allStages {
			w := newWorld2(t)
			w.at(from)
			before := w.st.clone()
			res := w.do(w.command(hub, 2, move(to)), nil)
			if res.Refusal == nil {
				there = append(there, to.String())
				if inst, err := LoadInstitution(w.st, idNamed("new")); err != nil || inst.Stage != to {
					t.Errorf("%s to %s leaves %+v, %v", from, to, inst, err)
				}
				continue
			}
			want := BadField
			switch {
			case from == to:
				want = NothingToDo
			case from == StageExited:
				want = Ended
			}
			if res.Refusal.Kind != want {
				t.Errorf("%s to %s: %v, want %s", from, to, res.Refusal, want)
			}
			checkTrace(t, before, w.st, res)
		}
		slices.Sort(there)
		if got, want := fmt.Sprint(there), fmt.Sprint(sortedWords(lead[from])); got != want {
			t.Errorf("from %s the way leads to %s, not to %s", from, want, got)
		}
	}
}

func sortedWords(text string) []string {
	var words []string
	for _, s := range allStages {
		if slices.Contains(splitWords(text), s.String()) {
			words = append(words, s.String())
		}
	}
	slices.Sort(words)
	return words
}

func splitWords(text string) (words []string) {
	for len(text) > 0 {
		word := text
		for i := range len(text) {
			if text[i] == ' ' {
				word = text[:i]
				break
			}
		}
		words = append(words, word)
		text = text[min(len(text), len(word)+1):]
	}
	return words
}

func TestGraveMovesNeedTwoHubKeys(t *testing.T) {
	for _, c := range []struct{ from, to Stage }{{StageShadow, StageSigned}, {StageSigned, StageLive}, {StageQuarantined, StageLive},
		{StageLive, StageSuspended}, {StageSuspended, StageExited}} {
		w := newWorld2(t)
		w.at(c.from)
		w.refused(w.command(hub, 1, move(c.to)), nil, NeedsCosigner)
		w.accepted(w.command(hub, 2, move(c.to)), nil)
	}
	for _, c := range []struct{ from, to Stage }{{StageApplied, StageVetted}, {StageVetted, StageSandbox}, {StageSandbox, StageShadow}, {StageLive, StageQuarantined}} {
		w := newWorld2(t)
		w.at(c.from)
		w.accepted(w.command(hub, 1, move(c.to)), nil)
	}
}

// What an institution may send, in every stage and of every kind.
func TestWhatEachStageMaySend(t *testing.T) {
	for _, stage := range allStages {
		for kind := CommandKind(2); kind < commandKinds; kind++ {
			w := newWorld2(t)
			who := w.at(stage)
			params, items, bodies := lawful(w, kind)
			switch p := params.(type) {
			case *AddKey:
				p.Reporter, p.Key = who.id, publicOf(keyNamed("spare 2"))
			case *RetireKey:
				p.Reporter, p.Key = who.id, publicOf(who.keys[0]).ID()
			}
			res := w.do(w.command(who, 1, params, items...), bodies)
			ownKey := kind == KindAddKey || kind == KindRetireKey
			allowed := kind == KindListings && (stage == StageLive || stage == StageQuarantined) || kind == KindFeedback && stage == StageLive ||
				ownKey && stage != StageSuspended && stage != StageExited
			if allowed != (res.Refusal == nil) || !allowed && res.Refusal.Kind != NotPermitted {
				t.Errorf("%s when %s: %v", kind, stage, res.Refusal)
			}
			if kind == KindListings && stage == StageQuarantined && (res.Outcomes[0].Status != Refused || res.Outcomes[0].Refusal != NotPermitted) {
				t.Errorf("a quarantined institution's report came to %v", res.Outcomes[0])
			}
		}
	}
}

func TestAQuarantinedInstitutionLifts(t *testing.T) {
	w := newWorld2(t)
	who := w.at(StageLive)
	res := w.publish(who, 1, reportOn(KindPhone, 1, w.now))
	id := ListingID{Leaf: uint64(len(w.log) - 1)}
	if res.Outcomes[0].Status != Created {
		t.Fatalf("the report came to %v", res.Outcomes[0])
	}
	w.accepted(w.command(hub, 1, move(StageQuarantined)), nil)
	item, body := liftOf(id, LiftError)
	if res := w.accepted(w.command(who, 1, &Listings{}, item), []Body{body}); res.Outcomes[0].Status != Lifted {
		t.Errorf("the lift came to %v", res.Outcomes[0])
	}
}

// What an institution has listed stands when it is put out; the hub can lift it.
func TestListingsOutliveTheirReporter(t *testing.T) {
	for _, ways := range [][]Stage{{StageQuarantined}, {StageSuspended}, {StageSuspended, StageExited}} {
		w := newWorld2(t)
		who := w.at(StageLive)
		w.publish(who, 1, reportOn(KindPhone, 1, w.now))
		id := ListingID{Leaf: uint64(len(w.log) - 1)}
		for _, to := range ways {
			w.accepted(w.command(hub, 2, move(to)), nil)
		}
		if l, err := LoadListing(w.st, id); err != nil || l == nil || !l.ActiveAt(w.now) {
			t.Errorf("after %v the listing is %+v, %v", ways, l, err)
		}
		item, body := liftOf(id, LiftError)
		if res := w.accepted(w.command(hub, 1, &Listings{}, item), []Body{body}); res.Outcomes[0].Status != Lifted {
			t.Errorf("after %v the hub's lift came to %v", ways, res.Outcomes[0])
		}
	}
}

// Nobody is entered under a key that is not its own.
func TestApplicationsAreSignedByTheApplicant(t *testing.T) {
	w := newWorld2(t)
	c := w.applying("new")
	c.Signers = c.Signers[:1]
	w.refused(c, nil, NeedsCosigner)
	forged := w.applying("new")
	forged.Signers[1].Key = publicOf(acq.keys[0]).ID() // a key that the application does not bring
	w.refused(forged, nil, UnknownKey)
	w.accepted(w.applying("new"), nil)
	w.refused(w.applying("new"), nil, AlreadyExists)
}

// The keys in an application speak for the applicant beside the hub, and for nobody
// alone: otherwise whoever makes up a key could fill the ledger with refusals, each
// in another name.
func TestAnApplicationIsNoWayToSignWithoutBeingKnown(t *testing.T) {
	w := newWorld2(t)
	before := w.st.digest()
	alone := w.applying("new")
	alone.Author, alone.Signers = idNamed("new"), alone.Signers[1:]
	forHub := w.applying("new") // by the hub, as it says; the key in it is not the hub's
	forHub.Params.(*Apply).Reporter = hub.id
	forHub.Signers = forHub.Signers[1:]
	forHub.Signers[0].Reporter = hub.id
	beside := w.applying("new") // a member's, which another one seems to have signed too
	beside.Params.(*Apply).Reporter = wallet.id
	beside.Author, beside.Signers = acq.id, append(acq.signers(1), beside.Signers[1])
	beside.Signers[1].Reporter = wallet.id
	for name, c := range map[string]*Command{"somebody's own": alone, "the hub's": forHub, "a member's beside another": beside} {
		if res := w.refused(c, nil, UnknownKey); res.Leaf || w.st.digest() != before {
			t.Errorf("%s left something", name)
		}
		if _, err := Verify(w.st, w.sign(c, nil), w.now); err == nil {
			t.Errorf("a node takes %s", name)
		}
	}
}

// To change the keys of who has left is refused too.
func TestWhoHasLeftHasNoKeys(t *testing.T) {
	w := newWorld2(t)
	who := w.at(StageExited)
	w.refused(w.command(hub, 2, &AddKey{Reporter: who.id, Key: publicOf(keyNamed("spare 2"))}), nil, Ended)
}

func TestWhatDoesNotBelongToAMove(t *testing.T) {
	for name, spoil := range map[string]func(*Advance){
		"a proof":        func(p *Advance) { p.Proof = Hash{1} },
		"a head":         func(p *Advance) { p.Size, p.Root = 3, Hash{1} },
		"half a head":    func(p *Advance) { p.Size = 3 },
		"purposes":       func(p *Advance) { p.Purposes = PurposeAML },
		"a line break":   func(p *Advance) { p.Comment = "a\nb" },
		"nobody's stage": func(p *Advance) { p.To = 77 },
	} {
		w := newWorld2(t)
		w.at(StageApplied)
		p := move(StageVetted)
		spoil(p)
		if res := w.do(w.command(hub, 2, p), nil); res.Refusal == nil || res.Refusal.Kind != BadField {
			t.Errorf("%s: %v", name, res.Refusal)
		}
	}
	for _, to := range []Stage{StageShadow, StageSigned} {
		w := newWorld2(t)
		w.at(to - 1)
		w.refused(w.command(hub, 2, &Advance{Reporter: idNamed("new"), To: to}), nil, BadField)
	}
}

// A program of protocol 1 takes these for no commands at all, and so must this one
// as long as protocol 1 is in force.
func TestProtocol1DoesNotKnowAdmission(t *testing.T) {
	w := newWorld(t)
	before := w.st.digest()
	for _, c := range []*Command{w.applying("new"), w.command(hub, 2, move(StageVetted)), w.command(hub, 2, &RevokeCertificate{Fingerprint: Hash{1}})} {
		if res := w.refused(c, nil, Malformed); res.Leaf || w.st.digest() != before {
			t.Errorf("a %s command left something", c.Params.Kind())
		}
	}
	w.accepted(w.command(hub, 1, &Admit{Reporter: idNamed("old"), Role: RoleMember, Keys: []PublicKey{publicOf(keyNamed("spare 2"))}}), nil)
}

func TestACertificateIsRevokedOnce(t *testing.T) {
	w := newWorld2(t)
	p := &RevokeCertificate{Fingerprint: Hash{4}, Reason: "stolen"}
	w.accepted(w.command(hub, 1, p), nil)
	w.refused(w.command(hub, 1, p), nil, NothingToDo)
	w.refused(w.command(hub, 1, &RevokeCertificate{}), nil, BadField)
	w.refused(w.command(hub, 1, &RevokeCertificate{Fingerprint: Hash{5}, Reason: "a\nb"}), nil, BadField)
	raw, err := w.st.Record((&Revocation{Fingerprint: p.Fingerprint}).key())
	if r, bad := ReadRevocation((&Revocation{Fingerprint: p.Fingerprint}).key(), raw); err != nil || bad != nil || r.At == 0 || r.Reason != "stolen" {
		t.Errorf("the record is %+v, %v, %v", r, err, bad)
	}
}
