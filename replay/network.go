package replay

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/risknet/risknet/check"
	"github.com/risknet/risknet/node"
	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/store"
	"github.com/risknet/risknet/token"
)

// member is one institution: its reporting id, its keys, and the checker of its node.
type member struct {
	reporter risk.ID
	keys     []ed25519.PrivateKey
	checker  *check.Checker
	query    check.Query
	verdict  risk.Verdict
}

// network is one ledger and a node of each member. All nodes would hold the same
// state, so they share one store; each has its own checker.
type network struct {
	dir     string
	store   *store.Store
	ring    *token.Keyring
	hub     member
	members map[uint32]*member // by institution
	id      risk.Hash
	now     int64 // of everybody
	entries uint64
	tokens  map[identifier]risk.Asked

	customers int // room for so many in each institution's dynamics
}

type identifier struct {
	kind   risk.Kind
	number uint32
}

const day = int64(24 * time.Hour / time.Millisecond)

// found begins a network of some institutions, with a rule set in force.
func found(at int64, institutions []uint32, rules []byte, customers int) (n *network, err error) {
	n = &network{now: at, customers: customers, members: map[uint32]*member{}, tokens: map[identifier]risk.Asked{}}
	if n.dir, err = os.MkdirTemp("", "risknet-replay-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close())
		}
	}()
	n.store, err = store.Open(n.dir, store.Options{Logger: slog.New(slog.DiscardHandler), MemTableBytes: 16 << 20,
		OnCut: func(cut store.Cut) {
			batch := n.batchOf(cut)
			for _, m := range n.members {
				m.checker.Absorb(batch)
			}
		}})
	if err != nil {
		return n, err
	}
	secret := sha256.Sum256([]byte("risknet replay"))
	if n.ring, err = token.NewKeyring(token.NewKey(1, secret)); err != nil {
		return n, err
	}
	n.hub = newMember("hub", 0, 2) // what acts on a whole country takes two
	err = n.send(&n.hub, &risk.Found{Name: "replay", Origin: "replay.example/log", Protocol: risk.ProtocolVersion, Threshold: 2,
		HubKeys: n.hub.publics(), EpochKey: risk.CommitEpochKey(secret)}, nil, nil)
	if err != nil {
		return n, err
	}
	joining := map[uint32]*member{}
	for _, i := range institutions {
		m := newMember("member", i, 1)
		if err := n.send(&n.hub, &risk.Admit{Reporter: m.reporter, Role: risk.RoleMember, Keys: m.publics()}, nil, nil); err != nil {
			return n, err
		}
		joining[i] = &m
	}
	return n, n.open(joining, rules)
}

// batchOf is what a node takes over from a cut.
func (n *network) batchOf(cut store.Cut) check.Batch {
	batch := node.BatchOf(cut)
	if cut.ProtectionsChanged {
		list, _, err := n.store.Protections()
		if err != nil {
			panic(err) // a store of our own, a moment old
		}
		batch.Protected = append([]*risk.Protected{}, list...)
	}
	return batch
}

// open starts a checker for each member.
func (n *network) open(joining map[uint32]*member, rules []byte) error {
	for i, m := range joining {
		var alarm error // nothing of a replay may go wrong
		checker, err := check.New(check.Config{Self: m.reporter, Alarm: func(err error) { alarm = err }, MaxAge: 100 * 366 * 24 * time.Hour,
			Dynamics: check.NewDynamics(n.customers), Now: func() time.Time { return time.UnixMilli(n.now) }})
		if err != nil {
			return err
		}
		first := check.Batch{Version: n.store.Version(), Head: n.store.Head(), Time: n.now,
			Rules: []check.RuleSet{{Version: 1, Text: rules}}, Policy: risk.DefaultPolicy()}
		if err := checker.Reset(context.Background(), node.SourceOf(n.store.Reader()), first); err != nil {
			return err
		}
		if alarm != nil {
			return alarm
		}
		checker.SetFresh(time.UnixMilli(n.now))
		m.checker, n.members[i] = checker, m
	}
	return nil
}

func (n *network) close() error {
	var err error
	if n.store != nil {
		err = n.store.Close()
	}
	return errors.Join(err, os.RemoveAll(n.dir))
}

