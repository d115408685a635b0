package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/risk"
)

// query makes one call of the Registry, or of another service that only reads.
func query[Out any](ctx context.Context, c *Client, call func(context.Context, grpc.ClientConnInterface) (Out, error)) (Out, error) {
	var out Out
	err := c.Ask(ctx, func(ctx context.Context, conn grpc.ClientConnInterface) (err error) {
		out, err = call(ctx, conn)
		return err
	})
	return out, err
}

// Listings gives every listing of one identifier itself, in whatever state.
// With a size, the node answers from a state of at least so many leaves.
func (c *Client) Listings(ctx context.Context, kind risk.Kind, raw string, size uint64) ([]*apiv1.Listing, error) {
	keys, err := c.Keyring(ctx)
	if err != nil {
		return nil, err
	}
	tokens, err := keys.exact(kind, raw)
	if err != nil {
		return nil, err
	}
	return c.listings(ctx, &apiv1.ListingsRequest{Kind: kind.String(), Tokens: tokens, MinSize: size})
}

// Around gives the listings of what is around an identifier, as a check asks for it:
// prefixes of an address, parents of a domain, the domain of an e-mail address.
func (c *Client) Around(ctx context.Context, kind risk.Kind, raw string) (list []*apiv1.Listing, err error) {
	keys, err := c.Keyring(ctx)
	if err != nil {
		return nil, err
	}
	asked, err := keys.around(kind, raw)
	if err != nil {
		return nil, err
	}
	for _, a := range asked {
		in := &apiv1.ListingsRequest{Kind: a.Kind.String(), Tokens: []*apiv1.AskedListing{{Epoch: uint32(a.Epoch), Token: a.Token[:]}}}
		more, err := c.listings(ctx, in)
		if err != nil {
			return nil, err
		}
		list = append(list, more...)
	}
	return list, nil
}

func (c *Client) listings(ctx context.Context, in *apiv1.ListingsRequest) ([]*apiv1.Listing, error) {
	out, err := query(ctx, c, func(ctx context.Context, conn grpc.ClientConnInterface) (*apiv1.ListingsResponse, error) {
		return apiv1.NewRegistryClient(conn).Listings(ctx, in)
	})
	return out.GetListings(), err
}

// InForce reports whether a listing speaks at a time.
func InForce(l *apiv1.Listing, now time.Time) bool {
	at := now.UnixMilli()
	switch l.State {
	case risk.Active.String(), risk.PendingSecond.String(), risk.Submitted.String(), risk.Disputed.String(),
		risk.ReviewDue.String(), risk.Renewed.String(), risk.Amended.String():
		return l.ExpiresAtMs > at && l.EffectiveMs <= at
	}
	return false
}

// Export gives every listing that the node holds, one after the other.
func (c *Client) Export(ctx context.Context, ended bool, each func(*apiv1.Listing) error) error {
	address, err := c.attempt(ctx, !c.pinned, func(ctx context.Context, conn grpc.ClientConnInterface) error {
		stream, err := apiv1.NewRegistryClient(conn).ExportListings(ctx, &apiv1.ExportListingsRequest{Ended: ended})
		for err == nil {
			var l *apiv1.Listing
			if l, err = stream.Recv(); err == nil {
				err = each(l)
			}
		}
		if isEnd(err) {
			return nil
		}
		return err
	})
	return explain(address, err)
}

// Suspend takes listings out of force, or brings them back. It is for the hub.
func Suspend(ctx context.Context, to Sender, op risk.ItemOp, note string, ids ...risk.ListingID) (*apiv1.Receipt, error) {
	var items []risk.Item
	var bodies []risk.Body
	for _, id := range ids {
		body := risk.NewBody([]byte(note))
		items, bodies = append(items, risk.Item{Op: op, Target: id, Commitment: body.Commit()}), append(bodies, body)
	}
	receipt, err := to.Do(ctx, &risk.Listings{}, items, bodies)
	return receipt, errors.Join(err, refusedOf(receipt, ids))
}

// refusedOf is the first refusal among the outcomes about some listings.
func refusedOf(receipt *apiv1.Receipt, ids []risk.ItemID) error {
	for i, out := range receipt.GetOutcomes() {
		if out.Status == risk.Refused.String() {
			return fmt.Errorf("listing %s: %s: %s", ids[min(i, len(ids)-1)], out.Refusal, cureOf(out.Refusal))
		}
	}
	return nil
}

