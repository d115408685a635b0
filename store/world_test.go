package store

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"

	"pgregory.net/rapid"

	"github.com/risknet/risknet/risk"
)

const (
	worldStart = int64(1_750_000_000_000)
	minute     = int64(60_000)
	day        = 24 * 60 * minute
)

// author is an institution with its keys.
type author struct {
	id   risk.ID
	keys []ed25519.PrivateKey
}

func newAuthor(name byte, keys int) author {
	a := author{id: risk.ID{name}}
	for i := range keys {
		seed := [32]byte{name, byte(i)}
		a.keys = append(a.keys, ed25519.NewKeyFromSeed(seed[:]))
	}
	return a
}

func publicOf(key ed25519.PrivateKey) risk.PublicKey {
	return risk.PublicKey{Algorithm: risk.Ed25519, Bytes: [32]byte(key.Public().(ed25519.PublicKey))}
}

// world makes entries of a log, in order.
type world struct {
	hub, acq, bank author
	network        risk.Hash
	now            int64
	index          uint64
	entries        []Entry
}

// newWorld is founded, and has admitted two members.
func newWorld() *world {
	w := &world{hub: newAuthor('h', 2), acq: newAuthor('a', 1), bank: newAuthor('b', 1), now: worldStart}
	found := &risk.Found{Name: "net", Origin: "net.example/log", Protocol: risk.ProtocolVersion, Threshold: 2,
		HubKeys: []risk.PublicKey{publicOf(w.hub.keys[0]), publicOf(w.hub.keys[1])}, EpochKey: risk.Hash{9}}
	w.network = w.propose(w.hub, found, nil, nil).ID()
	for _, a := range []author{w.acq, w.bank} {
		w.propose(w.hub, &risk.Admit{Reporter: a.id, Role: risk.RoleMember, Keys: []risk.PublicKey{publicOf(a.keys[0])}}, nil, nil)
	}
	return w
}

func (w *world) sign(a author, p risk.Params, items []risk.Item, bodies []risk.Body) *risk.Signed {
	c := &risk.Command{Network: w.network, Author: a.id, Time: w.now, NotAfter: w.now + 15*minute, Params: p, Items: items}
	for _, key := range a.keys {
		c.Signers = append(c.Signers, risk.Signer{Reporter: a.id, Key: publicOf(key).ID(), Algorithm: risk.Ed25519})
	}
	signed, err := risk.Sign(c, bodies, a.keys...)
	if err != nil {
		panic(err)
	}
	return signed
}

func (w *world) propose(a author, p risk.Params, items []risk.Item, bodies []risk.Body) *risk.Signed {
	signed := w.sign(a, p, items, bodies)
	w.order(signed)
	return signed
}

// order puts a signed command into the log.
func (w *world) order(signed *risk.Signed) {
	w.now++
	entry := risk.Entry{At: w.now, Proposer: risk.ID{7}, Signed: signed}
	w.put(Command, entry.Encode())
}

func (w *world) put(kind Kind, data []byte) {
	w.index++
	w.entries = append(w.entries, Entry{Index: w.index, Term: 1, Kind: kind, Data: data})
}

// tokenOf is the token of the n-th subject.
func tokenOf(n int) risk.Token { return risk.Token{byte(n), byte(n >> 8), 1, byte(n >> 16)} }

// listing makes an item about the n-th subject, and its body.
func (w *world) listing(n int, note string, expires, source int64) (risk.Item, risk.Body) {
	content := risk.ListingBody{Token: tokenOf(n), Epoch: 1, Part: risk.PartSuspect, Action: risk.Deny,
		Purposes: risk.AllPurposes, Tier: 1, Note: note}
	data, err := content.Encode()
	if err != nil {
		panic(err)
	}
	body := risk.Body{Data: data}
	_, _ = rand.Read(body.Salt[:])
	return risk.Item{Op: risk.ItemPublish, Kind: risk.KindIP, Scope: risk.Scope{Family: risk.FamilyIPv4, Length: uint8(24 + n%9)},
		Code: 12, Level: 2, List: risk.ListBlack, Expiry: w.now + expires, SourceDate: source,
		Origin: risk.Origin{Kind: risk.OriginOwn}, Commitment: body.Commit()}, body
}

