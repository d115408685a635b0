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
func Inspect(dir string) (Held, error) {
	_, err := os.Stat(dir)
	fresh := errors.Is(err, fs.ErrNotExist)
	if err == nil {
		fresh, err = isFresh(dir)
	}
	if fresh {
		return Held{}, nil
	}
	if err != nil {
		return Held{}, fmt.Errorf("consensus: inspect the log: %w", err)
	}
	log, err := openLog(filepath.Clean(dir), newBridge(slog.New(slog.DiscardHandler)))
	if err != nil {
		return Held{}, fmt.Errorf("consensus: %w", err)
	}
	held, err := holdings(log)
	return held, errors.Join(err, log.Close())
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
