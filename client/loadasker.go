package client

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
)

const (
	// askerCallers share an asker if nothing else is said.
	askerCallers = 256
	// openCallers is for a load with a rate: a check that finds them all busy waits.
	openCallers = 512
)

// callers is how many there are if nothing is said.
func (l Load) callers(usual int) int {
	if l.Rate > 0 {
		return openCallers
	}
	return usual
}

// loadAsker is a load through an asker. Unlike the others it makes tokens and reads the
// answers as it goes, as a payment system does.
func (c *Client) loadAsker(ctx context.Context, l Load) (LoadResult, error) {
	if l.Raw || l.Address != "" {
		return LoadResult{}, errors.New("load: an asker makes tokens itself, and asks the client's nodes; leave out raw and address")
	}
	l.Asker.Streams = cmp.Or(l.Asker.Streams, l.Streams)
	a, err := NewAsker(ctx, c, l.Asker)
	if err != nil {
		return LoadResult{}, err
	}
	defer a.Close()
	dice := rand.New(rand.NewPCG(1, 2))
	pool := make([]Question, loadPool)
	for i := range pool {
		if pool[i], err = l.question(dice); err != nil {
			return LoadResult{}, err
		}
	}
	callers := cmp.Or(l.Callers, l.callers(askerCallers))
	return l.measure(ctx, callers, 1, func(ctx context.Context, i int, p *pace, g *gauge) {
		inner, cancel := draining(ctx)
		defer cancel()
		for ; ; i++ {
			started, ok := p.next(ctx)
			if !ok {
				return
			}
			if _, err := a.Check(inner, &pool[i%len(pool)]); err == nil {
				g.took(started, 1, 0)
			} else {
				g.lost(err, 1)
			}
		}
	})
}