func newMember(name string, number uint32, keys int) member {
	seed := sha256.Sum256(binary.BigEndian.AppendUint32([]byte("risknet replay "+name), number))
	id := sha256.Sum256(seed[:])
	m := member{reporter: risk.ID(id[:16])}
	for range keys {
		seed = sha256.Sum256(seed[:])
		m.keys = append(m.keys, ed25519.NewKeyFromSeed(seed[:]))
	}
	return m
}

func (m *member) publics() []risk.PublicKey {
	var all []risk.PublicKey
	for _, key := range m.keys {
		all = append(all, public(key))
	}
	return all
}

func public(key ed25519.PrivateKey) risk.PublicKey {
	return risk.PublicKey{Algorithm: risk.Ed25519, Bytes: [32]byte(key.Public().(ed25519.PublicKey))}
}

// send signs a command and applies it now.
func (n *network) send(m *member, params risk.Params, items []risk.Item, bodies []risk.Body) error {
	command := &risk.Command{Network: n.id, Author: m.reporter, Time: n.now, NotAfter: n.now + 15*60_000, Params: params, Items: items}
	for _, key := range m.publics() {
		command.Signers = append(command.Signers, risk.Signer{Reporter: m.reporter, Key: key.ID(), Algorithm: risk.Ed25519})
	}
	signed, err := risk.Sign(command, bodies, m.keys...)
	if err != nil {
		return err
	}
	entry := risk.Entry{At: n.now, Proposer: n.hub.reporter, Signed: signed}
	n.entries++
	applied := n.store.Apply([]store.Entry{{Index: n.entries, Term: 1, Kind: store.Command, Data: entry.Encode()}})[0]
	if applied.Err != nil {
		return applied.Err
	}
	if refusal := applied.Result.Refusal; refusal != nil {
		return refusal
	}
	for i, out := range applied.Result.Outcomes {
		if out.Status == risk.Refused {
			return fmt.Errorf("item %d was refused: %s", i, out.Refusal)
		}
	}
	if params.Kind() == risk.KindFound {
		n.id = applied.Result.ID
	}
	return nil
}

// publish reports one listing of a terminal.
func (n *network) publish(m *member, terminal uint32, item risk.Item, body risk.ListingBody) error {
	asked, err := n.token(risk.KindTerminal, terminal)
	if err != nil {
		return err
	}
	item.Op, item.Kind, item.Scope, item.Level, item.List = risk.ItemPublish, risk.KindTerminal, asked.Scope, 2, risk.ListBlack
	if item.Origin.Kind == 0 {
		item.Origin.Kind = risk.OriginOwn
	}
	body.Token, body.Epoch, body.Part, body.Action, body.Purposes = asked.Token, asked.Epoch, risk.PartSuspect, risk.Deny, risk.AllPurposes
	data, err := body.Encode()
	if err != nil {
		return err
	}
	sealed := risk.Body{Data: data}
	binary.BigEndian.PutUint64(sealed.Salt[:], n.entries) // no secret: nobody but us will ever see it
	item.Commitment = sealed.Commit()
	return n.send(m, &risk.Listings{}, []risk.Item{item}, []risk.Body{sealed})
}

// token gives the token of a numbered identifier.
func (n *network) token(kind risk.Kind, number uint32) (risk.Asked, error) {
	id := identifier{kind, number}
	asked, known := n.tokens[id]
	if known {
		return asked, nil
	}
	asked, err := n.ring.List(kind, fmt.Sprintf("replay/%d", number))
	n.tokens[id] = asked
	return asked, err
}

// ask checks a payment at the node of the customer's institution.
func (n *network) ask(m *member, p *Payment) (*risk.Verdict, error) {
	n.now = max(n.now, p.At)
	terminal, err := n.token(risk.KindTerminal, p.Terminal)
	if err != nil {
		return nil, err
	}
	customer, err := n.token(risk.KindAccount, p.Customer)
	if err != nil {
		return nil, err
	}
	q := &m.query
	q.Payment = risk.Payment{Time: p.At, Amount: p.Amount, Currency: "EUR", Phase: risk.PhaseIn, Purpose: risk.PurposeScreening}
	if cap(q.Subjects) == 0 {
		q.Subjects = []check.Subject{{Kind: risk.KindTerminal, Role: risk.RolePayee, Asked: make([]risk.Asked, 1)},
			{Kind: risk.KindAccount, Role: risk.RolePayer, Asked: make([]risk.Asked, 1)}}
	}
	q.Subjects[0].Asked[0], q.Subjects[1].Asked[0] = terminal, customer
	return &m.verdict, m.checker.Check(q, &m.verdict)
}
