package client

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/risk"
)

// Submitter hands a signed command to some node, once. [Client] is one.
type Submitter interface {
	Submit(context.Context, *apiv1.SubmitRequest) (*apiv1.Receipt, error)
}

// Author signs commands and sends each until its outcome is known.
type Author struct {
	Network  risk.Hash
	Reporter risk.ID
	// Keys sign each command, all under the same reporting id; the author's own
	// key comes first.
	Keys []ed25519.PrivateKey
	// To is where commands go.
	To Submitter
	// Lifetime is how long a command stays valid. Zero means 15 minutes.
	Lifetime time.Duration
	// Patience is how long a command is sent again while no node says what became
	// of it. Zero means Lifetime.
	Patience time.Duration
	// Retrying, if set, hears why a command is sent again.
	Retrying func(error)
	// Outbox, if set, notes every command.
	Outbox *Outbox
}

const (
	defaultLifetime = 15 * time.Minute
	// submitTimeout bounds one attempt; a node answers sooner, with visible:false.
	submitTimeout = 30 * time.Second
)

// NewAuthor speaks for the client's profile. It asks the node which network this
// is, so that it also shows whether there is a node.
func NewAuthor(ctx context.Context, c *Client) (*Author, error) {
	reporter, keys, err := c.profile.Signers()
	if err != nil {
		return nil, err
	}
	network, err := c.Network(ctx)
	if err != nil {
		return nil, err
	}
	if len(network.NetworkId) != len(risk.Hash{}) {
		return nil, errors.New("network: the node has joined none yet; wait until it has")
	}
	a := &Author{Network: risk.Hash(network.NetworkId), Reporter: reporter, Keys: keys, To: c}
	a.Outbox, err = c.outbox()
	return a, err
}

// Do signs a command and sends it. The error is a [RefusedError] if the network
// refused it; then the receipt is given too.
func (a *Author) Do(ctx context.Context, params risk.Params, items []risk.Item, bodies []risk.Body) (*apiv1.Receipt, error) {
	signed, err := a.Sign(params, items, bodies)
	if err != nil {
		return nil, err
	}
	return a.Send(ctx, signed)
}

// Sign makes the bytes of a command, now.
func (a *Author) Sign(params risk.Params, items []risk.Item, bodies []risk.Body) (*risk.Signed, error) {
	now := time.Now()
	c := &risk.Command{Network: a.Network, Author: a.Reporter, Time: now.UnixMilli(),
		NotAfter: now.Add(a.lifetime()).UnixMilli(), Params: params, Items: items}
	for _, key := range a.Keys {
		public := publicKey(key.Public().(ed25519.PublicKey))
		c.Signers = append(c.Signers, risk.Signer{Reporter: a.Reporter, Key: public.ID(), Algorithm: risk.Ed25519})
	}
	return risk.Sign(c, bodies, a.Keys...)
}

// Send hands over the very same bytes until a node says what became of them or
// they are no longer valid: a command that is seen twice is applied once.
func (a *Author) Send(ctx context.Context, signed *risk.Signed) (*apiv1.Receipt, error) {
	in := &apiv1.SubmitRequest{Signed: signed.Encode()}
	if len(in.Signed) > risk.MaxEntryBytes {
		return nil, fmt.Errorf("command: has %d bytes; at most %d are allowed, so send fewer items", len(in.Signed), risk.MaxEntryBytes)
	}
	if err := a.Outbox.sending(signed); err != nil {
		return nil, err
	}
	began, patience := time.Now(), a.Patience
	if patience == 0 {
		patience = a.lifetime()
	}
	for wait := firstWait; ; wait = nextWait(wait) {
		receipt, err := a.once(ctx, in)
		if noted := a.Outbox.heard(signed, receipt, err); noted != nil {
			return receipt, noted
		}
		switch {
		case err == nil && receipt.Result != risk.Accepted.String():
			return receipt, &RefusedError{Receipt: receipt}
		case err == nil:
			return receipt, nil
		case !retryable(err):
			return nil, err
		case time.Since(began) >= patience:
			return nil, fmt.Errorf("nothing is known of this command after %s: %w; do the same again when more nodes are up, nothing is taken twice", patience, err)
		}
		if a.Retrying != nil {
			a.Retrying(err)
		}
		if !pause(ctx, wait) {
			return nil, ctx.Err()
		}
	}
}

func (a *Author) once(ctx context.Context, in *apiv1.SubmitRequest) (*apiv1.Receipt, error) {
	attempt, cancel := context.WithTimeout(ctx, submitTimeout)
	defer cancel()
	receipt, err := a.To.Submit(attempt, in)
	if err == nil && receipt == nil {
		return nil, status.Error(codes.Internal, "the node gave no receipt")
	}
	return receipt, err
}

func (a *Author) lifetime() time.Duration {
	if a.Lifetime == 0 {
		return defaultLifetime
	}
	return a.Lifetime
}
