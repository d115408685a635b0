package risk

import (
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// prepared is a world in which each kind of command has something to do: a node
// beside the only voter, two rule sets of which the second is in force, two live
// epochs, and a retired key of the acquirer.
func prepared(t rapid.TB) *world {
	w := newWorld(t)
	w.accepted(w.command(hub, 2, &RaiseProtocol{Version: 2}), nil)
	w.accepted(w.applying("comer"), nil)
	for i, suffrage := range []Suffrage{Voter, NonVoter} {
		w.accepted(w.command(hub, 1, nodeNumber(i, suffrage)), nil)
	}
	for i := range 2 {
		source := []byte{'v', byte(i)}
		publishRules(w, source)
		w.accepted(w.command(hub, 1, &ActivateRules{Version: uint32(i + 1)}), nil)
	}
	w.accepted(w.command(hub, 2, &OpenEpoch{Epoch: 2, Commitment: Hash{2}}), nil)
	w.accepted(w.command(acq, 1, &RetireKey{Reporter: acq.id, Key: publicOf(acq.keys[1]).ID()}), nil)
	w.publish(wallet, 1, reportOn(KindPhone, 2, w.now))
	return w
}

func nodeNumber(i int, suffrage Suffrage) *PutNode {
	return &PutNode{Node: ID{1, 15: byte(i)}, Name: "n", Institution: "i", Raft: "r", API: "a", HTTP: "h",
		Suffrage: suffrage, LogKey: publicOf(keyNamed("log"))}
}

func publishRules(w *world, source []byte) Result {
	w.t.Helper()
	body := bodyOf(source)
	return w.accepted(w.command(hub, 1, &PublishRules{Hash: sha(source)}, Item{Op: ItemDocument, Commitment: body.Commit()}), []Body{body})
}

// lawful gives a command of a kind that the prepared world accepts from whoever
// may send it.
func lawful(w *world, kind CommandKind) (Params, []Item, []Body) {
	spare := publicOf(keyNamed("spare 1"))
	switch kind {
	case KindFound:
		return foundParams(), nil, nil
	case KindAdmit:
		return &Admit{Reporter: idNamed("new"), Role: RoleMember, Keys: []PublicKey{spare}}, nil, nil
	case KindAddKey:
		return &AddKey{Reporter: acq.id, Key: spare}, nil, nil
	case KindRetireKey:
		return &RetireKey{Reporter: acq.id, Key: publicOf(acq.keys[0]).ID()}, nil, nil
	case KindPutNode:
		return nodeNumber(2, Voter), nil, nil
	case KindRemoveNode:
		return &RemoveNode{Node: nodeNumber(1, NonVoter).Node}, nil, nil
	case KindListings:
		item, body := reportOn(KindPhone, 1, w.now).sealed(w.t)
		return &Listings{}, []Item{item}, []Body{body}
	case KindPublishRules:
		body := bodyOf([]byte("v3"))
		return &PublishRules{Hash: sha(body.Data)}, []Item{{Op: ItemDocument, Commitment: body.Commit()}}, []Body{body}
	case KindActivateRules:
		return &ActivateRules{Version: 1}, nil, nil
	case KindRollbackRules:
		return &RollbackRules{From: 2}, nil, nil
	case KindOpenEpoch:
		return &OpenEpoch{Epoch: 3, Commitment: Hash{3}}, nil, nil
	case KindCloseEpoch:
		return &CloseEpoch{Epoch: 1}, nil, nil
	case KindRaiseProtocol:
		return &RaiseProtocol{Version: 3}, nil, nil
	case KindApply:
		return w.applying("new").Params, nil, nil
	case KindAdvance:
		return &Advance{Reporter: idNamed("comer"), To: StageVetted}, nil, nil
	case KindRevokeCertificate:
		return &RevokeCertificate{Fingerprint: Hash{3}}, nil, nil
	case KindSetLives:
		return &SetLives{Lives: []LongestLife{{Code: 4, Days: 180}}}, nil, nil
	case KindFeedback:
		return &Feedback{Acts: []Act{{Target: ListingID{Leaf: uint64(len(w.log) - 1)}, Action: HoldFunds}}}, nil, nil
	case KindProtect:
		item, body := protecting(KindPhone, 3, w.now+day)
		return &Protect{}, []Item{item}, []Body{body}
	case KindSetPolicy:
		return &SetPolicy{Policy: samplePolicy()}, nil, nil
	default:
		return &ResetTime{Time: w.now - minute}, nil, nil
	}
}

// who may send what: the hub with a quorum of its keys and with one key, the
// acquirer, an auditor, somebody unknown, and the acquirer's retired key.
var whoMay = map[CommandKind][6]Refusal{
	KindFound:         {AlreadyExists, AlreadyExists, AlreadyExists, AlreadyExists, UnknownKey, KeyRetired},
	KindAdmit:         {Accepted, NeedsCosigner, NotPermitted, NotPermitted, UnknownKey, KeyRetired},
	KindAddKey:        {Accepted, NeedsCosigner, Accepted, NotPermitted, UnknownKey, KeyRetired},
	KindRetireKey:     {Accepted, Accepted, Accepted, NotPermitted, UnknownKey, KeyRetired},
	KindPutNode:       {Accepted, Accepted, NotPermitted, NotPermitted, UnknownKey, KeyRetired},
	KindRemoveNode:    {Accepted, Accepted, NotPermitted, NotPermitted, UnknownKey, KeyRetired},
	KindListings:      {Accepted, Accepted, Accepted, NotPermitted, UnknownKey, KeyRetired},
	KindPublishRules:  {Accepted, Accepted, NotPermitted, NotPermitted, UnknownKey, KeyRetired},
	KindActivateRules: {Accepted, Accepted, NotPermitted, NotPermitted, UnknownKey, KeyRetired},
	KindRollbackRules: {Accepted, Accepted, NotPermitted, NotPermitted, UnknownKey, KeyRetired},
	KindOpenEpoch:     {TooMany, NeedsCosigner, NotPermitted, NotPermitted, UnknownKey, KeyRetired},
	KindCloseEpoch:    {Accepted, NeedsCosigner, NotPermitted, NotPermitted, UnknownKey, KeyRetired},
	KindRaiseProtocol: {Unsupported, NeedsCosigner, NotPermitted, NotPermitted, UnknownKey, KeyRetired},
	KindResetTime:     {Accepted, NeedsCosigner, NotPermitted, NotPermitted, UnknownKey, KeyRetired},

	KindApply:             {NeedsCosigner, NeedsCosigner, NotPermitted, NotPermitted, UnknownKey, KeyRetired}, // the applicant's own key
	KindAdvance:           {Accepted, Accepted, NotPermitted, NotPermitted, UnknownKey, KeyRetired},
	KindRevokeCertificate: {Accepted, Accepted, NotPermitted, NotPermitted, UnknownKey, KeyRetired},
	KindSetLives:          {Accepted, NeedsCosigner, NotPermitted, NotPermitted, UnknownKey, KeyRetired},
	KindFeedback:          {Accepted, Accepted, Accepted, NotPermitted, UnknownKey, KeyRetired},
	KindProtect:           {Accepted, NeedsCosigner, NotPermitted, NotPermitted, UnknownKey, KeyRetired},
	KindSetPolicy:         {Accepted, NeedsCosigner, NotPermitted, NotPermitted, UnknownKey, KeyRetired},
}

func TestWhoMaySendWhat(t *testing.T) {
	retired := actor{id: acq.id, keys: acq.keys[1:]}
	authors := []struct {
		name string
		actor
		keys int
	}{{"hub with a quorum", hub, 2}, {"hub with one key", hub, 1}, {"member", acq, 1}, {"auditor", auditor, 1},
		{"unknown", nobody, 1}, {"retired key", retired, 1}}
	for kind := CommandKind(1); kind < commandKinds; kind++ {
		want, told := whoMay[kind]
		if !told {
			t.Fatalf("the table does not say who may send a %s command", kind)
		}
		for i, author := range authors {
			t.Run(kind.String()+" by "+author.name, func(t *testing.T) {
				w := prepared(t)
				before := w.st.clone()
				params, items, bodies := lawful(w, kind)
				e := w.entry(w.sign(w.command(author.actor, author.keys, params, items...), bodies))
				res, err := Step(w.st, e, uint64(len(w.log)), nil)
				if want[i] == Unsupported {
					if tooOld, ok := errors.AsType[*TooOldError](err); !ok || tooOld.Version != 3 || w.st.digest() != before.digest() {
						t.Fatalf("a newer protocol must stop the node before it writes; got %v, %v", res, err)
					}
					return
				}
				if err != nil || kindOf(res) != want[i] {
					t.Fatalf("got %s (%v), %v; want %s", kindOf(res), res.Refusal, err, want[i])
				}
				checkTrace(t, before, w.st, res)
			})
		}
	}
}

// checkTrace holds what each result leaves: nothing at all, or for a refused
// leaf no more than the memory of it.
func checkTrace(t *testing.T, before, after *memState, res Result) {
	t.Helper()
	leaf := res.Refusal == nil || res.Refusal.Kind != UnknownKey && res.Command.Params.Kind() != KindResetTime
	if res.Leaf != leaf {
		t.Errorf("leaf is %t, want %t", res.Leaf, leaf)
	}
	if !leaf && after.digest() != before.digest() {
		t.Error("what is no leaf changed the state")
	}
	if leaf && res.Refusal != nil {
		delete(after.records, string((&Remembered{ID: res.ID}).key()))
		if after.digest() != before.digest() {
			t.Error("a refused command changed more than what is remembered")
		}
	}
}

func TestOneHubKeyCannotMakeItselfAQuorum(t *testing.T) {
	spare := publicOf(keyNamed("spare 1"))
	add := &AddKey{Reporter: hub.id, Key: spare}
	retire := &RetireKey{Reporter: hub.id, Key: publicOf(hub.keys[2]).ID()}
	for _, params := range []Params{add, retire} {
		w := newWorld(t)
		w.refused(w.command(hub, 1, params), nil, NeedsCosigner)
		w.refused(w.command(acq, 1, params), nil, NotPermitted)
		w.accepted(w.command(hub, 2, params), nil)
	}
}

func TestACosignerCountsForTheHubOnlyIfItIsTheHubs(t *testing.T) {
	w := newWorld(t)
	c := w.command(hub, 1, &OpenEpoch{Epoch: 2})
	c.Signers = append(c.Signers, acq.signers(1)...)
	w.refused(c, nil, NeedsCosigner)
}

func TestTheHubKeepsAQuorumOfKeys(t *testing.T) {
	w := newWorld(t)
	w.accepted(w.command(hub, 2, &RetireKey{Reporter: hub.id, Key: publicOf(hub.keys[2]).ID(), At: w.now + day}), nil)
	w.refused(w.command(hub, 2, &RetireKey{Reporter: hub.id, Key: publicOf(hub.keys[1]).ID()}), nil, NotPermitted)
	w.accepted(w.command(hub, 2, &AddKey{Reporter: hub.id, Key: publicOf(keyNamed("spare 1"))}), nil)
	w.accepted(w.command(hub, 2, &RetireKey{Reporter: hub.id, Key: publicOf(hub.keys[1]).ID()}), nil)
	if inst, err := LoadInstitution(w.st, hub.id); err != nil || inst.Keys != 2 {
		t.Fatalf("the hub has %+v, %v", inst, err)
	}
}

func TestKeysRotateWithAnOverlap(t *testing.T) {
	w := newWorld(t)
	old, fresh := acq.signers(1)[0], actor{id: acq.id, keys: acq.keys[1:]}
	end := w.now + hour
	w.accepted(w.command(acq, 1, &RetireKey{Reporter: acq.id, Key: old.Key, At: end}), nil)
	w.refused(w.command(acq, 1, &RetireKey{Reporter: acq.id, Key: old.Key, At: end + 1}), nil, NothingToDo)
	w.publish(acq, 1, reportOn(KindPhone, 1, w.now))
	w.now = end - 1
	item, body := reportOn(KindPhone, 2, w.now).sealed(t)
	w.refused(w.command(acq, 1, &Listings{}, item), []Body{body}, KeyRetired)
	w.accepted(w.command(fresh, 1, &Listings{}, item), []Body{body})
	w.refused(w.command(fresh, 1, &AddKey{Reporter: acq.id, Key: publicOf(acq.keys[0])}), nil, AlreadyExists)
	w.refused(w.command(fresh, 1, &RetireKey{Reporter: acq.id, Key: old.Key}), nil, NothingToDo)
	w.refused(w.command(fresh, 1, &RetireKey{Reporter: acq.id, Key: ID{9}}), nil, NotFound)
	for _, at := range []int64{-1, w.now + MaxRetireAheadMillis + 9} {
		w.refused(w.command(fresh, 1, &RetireKey{Reporter: acq.id, Key: fresh.signers(1)[0].Key, At: at}), nil, BadField)
	}
}

func TestAnInstitutionHasSixteenKeysAtMost(t *testing.T) {
	w := newWorld(t)
	key := func(i int) PublicKey { return PublicKey{Algorithm: Ed25519, Bytes: [32]byte{1, byte(i)}} }
	for i := range MaxKeys - 2 {
		w.accepted(w.command(acq, 1, &AddKey{Reporter: acq.id, Key: key(i)}), nil)
	}
	w.refused(w.command(acq, 1, &AddKey{Reporter: acq.id, Key: key(99)}), nil, TooMany)
	w.accepted(w.command(acq, 1, &RetireKey{Reporter: acq.id, Key: key(0).ID()}), nil)
	w.accepted(w.command(acq, 1, &AddKey{Reporter: acq.id, Key: key(99)}), nil)
}

func TestWhomTheHubMayNotAdmit(t *testing.T) {
	keys := []PublicKey{publicOf(keyNamed("spare 1"))}
	for name, c := range map[string]struct {
		params *Admit
		want   Refusal
	}{
		"twice":            {&Admit{Reporter: acq.id, Role: RoleMember, Keys: keys}, AlreadyExists},
		"as a second hub":  {&Admit{Reporter: ID{1}, Role: RoleHub, Keys: keys}, BadField},
		"in no role":       {&Admit{Reporter: ID{1}, Keys: keys}, BadField},
		"under no id":      {&Admit{Role: RoleMember, Keys: keys}, BadField},
		"with a key twice": {&Admit{Reporter: ID{1}, Role: RoleMember, Keys: slices.Repeat(keys, 2)}, BadField},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.refused(w.command(hub, 1, c.params), nil, c.want)
		})
	}
}

