package consensus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

// stopPatience is how long Stop waits for a disk that hangs.
const stopPatience = 10 * time.Second

// enter counts a caller that raft owes an answer; leave ends it.
func (r *Replica) enter() bool {
	r.landing.Lock()
	defer r.landing.Unlock()
	if r.stopped {
		return false
	}
	r.flights.Add(1)
	return true
}

func (r *Replica) leave() { r.flights.Done() }

// await runs one question to raft to its end, and the caller for as long as its
// context allows.
func (r *Replica) await(ctx context.Context, ask func() error) error {
	if !r.enter() {
		return ErrStopped
	}
	done := make(chan error, 1)
	go func() {
		defer r.leave()
		done <- ask()
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnknownOutcome, context.Cause(ctx))
	case <-r.quit:
		return errNeverAnswered
	case <-r.delivery.down:
		return fmt.Errorf("%w: %w", ErrUnknownOutcome, *r.delivery.broken.Load())
	}
}

// land waits for raft's answers: an entry commits, or its leader loses its lease.
// A leader whose followers beat but cannot write does neither; its entries get
// their answer from raft's shutdown, unless they wait in a queue before it.
func (r *Replica) land() {
	landed := make(chan struct{})
	go func() {
		r.flights.Wait()
		close(landed)
	}()
	select {
	case <-landed:
	case <-time.After(2 * r.cfg.Election):
	}
}

// errNeverAnswered ends the wait of those whom raft forgot.
var errNeverAnswered = fmt.Errorf("%w: the server stopped", ErrUnknownOutcome)

// Stop hands leadership over if there is somebody to take it, lets what is under
// way end, and closes raft, the listener and the log. It may be called again and
// gives the same answer. The machine is the caller's to close, afterwards.
//
// If the disk hangs, Stop gives up after a while with an ErrDisk. The log is then
// still open and a goroutine waits in it: end the process.
func (r *Replica) Stop() error {
	r.once.Do(func() { r.err = r.stop() })
	return r.err
}

func (r *Replica) stop() error {
	r.landing.Lock()
	r.stopped = true
	r.landing.Unlock()
	close(r.stopping)

	r.bequeath()
	r.land()
	down := r.raft.Shutdown()
	err := r.trans.Close() // first, so that no goroutine of raft waits for a peer
	closed := make(chan error, 1)
	go func() { closed <- errors.Join(down.Error(), r.disk.Close()) }()
	select {
	case late := <-closed:
		err = errors.Join(err, late)
	case <-time.After(stopPatience):
		err = errors.Join(err, fmt.Errorf("%w: it has not returned for %v, and the log is still open; end the process", ErrDisk, stopPatience))
	}
	close(r.quit)
	r.work.Wait()
	return err
}

// bequeath hands leadership over, unless raft is in no state to answer.
func (r *Replica) bequeath() {
	if stalled, _ := r.disk.stalled(); stalled || r.delivery.broken.Load() != nil {
		return
	}
	if r.raft.State() != raft.Leader || len(r.otherVoters()) == 0 {
		return
	}
	done := make(chan error, 1)
	go func() { done <- r.raft.LeadershipTransfer().Error() }()
	var err error
	select {
	case err = <-done:
	case <-time.After(stopPatience):
		err = errNeverAnswered
	}
	if err != nil {
		r.cfg.Logger.Warn("leadership was not handed over", "error", err)
	}
}