// Lift ends listings by their ids.
func Lift(ctx context.Context, to Sender, reason risk.LiftReason, note string, ids ...risk.ListingID) (*apiv1.Receipt, error) {
	if len(ids) == 0 {
		return nil, errors.New("lift: names no listing; give an id, as list get shows it")
	}
	if note == "" {
		note = reason.String()
	}
	items, bodies := liftItems(reason, note, ids)
	receipt, err := to.Do(ctx, &risk.Listings{}, items, bodies)
	return receipt, errors.Join(err, refusedOf(receipt, ids))
}

func liftItems(reason risk.LiftReason, note string, ids []risk.ListingID) (items []risk.Item, bodies []risk.Body) {
	for _, id := range ids {
		body := risk.NewBody([]byte(note))
		items = append(items, risk.Item{Op: risk.ItemLift, Target: id, Reason: reason, Commitment: body.Commit()})
		bodies = append(bodies, body)
	}
	return items, bodies
}

// Institutions lists who is in the network, by reporting id.
func (c *Client) Institutions(ctx context.Context) ([]*apiv1.Institution, error) {
	out, err := query(ctx, c, func(ctx context.Context, conn grpc.ClientConnInterface) (*apiv1.InstitutionsResponse, error) {
		return apiv1.NewRegistryClient(conn).Institutions(ctx, &apiv1.InstitutionsRequest{})
	})
	return out.GetInstitutions(), err
}

// Status has a row for each configured node, also one that is down.
func (c *Client) Status(ctx context.Context) ([]*apiv1.StatusRow, error) {
	out, err := query(ctx, c, func(ctx context.Context, conn grpc.ClientConnInterface) (*apiv1.StatusResponse, error) {
		return apiv1.NewClusterClient(conn).Status(ctx, &apiv1.StatusRequest{})
	})
	return out.GetRows(), err
}

// Exception is an institution's own answer about one identifier, for a while.
type Exception struct {
	Kind    risk.Kind
	Value   string // raw; it stays here
	Advice  risk.Advice
	Until   time.Time
	Comment string
}

func (c *Client) override(ctx context.Context, e Exception) (*apiv1.Override, error) {
	keys, err := c.Keyring(ctx)
	if err != nil {
		return nil, err
	}
	tokens, err := keys.exact(e.Kind, e.Value)
	if err != nil {
		return nil, err
	}
	return &apiv1.Override{Kind: e.Kind.String(), Tokens: tokens, Advice: e.Advice.String(),
		ExpiresAtMs: e.Until.UnixMilli(), Comment: e.Comment}, nil
}

// PutOverride sets an exception on the asked node.
func (c *Client) PutOverride(ctx context.Context, e Exception) ([]*apiv1.Override, error) {
	in, err := c.override(ctx, e)
	if err != nil {
		return nil, err
	}
	out, err := query(ctx, c, func(ctx context.Context, conn grpc.ClientConnInterface) (*apiv1.OverridesResponse, error) {
		return apiv1.NewOverridesClient(conn).PutOverride(ctx, in)
	})
	return out.GetOverrides(), err
}

// RemoveOverride ends an exception before its time.
func (c *Client) RemoveOverride(ctx context.Context, kind risk.Kind, raw string) ([]*apiv1.Override, error) {
	in, err := c.override(ctx, Exception{Kind: kind, Value: raw, Advice: risk.Allow})
	if err != nil {
		return nil, err
	}
	in.ExpiresAtMs = 0
	out, err := query(ctx, c, func(ctx context.Context, conn grpc.ClientConnInterface) (*apiv1.OverridesResponse, error) {
		return apiv1.NewOverridesClient(conn).RemoveOverride(ctx, in)
	})
	return out.GetOverrides(), err
}

// Overrides lists the exceptions that the asked node keeps.
func (c *Client) Overrides(ctx context.Context) ([]*apiv1.Override, error) {
	out, err := query(ctx, c, func(ctx context.Context, conn grpc.ClientConnInterface) (*apiv1.OverridesResponse, error) {
		return apiv1.NewOverridesClient(conn).ListOverrides(ctx, &apiv1.OverridesRequest{})
	})
	return out.GetOverrides(), err
}
