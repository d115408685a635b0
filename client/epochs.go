package client

import (
	"cmp"
	"context"
	"slices"
	"time"

	apiv1 "github.com/risknet/risknet/api/v1"
)

// EpochUse says what stands under one token key.
type EpochUse struct {
	Number uint32
	// Live is false for a closed epoch: nobody asks for its tokens any more, so
	// what stands under it is never found.
	Live bool
	// InForce counts the listings in force by the reporting id that made them.
	InForce map[string]uint64
}

// Listings is how many are in force in all.
func (e *EpochUse) Listings() uint64 {
	total := uint64(0)
	for _, n := range e.InForce {
		total += n
	}
	return total
}

// EpochUses walks all listings and gives the epochs that are live or have some,
// oldest first.
func (c *Client) EpochUses(ctx context.Context) ([]*EpochUse, error) {
	network, err := c.Network(ctx)
	if err != nil {
		return nil, err
	}
	uses := map[uint32]*EpochUse{}
	use := func(number uint32) *EpochUse {
		if uses[number] == nil {
			uses[number] = &EpochUse{Number: number, InForce: map[string]uint64{}}
		}
		return uses[number]
	}
	for _, number := range network.Epochs {
		use(number).Live = true
	}
	now := time.Now()
	err = c.Export(ctx, false, func(l *apiv1.Listing) error {
		if InForce(l, now) {
			use(l.Epoch).InForce[l.Reporter]++
		}
		return nil
	})
	var list []*EpochUse
	for _, u := range uses {
		list = append(list, u)
	}
	slices.SortFunc(list, func(a, b *EpochUse) int { return cmp.Compare(a.Number, b.Number) })
	return list, err
}
