package consensus

import (
	"fmt"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
)

// logStore is what raft keeps on disk beside the machine: the log, the term and
// the vote.
type logStore interface {
	raft.LogStore
	raft.StableStore
	raft.MonotonicLogStore
	Close() error
}

func openLog(dir string, logger *bridge) (logStore, error) {
	log, err := wal.Open(dir, wal.WithLogger(logger))
	if err != nil {
		return nil, fmt.Errorf("open the log in %s: %w", dir, err)
	}
	return log, nil
}

// reconcileLog makes the log agree with the state before raft sees either. The
// state is the truth, because only what a majority has reaches it; but an image
// that was installed just before a crash leaves a log that it covers or
// contradicts. Nothing can be appended to that: raft would fetch old entries, or the
// image, once more.
func reconcileLog(log raft.LogStore, at Position) error {
	first, err := log.FirstIndex()
	if err != nil {
		return fmt.Errorf("first index of the log: %w", err)
	}
	last, err := log.LastIndex()
	if err != nil {
		return fmt.Errorf("last index of the log: %w", err)
	}
	if last == 0 {
		return nil
	}
	if first > at.Index+1 {
		return fmt.Errorf("the state ends at entry %d but the log begins at %d: what lies between is lost on this disk; remove the data directory and rejoin under a new id", at.Index, first)
	}
	if at.Index == 0 {
		return nil
	}
	stale := last < at.Index
	if !stale && first <= at.Index {
		var entry raft.Log
		if err := log.GetLog(at.Index, &entry); err != nil {
			return fmt.Errorf("read entry %d of the log: %w", at.Index, err)
		}
		stale = entry.Term != at.Term
	}
	if !stale {
		return nil
	}
	if err := log.DeleteRange(first, last); err != nil {
		return fmt.Errorf("drop the log up to %d that the image at %d replaced: %w", last, at.Index, err)
	}
	return nil
}

// guardedLog refuses to lose what the state still needs and to rewrite what it
// already holds. Raft truncates at whatever index a leader names.
type guardedLog struct {
	logStore
	d *delivery
}

// GetLog does not see what was cut. The log on disk still gives entries that were
// cut from its open segment, and a late server would be fed from there, entry by
// entry, instead of with an image.
func (g guardedLog) GetLog(index uint64, l *raft.Log) error {
	first, err := g.FirstIndex()
	if err != nil {
		return err
	}
	if index < first {
		return raft.ErrLogNotFound
	}
	return g.logStore.GetLog(index, l)
}

func (g guardedLog) StoreLogs(logs []*raft.Log) error {
	g.d.superseded.Store(false)
	return g.logStore.StoreLogs(logs)
}

func (g guardedLog) StoreLog(l *raft.Log) error { return g.StoreLogs([]*raft.Log{l}) }

// DeleteRange lets three things pass: a cut of what is on disk in the machine, a
// truncation of what was never delivered, and the end of a log that an image
// replaced.
func (g guardedLog) DeleteRange(from, to uint64) error {
	durable := to <= g.d.synced.Load()
	undelivered := from > g.d.applied.Load()
	if !durable && !undelivered && !g.d.superseded.Load() {
		return fmt.Errorf("delete entries %d to %d of the log: the state is at %d and on disk up to %d",
			from, to, g.d.applied.Load(), g.d.synced.Load())
	}
	return g.logStore.DeleteRange(from, to)
}
