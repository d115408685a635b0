package consensus

import (
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
)

// The closed list of errors that callers branch on.
var (
	// ErrNotLeader: nothing was proposed; ask Leader who leads and go there.
	ErrNotLeader = errors.New("this server does not lead")
	// ErrBusy: nothing was proposed, because the caller's time ran out in a queue.
	// The same proposal may be tried again.
	ErrBusy = errors.New("too many proposals are under way")
	// ErrUnknownOutcome: the proposal may or may not become an entry. Propose it
	// again only if applying it twice is harmless.
	ErrUnknownOutcome = errors.New("the outcome is unknown")
	// ErrStopped: the replica was told to stop; nothing was proposed.
	ErrStopped = errors.New("this server is stopping")
	// ErrHeld: nothing was proposed, because Config.Hold says so; it wraps why.
	ErrHeld = errors.New("this server takes nothing new")
	// ErrNotEmpty: there is a log or a state already, so nothing was founded.
	ErrNotEmpty = errors.New("this server has a log or a state already")

	// The rest come from Start, Inspect, Recover and Replica.Failed.

	// ErrDisk: the disk under the log or the machine failed or hangs. It may lack
	// what was to be written; nothing more is written by this process.
	ErrDisk = errors.New("the disk failed")
	// ErrDamaged: what the log gave back is not what was written, or less. This
	// server must not go on under its id: put its data aside, and let it join
	// again empty under a new one.
	ErrDamaged = errors.New("the log is damaged")
	// ErrRestart: images come in vain; stop this replica and start it again.
	ErrRestart = errors.New("images from other servers lead nowhere; this server must be restarted")
)

// cureDamage ends the sentence of every ErrDamaged that a person reads.
const cureDamage = "put the data directory aside and rejoin under a new id"

// proposalError translates raft's answer to a proposal. What raft cannot have
// written is told apart from everything else, which is unknown.
func proposalError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return ErrNotLeader
	case errors.Is(err, raft.ErrEnqueueTimeout):
		return ErrBusy
	case errors.Is(err, ErrStopped), errors.Is(err, ErrUnknownOutcome):
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
}
