package client_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"sync"
	"testing"
	"time"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/risk"
)

// network applies commands by the real law, on a state in memory. It stands for
// all nodes at once.
type network struct {
	mu       sync.Mutex
	records  map[string][]byte
	links    map[risk.ListingKey]risk.ListingID
	bodies   map[risk.ItemID]risk.Body
	leaves   uint64
	sent     [][]byte // what was submitted, in order
	id       risk.Hash
	reporter risk.ID
	key      ed25519.PrivateKey

	// fail, if set, answers before the command is applied; lose after it.
	fail, lose func(attempt int) error
}

func newNetwork(t testing.TB) *network {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	n := &network{records: map[string][]byte{}, links: map[risk.ListingKey]risk.ListingID{},
		bodies: map[risk.ItemID]risk.Body{}, reporter: risk.ID{1}, key: key}
	public := risk.PublicKey{Algorithm: risk.Ed25519, Bytes: [32]byte(key.Public().(ed25519.PublicKey))}
	hubAuthor := &client.Author{Reporter: n.reporter, Keys: []ed25519.PrivateKey{key}, To: n}
	signed, err := hubAuthor.Sign(&risk.Found{Name: "test", Origin: "test.example/log", Protocol: risk.ProtocolVersion,
		Threshold: 1, HubKeys: []risk.PublicKey{public}}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hubAuthor.Send(t.Context(), signed); err != nil {
		t.Fatal(err)
	}
	n.id, n.sent = signed.ID(), nil
	return n
}

func (n *network) author() *client.Author {
	return &client.Author{Network: n.id, Reporter: n.reporter, Keys: []ed25519.PrivateKey{n.key}, To: n}
}

func (n *network) Submit(ctx context.Context, in *apiv1.SubmitRequest) (*apiv1.Receipt, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sent = append(n.sent, in.Signed)
	if n.fail != nil {
		if err := n.fail(len(n.sent)); err != nil {
			return nil, err
		}
	}
	signed, err := risk.DecodeSigned(in.Signed)
	if err != nil {
		return nil, err
	}
	result, err := risk.Step(n, &risk.Entry{At: time.Now().UnixMilli(), Signed: signed}, n.leaves, nil)
	if err != nil {
		return nil, err
	}
	receipt := n.receipt(&result)
	if n.lose != nil {
		if err := n.lose(len(n.sent)); err != nil {
			return nil, err
		}
	}
	return receipt, nil
}

func (n *network) receipt(result *risk.Result) *apiv1.Receipt {
	r := &apiv1.Receipt{Result: risk.Accepted.String(), Leaf: n.leaves, Recorded: result.Leaf, Visible: true}
	outcomes := result.Outcomes
	if result.First != nil {
		r.Repeated, r.Leaf, outcomes = true, result.First.Leaf, result.First.Outcomes
	} else if result.Leaf {
		n.leaves++
	}
	if result.Refusal != nil {
		r.Result, r.Field, r.Text = result.Refusal.Kind.String(), result.Refusal.Field, result.Refusal.Text
	}
	for i, out := range outcomes {
		o := &apiv1.Outcome{Status: out.Status.String(), Listing: out.Target.String()}
		if out.Status == risk.Refused {
			o.Refusal = out.Refusal.String()
		}
		if out.Status == risk.Created {
			o.Listing = risk.ListingID{Leaf: r.Leaf, Item: uint16(i)}.String()
		}
		r.Outcomes = append(r.Outcomes, o)
	}
	return r
}

// Export gives what is in force, as a node does.
func (n *network) Export(_ context.Context, _ bool, each func(*apiv1.Listing) error) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for key, id := range n.links {
		l, err := risk.ReadListing(id, n.records[string(risk.ListingRecordKey(id))])
		if err != nil {
			return err
		}
		if !l.ActiveAt(time.Now().UnixMilli()) {
			continue
		}
		m := &apiv1.Listing{Id: id.String(), Kind: key.Kind.String(), Epoch: 1, Token: key.Token[:], Code: uint32(key.Code),
			List: key.List.String(), Reporter: l.Reporter.String(), Origin: l.Item.Origin.Kind.String(), SourceDateMs: l.Item.SourceDate}
		if !l.Item.Origin.Ref.IsZero() {
			m.OriginRef = l.Item.Origin.Ref.String()
		}
		if err := each(m); err != nil {
			return err
		}
	}
	return nil
}

// standing gives the listings of a kind in force by their tokens.
func (n *network) standing(t *testing.T) map[risk.Token]*apiv1.Listing {
	t.Helper()
	all := map[risk.Token]*apiv1.Listing{}
	err := n.Export(t.Context(), false, func(l *apiv1.Listing) error {
		all[risk.Token(l.Token)] = l
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// listings counts what stands.
func (n *network) listings() int { return len(n.links) }

func (n *network) Record(key []byte) ([]byte, error) { return n.records[string(key)], nil }

func (n *network) Put(c risk.Change) error {
	if string(n.records[string(c.Key)]) != string(c.Old) {
		return errors.New("a change names another old value")
	}
	n.records[string(c.Key)] = c.New
	return nil
}

func (n *network) Due(byte, int64, int) ([][]byte, error) { return nil, nil }

func (n *network) Count(byte) (int, error)                       { return 0, nil }
func (n *network) Takers(risk.ListingID, int) ([]risk.ID, error) { return nil, nil }

func (n *network) Find(key risk.ListingKey) (risk.ListingID, bool, error) {
	id, ok := n.links[key]
	return id, ok, nil
}

func (n *network) Link(key risk.ListingKey, id risk.ListingID) error {
	n.links[key] = id
	return nil
}

func (n *network) Unlink(key risk.ListingKey, _ risk.ListingID) error {
	delete(n.links, key)
	return nil
}

func (n *network) Body(id risk.ItemID) (risk.Body, error) { return n.bodies[id], nil }

func (n *network) KeepBody(id risk.ItemID, b risk.Body) error {
	n.bodies[id] = b
	return nil
}

func (n *network) DropBody(id risk.ItemID) error {
	delete(n.bodies, id)
	return nil
}

// testKeyring makes tokens under one key; the scopes are in use.
func testKeyring(t testing.TB, version uint64, scopes ...*apiv1.Scope) *client.Keyring {
	t.Helper()
	keys, err := client.NewKeyring(keyringResponse(version, scopes...))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func keyringResponse(version uint64, scopes ...*apiv1.Scope) *apiv1.KeyringResponse {
	return &apiv1.KeyringResponse{Keys: []*apiv1.TokenKey{{Epoch: 1, Secret: []byte("0123456789abcdef0123456789abcdef")}},
		Scopes: scopes, ScopesVersion: version}
}
