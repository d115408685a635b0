package client

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/grpc"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/token"
)

// Keyring makes tokens, and knows which scopes a check has to ask. It does not
// change; a newer one replaces it.
type Keyring struct {
	ring    *token.Keyring
	scopes  token.ScopesInUse
	version uint64
}

// NewKeyring takes over what a node said.
func NewKeyring(in *apiv1.KeyringResponse) (*Keyring, error) {
	k := &Keyring{version: in.ScopesVersion}
	var keys []token.Key
	for _, key := range in.Keys {
		if len(key.Secret) != 32 {
			return nil, fmt.Errorf("keyring: the key of epoch %d has %d bytes and not 32; see the node's token_keys", key.Epoch, len(key.Secret))
		}
		keys = append(keys, token.NewKey(risk.Epoch(key.Epoch), [32]byte(key.Secret)))
	}
	for _, s := range in.Scopes {
		k.scopes.Set(risk.Scope{Family: risk.Family(s.Family), Length: uint8(s.Length)})
	}
	var err error
	k.ring, err = token.NewKeyring(keys...)
	return k, err
}

// Keyring gives the token keys in use. They come from the profile's own node,
// whichever node is asked, and are fetched once.
func (c *Client) Keyring(ctx context.Context) (*Keyring, error) {
	c.mu.Lock()
	keys := c.keys
	c.mu.Unlock()
	if keys != nil {
		return keys, nil
	}
	return c.FreshKeyring(ctx)
}

// home asks the profile's own node and no other: it is the one that is taken at its word.
func (c *Client) home() *Client {
	return &Client{profile: c.profile, tls: c.tls, reach: c.reach, pinned: true, conns: map[string]*grpc.ClientConn{}, nodes: []string{c.profile.Endpoint}}
}

// FreshKeyring fetches the keyring again: a scope came into use, or a key did.
func (c *Client) FreshKeyring(ctx context.Context) (*Keyring, error) {
	own := c.home()
	defer own.Close()
	var in *apiv1.KeyringResponse
	err := own.Ask(ctx, func(ctx context.Context, conn grpc.ClientConnInterface) (err error) {
		in, err = apiv1.NewTokensClient(conn).Keyring(ctx, &apiv1.KeyringRequest{})
		return err
	})
	if err != nil {
		if failed, ok := errors.AsType[*CallError](err); ok {
			failed.Alone = true
		}
		return nil, fmt.Errorf("token key: it comes from your institution's own node alone: %w", err)
	}
	keys, err := NewKeyring(in)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys = keys
	return keys, nil
}

// asked gives the tokens that a check asks for.
func (k *Keyring) asked(s token.Subject, room []risk.Asked) []risk.Asked {
	room = k.ring.AskSubject(room[:0], s, k.scopes)
	if len(room) == 0 { // nothing of this family is listed; ask for itself all the same
		room = append(room, k.ring.ListSubject(s))
	}
	return room
}

// subject turns a normal value into what a check asks.
func (k *Keyring) subject(role string, s token.Subject, room []risk.Asked) (*apiv1.Subject, []risk.Asked) {
	room = k.asked(s, room)
	out := &apiv1.Subject{Kind: s.Kind.String(), Role: role, Tokens: make([]*apiv1.AskedToken, len(room))}
	tokens := make([]apiv1.AskedToken, len(room))
	secret := make([]byte, 0, len(room)*len(risk.Token{}))
	for i := range room {
		a, t := &room[i], &tokens[i]
		secret = append(secret, a.Token[:]...)
		t.Epoch, t.Token = uint32(a.Epoch), secret[len(secret)-len(a.Token):len(secret):len(secret)]
		if a.Kind != s.Kind {
			t.Kind = a.Kind.String()
		}
		if a.Scope != (risk.Scope{}) {
			t.Scope = &apiv1.Scope{Family: uint32(a.Scope.Family), Length: uint32(a.Scope.Length)}
		}
		out.Tokens[i] = t
	}
	return out, room
}

// listed gives the token of one identifier under the newest epoch.
func (k *Keyring) listed(kind risk.Kind, raw string) (risk.Asked, error) {
	s, err := token.Normalise(kind, raw)
	if err != nil {
		return risk.Asked{}, plain(err)
	}
	return k.ring.ListSubject(s), nil
}

// exact gives the tokens of one identifier itself, one for each epoch in use.
func (k *Keyring) exact(kind risk.Kind, raw string) ([]*apiv1.AskedListing, error) {
	s, err := token.Normalise(kind, raw)
	if err != nil {
		return nil, plain(err)
	}
	var tokens []*apiv1.AskedListing
	for _, a := range k.itself(s) {
		tokens = append(tokens, &apiv1.AskedListing{Epoch: uint32(a.Epoch), Token: a.Token[:]})
	}
	return tokens, nil
}

// itself is the identifier without what is around it, under each epoch in use.
func (k *Keyring) itself(s token.Subject) []risk.Asked {
	var scopes token.ScopesInUse
	scopes.Set(s.Scope)
	return slices.DeleteFunc(k.ring.AskSubject(nil, s, scopes), func(a risk.Asked) bool {
		return a.Kind != s.Kind || a.Scope != s.Scope
	})
}

// plain leaves out the kind of a refusal where nothing was sent yet.
func plain(err error) error {
	if refusal, ok := errors.AsType[*risk.Error](err); ok && refusal.Field != "" {
		return fmt.Errorf("%s: %s", refusal.Field, refusal.Text)
	}
	return err
}

// around is what a check of an identifier asks beside the identifier itself.
func (k *Keyring) around(kind risk.Kind, raw string) ([]risk.Asked, error) {
	s, err := token.Normalise(kind, raw)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(k.ring.AskSubject(nil, s, k.scopes), func(a risk.Asked) bool {
		return a.Kind == s.Kind && a.Scope == s.Scope
	}), nil
}
