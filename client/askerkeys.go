package client

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// fetch is a keyring on its way.
type fetch struct {
	old  *Keyring
	done chan struct{}
}

// renewEvery is the least time from one keyring to the next. A node that is ahead of
// the client's own would have it fetched for nothing until that has caught up.
const renewEvery = 50 * time.Millisecond

// renewKeys fetches the keyring if it is still the old one. Many ask for that at a
// time; one goroutine does it.
func (a *Asker) renewKeys(old *Keyring) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed || a.fetching.Load() != nil || a.keys.Load() != old || time.Since(a.fetched) < renewEvery {
		return
	}
	f := &fetch{old: old, done: make(chan struct{})}
	a.fetching.Store(f)
	a.group.Go(func() {
		ctx, cancel := context.WithTimeout(a.ctx, askTimeout)
		defer cancel()
		if keys, err := a.client.FreshKeyring(ctx); err == nil {
			a.keys.Store(keys)
		}
		a.mu.Lock()
		a.fetched = time.Now()
		a.mu.Unlock()
		a.fetching.Store(nil)
		close(f.done)
	})
}

// tellChange wakes the checks that wait for a node.
func (a *Asker) tellChange() {
	next := make(chan struct{})
	close(*a.changed.Swap(&next))
}

func (a *Asker) sinceBegun() time.Duration { return time.Since(a.began) }

// hedgeAfter is how long a check waits for its first node; 0 for no hedge.
func (a *Asker) hedgeAfter() time.Duration {
	switch {
	case !a.cfg.Hedge.On || len(a.nodes) < 2:
		return 0
	case a.cfg.Hedge.After > 0:
		return a.cfg.Hedge.After
	default:
		return a.recent.p95()
	}
}

// firstBack is how long the first lane to come back rests.
func (a *Asker) firstBack() time.Duration {
	now, first := a.sinceBegun(), mostRetry
	for _, node := range a.nodes {
		for _, l := range node.lanes {
			first = min(first, max(0, time.Duration(max(l.back.Load(), l.shed.Load()))-now))
		}
	}
	return first
}

// shedding: some node has asked to be left alone for now.
func (a *Asker) shedding() bool {
	now := a.sinceBegun()
	for _, node := range a.nodes {
		for _, l := range node.lanes {
			if time.Duration(l.shed.Load()) > now {
				return true
			}
		}
	}
	return false
}

var errShedding = status.Error(codes.ResourceExhausted, "asker: the nodes shed load, and want nothing more within this check's time; ask again later, or ask for more nodes")

func (a *Asker) errFull() error {
	return status.Errorf(codes.ResourceExhausted, "asker: queue: %d checks wait for each stream already; ask fewer at a time, or ask for more nodes or a longer queue", a.cfg.Queue)
}
