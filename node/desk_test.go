package node

import (
	"context"
	"crypto/ed25519"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/check"
	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/store"
)

// desk is a node of the institution "member" with a state, a view and a journal, and
// without a network: what others list is applied to it by hand. Its clock stands still.
type desk struct {
	*company

	at    time.Time
	index uint64
	net   risk.Hash
	hub   reporter
	acq   reporter
	bank  reporter
}

// reporter is an institution that lists.
type reporter struct {
	id   risk.ID
	keys []ed25519.PrivateKey
}

func newReporter(name byte, keys int) reporter {
	r := reporter{id: risk.ID{name}}
	for i := range keys {
		r.keys = append(r.keys, ed25519.NewKeyFromSeed([]byte{name, byte(i), 31: 0}))
	}
	return r
}

func (r reporter) public(i int) risk.PublicKey {
	return risk.PublicKey{Algorithm: risk.Ed25519, Bytes: [32]byte(r.keys[i].Public().(ed25519.PublicKey))}
}

// newDesk is founded, has two members that list, and has taken up its present.
func newDesk(t testing.TB) *desk {
	t.Helper()
	d := &desk{company: newCompany(t), at: time.UnixMilli(1_750_000_000_000),
		hub: newReporter('h', 2), acq: newReporter('a', 1), bank: newReporter('b', 1)}
	secret := TokenKey{Epoch: 1, Secret: [32]byte{1, 31: 9}}
	d.secrets, d.network, d.cfg.Stale, d.cfg.Journal = []TokenKey{secret}, risk.Hash{}, DefaultConfig().Stale, DefaultConfig().Journal
	d.cfg.Data = t.TempDir()
	d.now = func() time.Time { return d.at }
	d.opens()
	t.Cleanup(d.closes)
	d.net = d.command(d.hub, &risk.Found{Name: "net", Origin: "net.example/log", Protocol: risk.ProtocolVersion, Threshold: 2,
		HubKeys: []risk.PublicKey{d.hub.public(0), d.hub.public(1)}, EpochKey: risk.CommitEpochKey(secret.Secret)}, nil, nil)
	for _, r := range []reporter{d.acq, d.bank} {
		d.command(d.hub, &risk.Admit{Reporter: r.id, Role: risk.RoleMember, Keys: []risk.PublicKey{r.public(0)}}, nil, nil)
	}
	return d
}

// opens takes up what is on disk, as a node does that starts.
func (d *desk) opens() {
	d.t.Helper()
	must := func(err error) {
		if err != nil {
			d.t.Fatal(err)
		}
	}
	var err error
	d.disk, err = openDisk(&d.cfg, func(string) (uint64, error) { return 1 << 40, nil })
	must(err)
	d.checker, err = check.New(check.Config{Now: d.now})
	must(err)
	must(d.openJournal())
	d.store, err = store.Open(filepath.Join(d.cfg.Data, "state"), store.Options{Logger: d.log, OnCut: d.absorb, Lacks: d.lacks, OnRestore: d.restored})
	must(err)
	must(d.restored())
	d.checker.SetFresh(d.at)
	d.metrics = newMetrics(d.Node)
}

func (d *desk) closes() {
	d.t.Helper()
	if err := d.store.Close(); err != nil {
		d.t.Error(err)
	}
	if err := d.look.close(); err != nil {
		d.t.Error(err)
	}
}

// entry is the next one of the log, with a command.
func (d *desk) entry(by reporter, p risk.Params, items []risk.Item, bodies []risk.Body) store.Entry {
	d.t.Helper()
	_, e := d.signed(by, p, items, bodies)
	return e
}

func (d *desk) signed(by reporter, p risk.Params, items []risk.Item, bodies []risk.Body) (*risk.Signed, store.Entry) {
	d.t.Helper()
	now := d.at.UnixMilli()
	c := &risk.Command{Network: d.net, Author: by.id, Time: now, NotAfter: now + time.Hour.Milliseconds(), Params: p, Items: items}
	for i := range by.keys {
		c.Signers = append(c.Signers, risk.Signer{Reporter: by.id, Key: by.public(i).ID(), Algorithm: risk.Ed25519})
	}
	signed, err := risk.Sign(c, bodies, by.keys...)
	if err != nil {
		d.t.Fatal(err)
	}
	d.index++
	e := risk.Entry{At: now, Proposer: risk.ID{7}, Signed: signed}
	return signed, store.Entry{Index: d.index, Term: 1, Kind: store.Command, Data: e.Encode()}
}

// command has a command applied that must be accepted, and gives its id.
func (d *desk) command(by reporter, p risk.Params, items []risk.Item, bodies []risk.Body) risk.Hash {
	d.t.Helper()
	signed, entry := d.signed(by, p, items, bodies)
	applied := d.store.Apply([]store.Entry{entry})[0]
	if applied.Err != nil || applied.Result.Refusal != nil {
		d.t.Fatalf("command %d: %v, %v", d.index, applied.Err, applied.Result.Refusal)
	}
	for _, o := range applied.Result.Outcomes {
		if o.Status == risk.Refused {
			d.t.Fatalf("command %d: an item is refused: %s", d.index, o.Refusal)
		}
	}
	return signed.ID()
}

