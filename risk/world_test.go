package risk

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"

	"pgregory.net/rapid"
)

// start is the network's time at its founding in tests: 2026-01-01.
const start = int64(1_767_225_600_000)

const (
	minute = int64(60_000)
	hour   = 60 * minute
	day    = 24 * hour
)

// actor is an institution in tests. Its keys are known by their names.
type actor struct {
	id   ID
	keys []ed25519.PrivateKey
}

func idNamed(name string) ID {
	sum := sha256.Sum256([]byte("id " + name))
	return ID(sum[:16])
}

func keyNamed(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func publicOf(key ed25519.PrivateKey) PublicKey {
	public := PublicKey{Algorithm: Ed25519}
	copy(public.Bytes[:], key.Public().(ed25519.PublicKey))
	return public
}

func actorNamed(name string, keys ...string) actor {
	a := actor{id: idNamed(name)}
	for _, key := range keys {
		a.keys = append(a.keys, keyNamed(name+" "+key))
	}
	return a
}

func (a actor) publics() []PublicKey {
	var all []PublicKey
	for _, key := range a.keys {
		all = append(all, publicOf(key))
	}
	return all
}

// signers names the first n keys of the actor.
func (a actor) signers(n int) []Signer {
	var all []Signer
	for _, key := range a.keys[:n] {
		all = append(all, Signer{Reporter: a.id, Key: publicOf(key).ID(), Algorithm: Ed25519})
	}
	return all
}

var (
	hub     = actorNamed("hub", "1", "2", "3")
	acq     = actorNamed("acquirer", "1", "2")
	wallet  = actorNamed("wallet", "1")
	auditor = actorNamed("auditor", "1")
	nobody  = actorNamed("nobody", "1")
)

// privateKeys finds the key of a signer.
var privateKeys = func() map[ID]ed25519.PrivateKey {
	known := map[ID]ed25519.PrivateKey{}
	for _, a := range []actor{hub, acq, wallet, auditor, nobody, actorNamed("spare", "1", "2", "3")} {
		for _, key := range a.keys {
			known[publicOf(key).ID()] = key
		}
	}
	return known
}()

// bodyOf salts in a way that a test can repeat.
func bodyOf(data []byte) Body {
	salt := sha256.Sum256(data)
	return Body{Salt: [16]byte(salt[:16]), Data: append([]byte{}, data...)}
}

// history is one leaf of a world's ledger, and the state after it.
type history struct {
	leaf   Leaf
	bodies []Body
	state  Hash
}

// world is a network of one replica: the real law over a state in memory.
type world struct {
	t   rapid.TB
	st  *memState
	net Hash
	now int64 // what the leader stamps
	log []history
}

func foundParams() *Found {
	return &Found{Name: "test", Origin: "risknet.example/test", Protocol: 1, Threshold: 2,
		HubKeys: hub.publics(), HubCommitment: CommitInstitution([16]byte{1}, hub.id, "Hub"), EpochKey: CommitEpochKey([32]byte{1})}
}

// newWorld founds a network with a hub of three keys, of which two are the
// threshold, two members and an auditor.
func newWorld(t rapid.TB) *world {
	w := &world{t: t, st: newMemState(), now: start}
	founding := w.command(hub, 2, foundParams())
	w.net = w.accepted(founding, nil).ID
	for _, a := range []actor{acq, wallet} {
		w.accepted(w.command(hub, 1, &Admit{Reporter: a.id, Role: RoleMember, Keys: a.publics()}), nil)
	}
	w.accepted(w.command(hub, 1, &Admit{Reporter: auditor.id, Role: RoleAuditor, Keys: auditor.publics()}), nil)
	return w
}

// command is signed by the actor's first keys, a millisecond after the one before,
// so that no two are the same.
func (w *world) command(a actor, keys int, params Params, items ...Item) *Command {
	w.now++
	return &Command{Network: w.net, Author: a.id, Time: w.now, NotAfter: w.now + hour,
		Signers: a.signers(keys), Params: params, Items: items}
}

func (w *world) sign(c *Command, bodies []Body) *Signed {
	w.t.Helper()
	var keys []ed25519.PrivateKey
	for _, s := range c.Signers {
		keys = append(keys, privateKeys[s.Key])
	}
	signed, err := Sign(c, bodies, keys...)
	if err != nil {
		w.t.Fatalf("sign a %s command: %v", c.Params.Kind(), err)
	}
	return signed
}

func (w *world) entry(signed *Signed) *Entry {
	w.t.Helper()
	e, err := DecodeEntry((&Entry{At: w.now, Proposer: idNamed("node"), Signed: signed}).Encode())
	if err != nil {
		w.t.Fatalf("decode an entry: %v", err)
	}
	return e
}

// apply puts signed bytes through the law, as the next leaf.
func (w *world) apply(signed *Signed) Result {
	w.t.Helper()
	e := w.entry(signed)
	res, err := Step(w.st, e, uint64(len(w.log)), nil)
	if err != nil {
		w.t.Fatalf("step: %v", err)
	}
	if res.Leaf {
		l := Leaf{Header: e.Signed.Header, Signatures: e.Signed.Signatures, At: e.At, Proposer: e.Proposer, Outcomes: res.Outcomes}
		if res.Refusal != nil {
			l.Refusal = res.Refusal.Kind
		}
		w.log = append(w.log, history{leaf: l, bodies: e.Signed.Bodies, state: w.st.digest()})
	}
	return res
}

func (w *world) do(c *Command, bodies []Body) Result {
	w.t.Helper()
	return w.apply(w.sign(c, bodies))
}

func (w *world) accepted(c *Command, bodies []Body) Result {
	w.t.Helper()
	res := w.do(c, bodies)
	if res.Refusal != nil || !res.Leaf || res.First != nil {
		w.t.Fatalf("a %s command was not accepted: %+v", c.Params.Kind(), res)
	}
	return res
}

func (w *world) refused(c *Command, bodies []Body, want Refusal) Result {
	w.t.Helper()
	res := w.do(c, bodies)
	if kindOf(res) != want {
		w.t.Fatalf("a %s command: got %s, want %s (%v)", c.Params.Kind(), kindOf(res), want, res.Refusal)
	}
	return res
}

func kindOf(res Result) Refusal {
	if res.Refusal == nil {
		return Accepted
	}
	return res.Refusal.Kind
}

// report is a publication in tests: an item and the body that it commits to.
type report struct {
	item Item
	body ListingBody
}

// reportOn gives a plausible report on a subject with a number.
func reportOn(kind Kind, subject uint64, now int64) report {
	r := report{item: Item{Op: ItemPublish, Kind: kind, Code: 3, Level: 2, List: ListBlack,
		Expiry: now + 30*day, SourceDate: now - day, Origin: Origin{Kind: OriginOwn}}}
	r.body = ListingBody{Epoch: 1, Part: PartSuspect, Action: Deny, Purposes: PurposeScreening}
	binary.BigEndian.PutUint64(r.body.Token[8:], subject)
	r.body.Token[0] = uint8(kind)
	switch kind {
	case KindIP:
		r.item.Scope = Scope{Family: FamilyIPv4, Length: 32}
	case KindDomain:
		r.item.Scope = Scope{Family: FamilyDomain, Length: 2}
	}
	return r
}

// sealed commits the item to its body.
func (r report) sealed(t rapid.TB) (Item, Body) {
	t.Helper()
	data, err := r.body.Encode()
	if err != nil {
		t.Fatalf("encode a listing body: %v", err)
	}
	body := bodyOf(data)
	r.item.Commitment = body.Commit()
	return r.item, body
}

func (w *world) publish(a actor, keys int, reports ...report) Result {
	w.t.Helper()
	var items []Item
	var bodies []Body
	for _, r := range reports {
		item, body := r.sealed(w.t)
		items, bodies = append(items, item), append(bodies, body)
	}
	return w.accepted(w.command(a, keys, &Listings{}, items...), bodies)
}

func liftOf(target ListingID, reason LiftReason) (Item, Body) {
	body := bodyOf(nil)
	return Item{Op: ItemLift, Target: target, Reason: reason, Commitment: body.Commit()}, body
}

func haltOf(op ItemOp, target ListingID) (Item, Body) {
	body := bodyOf([]byte("looked at"))
	return Item{Op: op, Target: target, Commitment: body.Commit()}, body
}

func (w *world) lift(a actor, target ListingID, reason LiftReason) Outcome {
	w.t.Helper()
	item, body := liftOf(target, reason)
	return w.accepted(w.command(a, 1, &Listings{}, item), []Body{body}).Outcomes[0]
}

// listing reads a listing that must be there.
func (w *world) listing(id ListingID) *Listing {
	w.t.Helper()
	l, err := LoadListing(w.st, id)
	if err != nil || l == nil {
		w.t.Fatalf("listing %s: %v, %v", id, l, err)
	}
	return l
}
