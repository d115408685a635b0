package consensus

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// leadership is what this server knows of its own.
type leadership struct {
	mu      sync.Mutex
	reign   *reign
	changes chan struct{}

	known string        // the leader's id, as Leadership gave it last
	moved chan struct{} // closed when another id is known
}

// reign is one period of leading. It is ready once everything of earlier terms
// is applied here.
type reign struct {
	ready chan struct{}
	over  chan struct{}
	term  uint64 // set before ready is closed
}

// retry is how long a new leader waits before it tries its barrier again.
const retry = 50 * time.Millisecond

// watch follows raft's changes of leadership until quit. It runs longer than
// raft, which waits for it.
func (r *Replica) watch(notify <-chan bool) {
	seen := make(chan raft.Observation, 16)
	observer := raft.NewObserver(seen, false, func(o *raft.Observation) bool {
		switch o.Data.(type) {
		case raft.LeaderObservation, raft.RaftState:
			return true
		}
		return false
	})
	r.raft.RegisterObserver(observer)
	r.work.Go(func() {
		defer r.raft.DeregisterObserver(observer)
		for {
			select {
			case gained := <-notify:
				r.endReign()
				if gained {
					r.beginReign()
				}
			case <-seen:
			case <-r.quit:
				r.endReign()
				return
			}
			r.Leadership()
			r.tick()
		}
	})
}

func (r *Replica) tick() {
	select {
	case r.lead.changes <- struct{}{}:
	default: // the last tick has not been read: it stands for this one too
	}
}

func (r *Replica) beginReign() {
	r.ForgetStamps() // of an earlier reign: what is left of it is applied before this one's first
	now := &reign{ready: make(chan struct{}), over: make(chan struct{})}
	r.lead.mu.Lock()
	r.lead.reign = now
	r.lead.mu.Unlock()
	if !r.enter() {
		return
	}
	go func() {
		defer r.leave()
		r.settle(now)
	}()
}

func (r *Replica) endReign() {
	r.lead.mu.Lock()
	defer r.lead.mu.Unlock()
	if r.lead.reign != nil {
		close(r.lead.reign.over)
		r.lead.reign = nil
	}
}

// settle passes one barrier, after which this leader's machine holds everything
// that earlier leaders had acknowledged.
func (r *Replica) settle(now *reign) {
	for {
		term := r.raft.CurrentTerm()
		err := r.raft.Barrier(0).Error()
		if err == nil && r.raft.CurrentTerm() == term && r.delivery.broken.Load() == nil {
			now.term = term
			close(now.ready)
			r.tick()
			return
		}
		select {
		case <-now.over:
			return
		case <-r.stopping:
			return
		case <-time.After(retry):
		}
	}
}

// reigning waits until this leader may propose, and gives its term.
func (r *Replica) reigning(ctx context.Context) (uint64, error) {
	r.lead.mu.Lock()
	now := r.lead.reign
	r.lead.mu.Unlock()
	if now == nil {
		return 0, ErrNotLeader
	}
	select {
	case <-now.ready:
	case <-now.over:
		return 0, ErrNotLeader
	case <-r.stopping:
		return 0, ErrStopped
	case <-ctx.Done():
		return 0, fmt.Errorf("%w: a new leader is catching up: %w", ErrBusy, context.Cause(ctx))
	}
	if stalled, _ := r.disk.stalled(); stalled || r.raft.State() != raft.Leader || r.raft.CurrentTerm() != now.term {
		return 0, ErrNotLeader
	}
	return now.term, nil
}

// Ready reports whether this server leads and holds all of earlier terms.
func (r *Replica) Ready() bool {
	r.lead.mu.Lock()
	now := r.lead.reign
	r.lead.mu.Unlock()
	if now == nil {
		return false
	}
	select {
	case <-now.ready:
		stalled, _ := r.disk.stalled()
		return !stalled && r.raft.State() == raft.Leader && r.raft.CurrentTerm() == now.term
	default:
		return false
	}
}

// Changes ticks after a change of the known leader, of this server's role or of
// Ready. Ticks coalesce: one reader, who then asks Leader, Ready or Stats.
func (r *Replica) Changes() <-chan struct{} { return r.lead.changes }

// Leader is the id and address of the leader that this server knows, or empty.
func (r *Replica) Leader() (id, address string) {
	a, i := r.raft.LeaderWithID()
	return string(i), string(a)
}

// Leadership is the id of the leader that this server knows, or empty, and a
// channel that is closed when that is no longer so.
func (r *Replica) Leadership() (id string, moved <-chan struct{}) {
	r.lead.mu.Lock()
	defer r.lead.mu.Unlock()
	if id, _ = r.Leader(); id != r.lead.known {
		close(r.lead.moved)
		r.lead.known, r.lead.moved = id, make(chan struct{})
	}
	return id, r.lead.moved
}

// TransferLeadership hands leadership to the most advanced other voter and
// returns when this server leads no more.
func (r *Replica) TransferLeadership(ctx context.Context) error {
	if r.raft.State() != raft.Leader {
		return ErrNotLeader
	}
	err := r.await(ctx, func() error { return r.raft.LeadershipTransfer().Error() })
	if err != nil {
		return fmt.Errorf("transfer leadership: %w", err)
	}
	return nil
}

// leadsIn is the term in which this server leads, as raft has it; 0 if it does not.
func (r *Replica) leadsIn() uint64 {
	running := r.trans.replica.Load()
	if running == nil || running.raft.State() != raft.Leader {
		return 0
	}
	return running.raft.CurrentTerm()
}