// linkOf is where the link of the n-th subject stands, as acq lists it.
func (w *world) linkOf(n int) []byte {
	return linkKey(risk.ListingKey{Kind: risk.KindIP, Token: tokenOf(n), Reporter: w.acq.id, List: risk.ListBlack, Code: 12})
}

// publish has an institution list subjects.
func (w *world) publish(a author, note string, subjects ...int) *risk.Signed {
	return w.publishFrom(a, note, 0, subjects...)
}

// publishFrom names when the source said so.
func (w *world) publishFrom(a author, note string, source int64, subjects ...int) *risk.Signed {
	var items []risk.Item
	var bodies []risk.Body
	for _, n := range subjects {
		item, body := w.listing(n, note, day, source)
		items, bodies = append(items, item), append(bodies, body)
	}
	return w.propose(a, &risk.Listings{}, items, bodies)
}

func (w *world) lift(a author, id risk.ListingID) *risk.Signed {
	body := risk.NewBody(nil)
	item := risk.Item{Op: risk.ItemLift, Target: id, Reason: risk.LiftError, Commitment: body.Commit()}
	return w.propose(a, &risk.Listings{}, []risk.Item{item}, []risk.Body{body})
}

// halt suspends a listing, or resumes it.
func (w *world) halt(a author, op risk.ItemOp, id risk.ListingID) *risk.Signed {
	body := risk.NewBody([]byte("looked at"))
	item := risk.Item{Op: op, Target: id, Commitment: body.Commit()}
	return w.propose(a, &risk.Listings{}, []risk.Item{item}, []risk.Body{body})
}

// acts says what an institution did on listings.
func (w *world) acts(a author, action risk.Advice, on ...risk.ListingID) *risk.Signed {
	p := &risk.Feedback{}
	for _, id := range on {
		p.Acts = append(p.Acts, risk.Act{Target: id, Action: action})
	}
	return w.propose(a, p, nil, nil)
}

func (w *world) protect(n int, life int64) *risk.Signed {
	content := risk.ProtectionBody{Token: tokenOf(n), Epoch: 1, Covers: "salaries", Comment: "two approved"}
	data, err := content.Encode()
	if err != nil {
		panic(err)
	}
	body := risk.NewBody(data)
	item := risk.Item{Op: risk.ItemProtect, Kind: risk.KindPhone, Expiry: w.now + life, Commitment: body.Commit()}
	return w.propose(w.hub, &risk.Protect{}, []risk.Item{item}, []risk.Body{body})
}

func (w *world) unprotect(id risk.ItemID) *risk.Signed {
	body := risk.NewBody(nil)
	item := risk.Item{Op: risk.ItemUnprotect, Target: id, Commitment: body.Commit()}
	return w.propose(w.hub, &risk.Protect{}, []risk.Item{item}, []risk.Body{body})
}

// growLater adds a random entry of those that came with protocol 2.
func (w *world) growLater(t *rapid.T, a author) *risk.Signed {
	id := func() risk.ListingID {
		return risk.ListingID{Leaf: uint64(rapid.IntRange(0, int(w.index)).Draw(t, "leaf")), Item: rapid.Uint16Range(0, 2).Draw(t, "item")}
	}
	switch rapid.IntRange(0, 6).Draw(t, "later") {
	case 0:
		return w.halt(w.hub, rapid.SampledFrom([]risk.ItemOp{risk.ItemSuspend, risk.ItemResume}).Draw(t, "op"), id())
	case 1:
		lives := []risk.LongestLife{{Code: 12, Days: rapid.Uint16Range(0, 3).Draw(t, "days")}}
		return w.propose(w.hub, &risk.SetLives{Lives: lives}, nil, nil)
	case 2:
		return w.protect(rapid.IntRange(0, 3).Draw(t, "protected"), rapid.SampledFrom([]int64{0, day, 100 * day}).Draw(t, "life"))
	case 3:
		return w.unprotect(id())
	case 4:
		return w.publishFrom(a, fmt.Sprint("news ", w.index), w.now, rapid.SliceOfN(rapid.IntRange(0, 12), 1, 6).Draw(t, "subjects")...)
	default:
		action := risk.Advice(rapid.IntRange(1, 7).Draw(t, "action"))
		return w.acts(a, action, id(), id(), id(), id())
	}
}

