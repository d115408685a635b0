package consensus

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"
)

// Held is what a log holds.
type Held struct {
	First, Last uint64 // entries; zero if there are none
	LastTerm    uint64 // of the last entry
	Term        uint64 // the highest term that this server knew; zero if none
}

// Inspect reads the whole log of a server that does not run. A directory that
// is empty or absent holds nothing. It writes nothing but what any opening
// writes: what a crash left half done is ended, no entry comes or goes.
//
// Damage is ErrDamaged. A log that was put back from a copy is whole, and merely
// old: only who remembers how far it had come can tell.
func Inspect(dir string) (held Held, err error) {
	err = inspect(dir, verifyLog, func(log logStore) (err error) { held, err = holdings(log); return err })
	return held, err
}

// Glance is Inspect for who is about to start the server: it reads the ends of the
// log, for Start reads all of it.
func Glance(dir string) (held Held, err error) {
	unread := func(raft.LogStore) error { return nil }
	err = inspect(dir, unread, func(log logStore) (err error) { held, err = holdings(log); return asDamageOf(err) })
	return held, err
}

// asDamageOf is asDamage for what may be no error.
func asDamageOf(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("consensus: inspect the log: %w", asDamage(err))
}

// inspect opens a log for a look at it; one that is not there is not read.
func inspect(dir string, verify func(raft.LogStore) error, read func(logStore) error) error {
	_, err := os.Stat(dir)
	fresh := errors.Is(err, fs.ErrNotExist)
	if err == nil {
		fresh, err = isFresh(dir)
	}
	if fresh {
		return nil
	}
	if err != nil {
		return fmt.Errorf("consensus: inspect the log: %w", err)
	}
	log, err := openLogUpTo(filepath.Clean(dir), newBridge(slog.New(slog.DiscardHandler)), verify)
	if err != nil {
		return fmt.Errorf("consensus: %w", err)
	}
	return errors.Join(read(log), log.Close())
}

// Reach is how far a log or a state goes: its last entry.
type Reach struct{ Term, Index uint64 }

// Prospect is what Recover would go on with. Of the servers that are left, the
// one whose Last is highest, by term and then by index, holds all that was
// acknowledged and that any of them still has: by this raft elects. The state
// alone does not tell, for a follower hears of a commit after it has the entry.
type Prospect struct{ Log, State, Last Reach }

// Foresee reads the log of a server that does not run, and whose machine stands
// at a position. Like Inspect it changes nothing.
func Foresee(dir string, at Position) (Prospect, error) {
	state := Reach{Term: at.Term, Index: at.Index}
	p := Prospect{State: state, Last: state}
	err := inspect(dir, verifyLog, func(log logStore) error {
		held, err := holdings(log)
		if err != nil {
			return err
		}
		superseded, err := isSuperseded(log, at)
		if p.Log = (Reach{Term: held.LastTerm, Index: held.Last}); !superseded && p.Log.Index > at.Index {
			p.Last = p.Log
		}
		return err
	})
	return p, err
}

func holdings(log logStore) (held Held, err error) {
	if held.First, err = log.FirstIndex(); err != nil {
		return held, err
	}
	if held.Last, err = log.LastIndex(); err != nil {
		return held, err
	}
	if held.Last == 0 {
		held.First = 0
	} else {
		var entry raft.Log
		if err = log.GetLog(held.Last, &entry); err != nil {
			return held, err
		}
		held.LastTerm = entry.Term
	}
	held.Term, err = storedTerm(log)
	return held, err
}

// Seen is what this server, as a leader, last heard of another server's log.
type Seen struct {
	Term uint64 // in which it heard it
	Last uint64 // entry that the other has agreed to hold
}

// LastSeen remembers earlier terms of this process too.
func (r *Replica) LastSeen(server string) (Seen, bool) {
	c, ok := r.peers.ever(server)
	return Seen{Term: c.term, Last: c.matched}, ok
}
