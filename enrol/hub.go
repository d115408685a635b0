package enrol

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/node"
	"github.com/risknet/risknet/risk"
)

// Hub registers nodes under the hub's profile.
type Hub struct {
	Client *client.Client
	Author *client.Author
	// Replace lets a node come in under a name that the network knows: the node
	// that has it leaves. It is for a node that is lost, and for a join that broke
	// off after the record was written.
	//
	// The new node gets a new id even then. Raft counts what a voter acknowledged
	// under its id, and this one comes with an empty disk.
	Replace bool
}

// NewHub speaks for the client's profile.
func NewHub(ctx context.Context, c *client.Client) (*Hub, error) {
	author, err := client.NewAuthor(ctx, c)
	if err != nil {
		return nil, err
	}
	return &Hub{Client: c, Author: author}, nil
}

// Check says, before anybody is invited, whether this name can come in. It gives
// the network's name.
func (h *Hub) Check(ctx context.Context, name string) (string, error) {
	network, err := h.Client.Network(ctx)
	if err != nil {
		return "", err
	}
	if network.Hub != h.Author.Reporter.String() {
		return "", errors.New("profile: is not the hub's; only the hub lets nodes in")
	}
	_, err = h.bearing(network, name)
	return network.Name, err
}

// bearing gives the records that have a name, which may be given once.
func (h *Hub) bearing(network *apiv1.NetworkResponse, name string) ([]*apiv1.Node, error) {
	var found []*apiv1.Node
	for _, n := range network.Nodes {
		if n.Name == name {
			found = append(found, n)
		}
	}
	if len(found) > 0 && !h.Replace {
		return nil, fmt.Errorf("name: the network has a node %s, at %s; use another name, or --replace if that node is lost or its join broke off", name, found[0].Raft)
	}
	return found, nil
}

// Register writes the node's record. What can fail without a trace comes first.
func (h *Hub) Register(ctx context.Context, terms Terms, r Request) (Membership, error) {
	network, err := h.Client.Network(ctx)
	if err != nil {
		return Membership{}, err
	}
	before, err := h.bearing(network, terms.Name)
	if err != nil {
		return Membership{}, err
	}
	if err := free(network, terms, r); err != nil {
		return Membership{}, err
	}
	m := Membership{Network: h.Author.Network, Origin: network.Origin}
	if m.TokenKeys, err = h.tokenKeys(ctx); err != nil {
		return Membership{}, err
	}
	for _, old := range before {
		id, err := risk.ParseID(old.Id)
		if err != nil {
			return Membership{}, err
		}
		// The old record goes first: two records of one address would keep raft
		// from following any. If we crash between the two, the name is free.
		if _, err := h.Author.Do(ctx, &risk.RemoveNode{Node: id}, nil, nil); err != nil {
			return Membership{}, fmt.Errorf("remove the node %s that was: %w", old.Id, err)
		}
	}
	_, _ = rand.Read(m.Node[:]) // never fails since Go 1.24
	_, err = h.Author.Do(ctx, &risk.PutNode{Node: m.Node, Name: terms.Name, Institution: terms.Institution,
		Raft: r.Raft, API: r.API, HTTP: r.HTTP, Suffrage: terms.Suffrage, LogKey: r.LogKey}, nil, nil)
	return m, err
}

// tokenKeys gives the keys of the live epochs, from the hub's own node.
func (h *Hub) tokenKeys(ctx context.Context) ([]node.TokenKey, error) {
	conn, err := h.Client.Conn(h.Client.Profile().Endpoint)
	if err != nil {
		return nil, err
	}
	ring, err := apiv1.NewTokensClient(conn).Keyring(ctx, &apiv1.KeyringRequest{})
	if err != nil {
		return nil, fmt.Errorf("token keys: %w; see that the hub's own node, %s, runs", err, h.Client.Profile().Endpoint)
	}
	var keys []node.TokenKey
	for _, k := range ring.Keys {
		if len(k.Secret) != 32 {
			return nil, fmt.Errorf("token keys: the key of epoch %d has %d bytes and not 32; see token_keys of the hub's node", k.Epoch, len(k.Secret))
		}
		keys = append(keys, node.TokenKey{Epoch: risk.Epoch(k.Epoch), Secret: [32]byte(k.Secret)})
	}
	return keys, nil
}
