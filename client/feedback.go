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

// Tell says what the author's institution did on listings. The receipt's outcomes are
// those of the listings, in their order.
func Tell(ctx context.Context, to Sender, action risk.Advice, on ...risk.ListingID) (*apiv1.Receipt, error) {
	p := &risk.Feedback{}
	for _, id := range on {
		p.Acts = append(p.Acts, risk.Act{Target: id, Action: action})
	}
	receipt, err := to.Do(ctx, p, nil, nil)
	return receipt, errors.Join(err, refusedOf(receipt, on))
}

// Lives gives the longest life of the listings of each code, and in days that of all
// other codes.
func (c *Client) Lives(ctx context.Context) (lives []risk.LongestLife, others uint32, err error) {
	out, err := query(ctx, c, func(ctx context.Context, conn grpc.ClientConnInterface) (*apiv1.LivesResponse, error) {
		return apiv1.NewRegistryClient(conn).Lives(ctx, &apiv1.LivesRequest{})
	})
	for _, l := range out.GetLives() {
		lives = append(lives, risk.LongestLife{Code: uint16(l.Code), Days: uint16(l.Days)})
	}
	return lives, out.GetOtherDays(), err
}

// Protections lists the protected subjects, ended ones too.
func (c *Client) Protections(ctx context.Context) ([]*apiv1.Protection, error) {
	out, err := query(ctx, c, func(ctx context.Context, conn grpc.ClientConnInterface) (*apiv1.ProtectionsResponse, error) {
		return apiv1.NewRegistryClient(conn).Protections(ctx, &apiv1.ProtectionsRequest{})
	})
	return out.GetProtections(), err
}

// Protectee is who comes under protection.
type Protectee struct {
	Kind    risk.Kind
	Value   string // raw; it stays here
	Until   time.Time
	Covers  string // what the protection is for, in words
	Comment string // why, and who approved it
}

// Protect brings a subject under protection and gives the protection's id.
func Protect(ctx context.Context, to Sender, keys *Keyring, p Protectee) (id string, receipt *apiv1.Receipt, err error) {
	subject, err := keys.listed(p.Kind, p.Value)
	if err != nil {
		return "", nil, err
	}
	content := risk.ProtectionBody{Token: subject.Token, Epoch: subject.Epoch, Covers: p.Covers, Comment: p.Comment}
	data, err := content.Encode()
	if err != nil {
		return "", nil, plain(err)
	}
	body := risk.NewBody(data)
	item := risk.Item{Op: risk.ItemProtect, Kind: subject.Kind, Scope: subject.Scope, Expiry: p.Until.UnixMilli(), Commitment: body.Commit()}
	if err := risk.CheckProtect(&item, time.Now().UnixMilli()); err != nil {
		return "", nil, plain(err)
	}
	receipt, err = to.Do(ctx, &risk.Protect{}, []risk.Item{item}, []risk.Body{body})
	if err != nil {
		return "", receipt, err
	}
	if out := receipt.Outcomes[0]; out.Status == risk.Refused.String() {
		return "", receipt, errors.New(out.Refusal + ": " + cureOf(out.Refusal))
	}
	return receipt.Outcomes[0].Listing, receipt, nil
}

// Unprotect ends protections before their time.
func Unprotect(ctx context.Context, to Sender, note string, ids ...risk.ItemID) (*apiv1.Receipt, error) {
	var items []risk.Item
	var bodies []risk.Body
	for _, id := range ids {
		body := risk.NewBody([]byte(note))
		items, bodies = append(items, risk.Item{Op: risk.ItemUnprotect, Target: id, Commitment: body.Commit()}), append(bodies, body)
	}
	receipt, err := to.Do(ctx, &risk.Protect{}, items, bodies)
	if err != nil {
		return receipt, err
	}
	for i, out := range receipt.Outcomes {
		if out.Status == risk.Refused.String() {
			return receipt, fmt.Errorf("protection %s: %s; see protect list", ids[i], out.Refusal)
		}
	}
	return receipt, nil
}