// grow adds random entries: reports, repeats, lifts, rule sets, refusals, what
// is no command at all, and raft's own.
func (w *world) grow(t *rapid.T, count int) {
	authors := []author{w.acq, w.bank, w.hub}
	var sent []*risk.Signed
	for range count {
		a := rapid.SampledFrom(authors).Draw(t, "author")
		switch rapid.IntRange(0, 13).Draw(t, "what") {
		case 10, 11, 12, 13:
			sent = append(sent, w.growLater(t, a))
		case 0:
			w.put(Configuration, []byte(fmt.Sprint("configuration ", w.index)))
		case 1:
			w.put(Other, nil)
		case 2:
			w.put(Command, []byte("not a command"))
		case 3:
			source := []byte(fmt.Sprint("rules ", w.index))
			body := risk.NewBody(source)
			sent = append(sent, w.propose(a, &risk.PublishRules{Hash: sha(source)}, []risk.Item{{Op: risk.ItemDocument, Commitment: body.Commit()}}, []risk.Body{body}))
		case 4:
			if len(sent) > 0 {
				w.order(rapid.SampledFrom(sent).Draw(t, "again"))
			}
		case 5:
			sent = append(sent, w.lift(a, risk.ListingID{Leaf: uint64(rapid.IntRange(0, int(w.index)).Draw(t, "leaf"))}))
		case 6:
			// Past not-after times, or past a listing's retention.
			w.now += rapid.SampledFrom([]int64{minute, 20 * minute, 13 * 60 * minute, day, 200 * day}).Draw(t, "later")
		default:
			subjects := rapid.SliceOfN(rapid.IntRange(0, 12), 1, 6).Draw(t, "subjects")
			note := rapid.SampledFrom([]string{"", "again", "worse"}).Draw(t, "note")
			sent = append(sent, w.publish(a, note, subjects...))
		}
	}
}

var ctx = context.Background()

func cancelled() context.Context {
	ended, end := context.WithCancel(ctx)
	end()
	return ended
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// fataler is what tests and properties have in common.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func open(t fataler, dir string, o Options) *Store {
	t.Helper()
	o.Logger = quiet
	if o.MemTableBytes == 0 {
		o.MemTableBytes = 16 << 20
	}
	s, err := Open(dir, o)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return s
}

func mustApply(t fataler, s *Store, entries []Entry) []Applied {
	t.Helper()
	results := s.Apply(entries)
	for i, r := range results {
		if r.Err != nil {
			t.Fatalf("entry %d: %v", entries[i].Index, r.Err)
		}
	}
	return results
}

func mustClose(t fataler, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

// heads gives the head after each entry.
func heads(results []Applied) []risk.Head {
	list := make([]risk.Head, len(results))
	for i, r := range results {
		list[i] = r.Head
	}
	return list
}

// same compares two states: tree, digest, position, and the digest of what is
// really on disk.
func same(t fataler, what string, got, want *Store) {
	t.Helper()
	if got.Head() != want.Head() || got.Digest() != want.Digest() || got.Count() != want.Count() {
		t.Fatalf("%s: head %v digest %s listings %d; want %v %s %d", what, got.Head(), got.Digest(), got.Count(), want.Head(), want.Digest(), want.Count())
	}
	if g, w := got.Position(), want.Position(); g.Index != w.Index || string(g.Configuration) != string(w.Configuration) {
		t.Fatalf("%s: position %+v, want %+v", what, g, w)
	}
	scanned, err := got.Rescan()
	if err != nil || scanned != got.Digest() {
		t.Fatalf("%s: the records on disk give %s, %v; the state says %s", what, scanned, err, got.Digest())
	}
}
