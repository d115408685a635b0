package audit

import (
	"context"
	"log/slog"
	"sync"

	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/store"
)

var quiet = slog.New(slog.DiscardHandler)

// addBodies fetches what the leaves of a batch have beside them. A body that is not
// the one that was committed to fails the leaf, by the law itself.
func (r *Replica) addBodies(ctx context.Context, first uint64, batch []store.Replayed) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var wait sync.WaitGroup
	slots := make(chan struct{}, ahead)
	for i := range batch {
		if !hasItems(batch[i].Leaf) {
			continue
		}
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			bodies, err := r.log.Bodies(ctx, first+uint64(i))
			if err != nil {
				stop(err)
			}
			batch[i].Bodies = bodies
		})
	}
	wait.Wait()
	for _, one := range batch {
		for i := range one.Bodies {
			if one.Bodies[i].Erased() {
				r.Missing++
			}
		}
	}
	return context.Cause(ctx)
}

// hasItems says no to what is no leaf, too: the law says what is wrong with it.
func hasItems(leaf []byte) bool {
	l, err := risk.DecodeLeaf(leaf)
	if err != nil {
		return false
	}
	command, err := risk.DecodeCommand(l.Header)
	return err == nil && len(command.Items) > 0
}
