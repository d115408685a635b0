package consensus

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// maxInFlight is how many proposals may wait for raft at a time. It lies far
	// below TrailingLogs: a leader that was cut off can then never have more
	// entries of its own than the others keep behind their images.
	maxInFlight = 256
	// MaxPayload is the longest payload of one entry, in bytes.
	MaxPayload = 1 << 20
	// maxAppendEntries is how many entries one message carries. With the longest
	// payloads it bounds what a peer can make this server hold in memory.
	maxAppendEntries = 16
)

func errTooLarge(n int) error {
	return fmt.Errorf("payload: is %d bytes; the limit is %d", n, MaxPayload)
}

// stamps gives each proposal its time. Whoever holds the turn stamps and hands
// the payload to raft, so that log order is stamp order.
type stamps struct {
	turn    chan struct{}
	now     func() time.Time
	applied func() int64
	last    int64
	forget  atomic.Bool
}

func newStamps(now func() time.Time, applied func() int64) *stamps {
	return &stamps{turn: make(chan struct{}, 1), now: now, applied: applied}
}

// next is called by the holder of the turn.
func (s *stamps) next() int64 {
	if s.forget.Swap(false) {
		s.last = 0
	}
	s.last = max(s.now().UnixMilli(), s.last, s.applied())
	return s.last
}

// ForgetStamps lets the next stamp be lower than the last one of this server,
// though not than Machine.LastAt: the caller's state has set its clock back.
func (r *Replica) ForgetStamps() { r.stamps.forget.Store(true) }

// Propose asks for one entry and returns when this server has applied it, with
// what its machine answered and the entry's index. Only the leader can do this.
//
// Build gets the stamp (Unix milliseconds, never below an earlier entry's) and
// gives the payload. It is called at most once, and must be quick: proposals are
// built one at a time.
//
// ErrNotLeader, ErrBusy, ErrHeld and ErrStopped mean that nothing was proposed. After
// ErrUnknownOutcome the entry may still come; any other error is the payload's.
func (r *Replica) Propose(ctx context.Context, build func(at int64) []byte) (result any, index uint64, err error) {
	return r.ProposeStored(ctx, build, nil)
}

// ProposeStored is Propose, and calls stored when the entry is on this server's own
// disk, most likely before it is committed. From then on the entry either comes to
// every server or is handed to Config.OnDropped here, also after a crash. Stored
// must not wait.
func (r *Replica) ProposeStored(ctx context.Context, build func(at int64) []byte, stored func()) (result any, index uint64, err error) {
	if _, err := r.reigning(ctx); err != nil {
		return nil, 0, err
	}
	if err := r.cfg.held(); err != nil {
		return nil, 0, err
	}
	select {
	case r.slots <- struct{}{}:
	case <-r.stopping:
		return nil, 0, ErrStopped
	case <-ctx.Done():
		return nil, 0, fmt.Errorf("%w: %w", ErrBusy, context.Cause(ctx))
	}
	if !r.enter() {
		<-r.slots
		return nil, 0, ErrStopped
	}
	future, payload, err := r.submit(ctx, build, stored)
	if err != nil {
		<-r.slots
		r.leave()
		return nil, 0, err
	}
	return r.outcome(ctx, future, payload)
}

// submit stamps a payload and queues it. The answer is raft's to give.
func (r *Replica) submit(ctx context.Context, build func(at int64) []byte, stored func()) (raft.ApplyFuture, []byte, error) {
	select {
	case r.stamps.turn <- struct{}{}:
		defer func() { <-r.stamps.turn }()
	case <-r.stopping:
		return nil, nil, ErrStopped
	case <-ctx.Done():
		return nil, nil, fmt.Errorf("%w: %w", ErrBusy, context.Cause(ctx))
	}
	payload := build(r.stamps.next())
	if len(payload) > MaxPayload {
		return nil, nil, errTooLarge(len(payload))
	}
	r.fate.await(payload, stored)
	patience := r.cfg.Election
	if deadline, ok := ctx.Deadline(); ok {
		patience = max(1, min(patience, time.Until(deadline)))
	}
	return r.raft.Apply(payload, patience), payload, nil
}

// outcome waits for raft, or for the caller to lose patience. The slot is taken
// until raft has answered.
func (r *Replica) outcome(ctx context.Context, future raft.ApplyFuture, payload []byte) (any, uint64, error) {
	done := make(chan error, 1)
	go func() {
		defer r.leave()
		err := future.Error()
		r.fate.forget(payload)
		<-r.slots
		done <- err
	}()
	select {
	case err := <-done:
		if err := proposalError(err); err != nil {
			return nil, 0, err
		}
	case <-ctx.Done():
		return nil, 0, fmt.Errorf("%w: %w", ErrUnknownOutcome, context.Cause(ctx))
	case <-r.quit:
		return nil, 0, errNeverAnswered
	case <-r.delivery.down:
		return nil, 0, fmt.Errorf("%w: %w", ErrUnknownOutcome, *r.delivery.broken.Load())
	}
	if failed, ok := future.Response().(undelivered); ok {
		return nil, future.Index(), fmt.Errorf("%w: %w", ErrUnknownOutcome, failed.err)
	}
	return future.Response(), future.Index(), nil
}