// lists has an institution report phones, at a level; it gives the first listing's id.
func (d *desk) lists(by reporter, level risk.Level, phones ...string) risk.ListingID {
	d.t.Helper()
	var items []risk.Item
	var bodies []risk.Body
	for _, phone := range phones {
		asked, err := d.keys.Load().ring.Ask(nil, risk.KindPhone, phone, d.keys.Load().scopes)
		if err != nil {
			d.t.Fatal(err)
		}
		content := risk.ListingBody{Token: asked[0].Token, Epoch: 1, Part: risk.PartSuspect, Action: risk.Deny, Purposes: risk.AllPurposes, Tier: 2}
		data, err := content.Encode()
		if err != nil {
			d.t.Fatal(err)
		}
		body := risk.NewBody(data)
		items = append(items, risk.Item{Op: risk.ItemPublish, Kind: risk.KindPhone, Code: 12, Level: level, List: risk.ListBlack,
			Expiry: d.at.Add(24 * time.Hour).UnixMilli(), Origin: risk.Origin{Kind: risk.OriginOwn}, Commitment: body.Commit()})
		bodies = append(bodies, body)
	}
	d.command(by, &risk.Listings{}, items, bodies)
	return risk.ListingID{Leaf: d.store.Head().Size - 1}
}

func (d *desk) lifts(by reporter, id risk.ListingID) {
	d.t.Helper()
	body := risk.NewBody(nil)
	d.command(by, &risk.Listings{}, []risk.Item{{Op: risk.ItemLift, Target: id, Reason: risk.LiftError, Commitment: body.Commit()}}, []risk.Body{body})
}

// asks is a check by a program of an institution. Its note waits in the queue.
func (d *desk) asks(institution, transaction, phone string) *apiv1.CheckResponse {
	d.t.Helper()
	return d.asksAbout(institution, transaction, &apiv1.Subject{Kind: "phone", Role: "payee", Value: phone})
}

// asksTokens is the same by a program that makes tokens itself.
func (d *desk) asksTokens(institution, transaction, phone string) *apiv1.CheckResponse {
	d.t.Helper()
	keys := d.keys.Load()
	asked, err := keys.ring.Ask(nil, risk.KindPhone, phone, keys.scopes)
	if err != nil {
		d.t.Fatal(err)
	}
	subject := &apiv1.Subject{Kind: "phone", Role: "payee"}
	for _, a := range asked {
		subject.Tokens = append(subject.Tokens, &apiv1.AskedToken{Epoch: uint32(a.Epoch), Token: a.Token[:]})
	}
	return d.asksAbout(institution, transaction, subject)
}

func (d *desk) asksAbout(institution, transaction string, subject *apiv1.Subject) *apiv1.CheckResponse {
	d.t.Helper()
	answer, err := newCheckService(d.Node).answerMessage(context.Background(), &apiv1.CheckRequest{
		Payment:       &apiv1.Payment{TransactionId: transaction, Amount: 9900, Currency: "CNY"},
		ScopesVersion: d.keys.Load().scopesVersion, Subjects: []*apiv1.Subject{subject}},
		Identity{Institution: institution, Role: RoleHub})
	if err != nil {
		d.t.Fatal(err)
	}
	return answer
}

// settles does by hand what keepJournal and lookBack do: it writes what waits, and
// searches for what has changed.
func (d *desk) settles() {
	d.t.Helper()
	d.writes()
	keys, all, size := d.look.backlog.take()
	if err := d.look.search(context.Background(), keys, all, size, d.newExaminer().examine); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) writes() {
	d.t.Helper()
	var batch []*store.Note
	for len(d.look.queue) > 0 {
		batch = append(batch, <-d.look.queue)
	}
	if err := d.writeNotes(batch, d.newExaminer()); err != nil {
		d.t.Fatal(err)
	}
}

// told collects what a stream of alerts gives.
type told struct {
	grpc.ServerStream
	ctx  context.Context
	list []*apiv1.Alert
	each func()
}

func (s *told) Context() context.Context { return s.ctx }

func (s *told) Send(a *apiv1.Alert) error {
	s.list = append(s.list, a)
	if s.each != nil {
		s.each()
	}
	return nil
}

// alerts are those behind a cursor.
func (d *desk) alerts(after uint64) []*apiv1.Alert {
	d.t.Helper()
	stream := &told{ctx: context.Background()}
	if err := (&alertService{node: d.Node}).WatchAlerts(&apiv1.WatchAlertsRequest{After: after}, stream); err != nil {
		d.t.Fatal(err)
	}
	return stream.list
}

// hears holds the alerts behind a cursor to what they must say: "WHAT TRANSACTION then
// now". It gives the last cursor.
func (d *desk) hears(after uint64, want ...string) uint64 {
	d.t.Helper()
	var got []string
	for _, a := range d.alerts(after) {
		got = append(got, a.What+" "+a.TransactionId+" "+a.AdviceThen+" "+a.AdviceNow)
		if a.Cursor <= after {
			d.t.Errorf("cursor %d comes behind %d", a.Cursor, after)
		}
		after = a.Cursor
	}
	if len(got) != len(want) {
		d.t.Fatalf("alerts %q, want %q", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			d.t.Errorf("alert %d is %q, want %q", i, got[i], want[i])
		}
	}
	return after
}