func TestWhatMayNotBeFounded(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Command, *Found)
		want   Refusal
	}{
		"a network without a name":       {func(_ *Command, p *Found) { p.Name = "" }, BadField},
		"a name on two lines":            {func(_ *Command, p *Found) { p.Name = "a\nb" }, BadField},
		"a log without an origin":        {func(_ *Command, p *Found) { p.Origin = "" }, BadField},
		"an origin on two lines":         {func(_ *Command, p *Found) { p.Origin = "a\nb" }, BadField},
		"an origin with a plus":          {func(_ *Command, p *Found) { p.Origin = "a+b" }, BadField},
		"a hub of no id":                 {func(c *Command, _ *Found) { c.Author, c.Signers[0].Reporter, c.Signers[1].Reporter = ID{}, ID{}, ID{} }, BadField},
		"no protocol":                    {func(_ *Command, p *Found) { p.Protocol = 0 }, Unsupported},
		"a protocol to come":             {func(_ *Command, p *Found) { p.Protocol = ProtocolVersion + 1 }, Unsupported},
		"no threshold":                   {func(_ *Command, p *Found) { p.Threshold = 0 }, BadField},
		"a threshold beyond the keys":    {func(_ *Command, p *Found) { p.Threshold = 4 }, BadField},
		"fewer signatures than it needs": {func(_ *Command, p *Found) { p.Threshold = 3 }, NeedsCosigner},
		"a key given twice":              {func(_ *Command, p *Found) { p.HubKeys[2] = p.HubKeys[0] }, BadField},
		"a signer of another":            {func(c *Command, _ *Found) { c.Signers[1].Reporter = acq.id }, BadField},
		"a key that is not the hub's":    {func(c *Command, _ *Found) { c.Signers[1].Key = acq.signers(1)[0].Key }, UnknownKey},
		"a network that has a name":      {func(c *Command, _ *Found) { c.Network = Hash{1} }, WrongNetwork},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{t: t, st: newMemState(), now: start}
			p := foundParams()
			command := w.command(hub, 2, p)
			c.change(command, p)
			if res := w.refused(command, nil, c.want); res.Leaf || len(w.st.records) != 0 {
				t.Fatalf("a founding that failed left %d records, leaf %t", len(w.st.records), res.Leaf)
			}
		})
	}
}

// What is shown to people is what the law does.
func TestTheTableOfAuthorsSaysWhatTheLawAsks(t *testing.T) {
	elsewhere := map[CommandKind]bool{KindAddKey: true, KindApply: true} // the page says it below the table
	for _, a := range Authors() {
		one := whoMay[a.Kind][1] // what one hub key comes to
		if always := a.Quorum && len(a.To) == 0; always != (one == NeedsCosigner) && !elsewhere[a.Kind] {
			t.Errorf("%s: the table says quorum %v, and one hub key comes to %s", a.Kind, a.Quorum, one)
		}
	}
	for _, row := range Stages() {
		if len(row.May) == 0 != (row.Stage == StageSuspended || row.Stage == StageExited) || len(row.Ways) == 0 != (row.Stage == StageExited) {
			t.Errorf("the table has %+v", row)
		}
	}
}
