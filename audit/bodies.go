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
	for i := range batch {
		r.Missing += gaps(&batch[i])
	}
	return context.Cause(ctx)
}

// gaps counts the bodies that the leaf has kept and that are gone since. An item that
// changed nothing, or was refused, left none.
func gaps(one *store.Replayed) (missing uint64) {
	leaf, err := risk.DecodeLeaf(one.Leaf)
	if err != nil || leaf.Refusal != risk.Accepted {
		return 0
	}
	for i, body := range one.Bodies {
		kept := i >= len(leaf.Outcomes)
		if !kept {
			status := leaf.Outcomes[i].Status
			kept = status == risk.Created || status == risk.Revised || status == risk.WasRenewed
		}
		if kept && body.Erased() {
			missing++
		}
	}
	return missing
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
