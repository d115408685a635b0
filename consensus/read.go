package consensus

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

// ReadIndex is the index up to which everything was committed when it was
// called, as a leader knows it that a majority of the voters confirmed after the
// call. A state that covers this index (see Covered) was up to date then.
//
// Only the leader answers, once it is Ready; any other answers ErrNotLeader.
// Callers share confirmations: however many ask, one round of heartbeats is under
// way at a time.
func (r *Replica) ReadIndex(ctx context.Context) (uint64, error) {
	if _, err := r.reigning(ctx); err != nil {
		return 0, err
	}
	index := r.raft.CommitIndex()
	answer := make(chan error, 1)
	select {
	case r.reads <- answer:
	case <-r.stopping:
		return 0, ErrStopped
	case <-ctx.Done():
		return 0, fmt.Errorf("read index: %w", context.Cause(ctx))
	}
	select {
	case err := <-answer:
		if err != nil {
			return 0, err
		}
		return index, nil
	case <-ctx.Done():
		return 0, fmt.Errorf("read index: %w", context.Cause(ctx))
	}
}

// verifyReads answers everybody who came before a round began, with that round:
// who comes later waits for the next, so that no confirmation is older than its
// question.
func (r *Replica) verifyReads() {
	for {
		var waiting []chan error
		select {
		case answer := <-r.reads:
			waiting = append(waiting, answer)
		case <-r.stopping:
			return
		}
		for more := true; more; {
			select {
			case answer := <-r.reads:
				waiting = append(waiting, answer)
			default:
				more = false
			}
		}
		err := r.confirm()
		for _, answer := range waiting {
			answer <- err
		}
	}
}

// confirm makes sure that a majority of voters still follows this leader. Raft's
// VerifyLeader starts the round, but counts servers without a vote, and answers
// to heartbeats that were sent before it; so the voters' own answers are counted.
func (r *Replica) confirm() error {
	start := r.peers.next()
	term := r.raft.CurrentTerm()
	if err := r.raft.VerifyLeader().Error(); err != nil {
		return fmt.Errorf("%w: %w", ErrNotLeader, err)
	}
	patience := time.NewTimer(r.cfg.Heartbeat)
	defer patience.Stop()
	for {
		others := r.otherVoters()
		count, changed := r.peers.agreed(others, term, start)
		if count >= (len(others)+1)/2 { // with our own, more than half of all
			break
		}
		select {
		case <-changed:
		case <-r.stopping:
			return ErrStopped
		case <-patience.C:
			return fmt.Errorf("%w: no majority of the voters answered within %v", ErrNotLeader, r.cfg.Heartbeat)
		}
	}
	if r.raft.State() != raft.Leader || r.raft.CurrentTerm() != term {
		return ErrNotLeader
	}
	return nil
}

// otherVoters are the ids of all voters but this server.
func (r *Replica) otherVoters() []string {
	var ids []string
	for _, s := range r.raft.GetConfiguration().Configuration().Servers {
		if s.Suffrage == raft.Voter && string(s.ID) != r.cfg.ID {
			ids = append(ids, string(s.ID))
		}
	}
	return ids
}

// Covered is the highest index up to which a state at the given index holds
// everything that is committed here. It is above the index where raft's own
// entries follow, which no machine sees: without it an idle follower would seem
// to lag behind ReadIndex for ever.
func (r *Replica) Covered(index uint64) uint64 {
	committed := r.raft.AppliedIndex()
	for next := index + 1; next <= committed; next++ {
		var entry raft.Log
		if err := r.disk.GetLog(next, &entry); err != nil {
			break
		}
		if entry.Type != raft.LogNoop && entry.Type != raft.LogBarrier {
			break
		}
		index = next
	}
	return index
}

// Applied is the index up to which this server's machine holds everything.
func (r *Replica) Applied() uint64 { return r.Covered(r.delivery.applied.Load()) }
