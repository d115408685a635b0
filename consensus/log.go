package consensus

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	walfs "github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/segment"

	"github.com/risknet/risknet/fault"
)

// logStore is what raft keeps on disk beside the machine: the log, the term and
// the vote.
type logStore interface {
	raft.LogStore
	raft.StableStore
	raft.MonotonicLogStore
	Close() error
	// Newest gives the first of the newest entries that together take at least so many
	// bytes, as far as it is known; zero if all of them take less.
	Newest(bytes uint64) (first uint64)
}

// fileLog is the log on disk. It knows how long its full files are.
type fileLog struct {
	*wal.WAL
	meta *metaStore
}

func (l fileLog) Newest(bytes uint64) uint64 { return l.meta.newest(bytes) }

// segmentSize is how long one file of the log grows, in bytes. Tests change it.
var segmentSize = wal.DefaultSegmentSize

// openLog opens the log in a directory, or makes an empty one, and reads all of
// it: what it returns is whole.
func openLog(dir string, logger *bridge) (logStore, error) {
	return openLogUpTo(dir, logger, verifyLog)
}

// openLogUpTo opens a log and reads of it what verify reads. It panics never,
// whatever the files hold.
func openLogUpTo(dir string, logger *bridge, verify func(raft.LogStore) error) (store logStore, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, r)
		}
		if errors.Is(err, ErrDamaged) {
			err = fmt.Errorf("%w; %s", err, cureDamage)
		}
		if err != nil {
			store, err = nil, fmt.Errorf("open the log in %s: %w", dir, err)
		}
	}()
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	log, err := openLocked(dir, logger, verify)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lockedLog{log, lock}, nil
}

func openLocked(dir string, logger *bridge, verify func(raft.LogStore) error) (*markedLog, error) {
	fresh, err := isFresh(dir)
	if err != nil {
		return nil, err
	}
	mark, err := openMark(dir, fresh)
	if err != nil {
		return nil, err
	}
	files := segments{segment.NewFiler(dir, walfs.New())}
	meta := &metaStore{segments: files}
	log, err := wal.Open(dir, wal.WithLogger(logger), wal.WithCodec(codec{}), wal.WithSegmentFiler(files),
		wal.WithMetaStore(meta), wal.WithSegmentSize(segmentSize))
	if err != nil {
		return nil, errors.Join(asDamage(err), mark.file.Close())
	}
	mark.logStore = fileLog{log, meta}
	err = syncSegments(dir)
	if err == nil {
		err = mark.check()
	}
	if err == nil {
		err = verify(log)
	}
	if err != nil {
		return nil, errors.Join(err, mark.Close())
	}
	return mark, nil
}

// syncSegments makes durable what an earlier process wrote and did not sync
// before it died: from now on this server vouches for it.
func syncSegments(dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	for _, name := range names {
		if err != nil {
			break
		}
		err = syncDir(name) // an fsync of a file, in this case
	}
	return err
}

// isFresh reports whether there is no log here yet. A crash in the middle of the
// first opening leaves an empty mark alone.
func isFresh(dir string) (bool, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	if err != nil || len(names) > 0 {
		return false, err
	}
	_, err = os.Stat(filepath.Join(dir, metaName))
	if !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	raw, err := os.ReadFile(filepath.Join(dir, markName))
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	_, last, err := decodeMark(raw)
	return err == nil && last == 0, nil
}

// asDamage takes every refusal to open for damage, unless the system refused.
func asDamage(err error) error {
	var number syscall.Errno
	switch {
	case errors.Is(err, ErrDamaged):
		return err
	case errors.Is(err, fs.ErrNotExist), !errors.As(err, &number):
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return fmt.Errorf("%w: %w", ErrDisk, err)
}

// lockedLog frees its directory when it closes.
type lockedLog struct {
	logStore
	lock io.Closer
}

func (l lockedLog) Close() error { return errors.Join(l.logStore.Close(), l.lock.Close()) }

// reconcileLog makes the log agree with the state before raft sees either. The
// state is the truth, because only what a majority has reaches it; but an image
// that was installed just before a crash leaves a log that it covers or
// contradicts. Nothing can be appended to that: raft would fetch old entries, or the
// image, once more.
func reconcileLog(log raft.LogStore, at Position) error {
	superseded, err := isSuperseded(log, at)
	if err != nil || !superseded {
		return err
	}
	first, last, err := bounds(log)
	if err != nil {
		return err
	}
	if err := log.DeleteRange(first, last); err != nil {
		return fmt.Errorf("drop the log up to %d that the image at %d replaced: %w", last, at.Index, err)
	}
	return nil
}

// isSuperseded reports whether the state covers or contradicts the log.
func isSuperseded(log raft.LogStore, at Position) (bool, error) {
	first, last, err := bounds(log)
	if err != nil || last == 0 {
		return false, err
	}
	if first > at.Index+1 {
		return false, fmt.Errorf("the state ends at entry %d but the log begins at %d: what lies between is lost on this disk; remove the data directory and rejoin under a new id", at.Index, first)
	}
	if at.Index == 0 {
		return false, nil
	}
	if last < at.Index {
		return true, nil
	}
	if first > at.Index {
		return false, nil
	}
	var entry raft.Log
	if err := log.GetLog(at.Index, &entry); err != nil {
		return false, fmt.Errorf("read entry %d of the log: %w", at.Index, err)
	}
	return entry.Term != at.Term, nil
}

func bounds(log raft.LogStore) (first, last uint64, err error) {
	if first, err = log.FirstIndex(); err != nil {
		return 0, 0, fmt.Errorf("first index of the log: %w", err)
	}
	if last, err = log.LastIndex(); err != nil {
		return 0, 0, fmt.Errorf("last index of the log: %w", err)
	}
	return first, last, nil
}

// guardedLog refuses to lose what the state still needs and to rewrite what it
// already holds. Raft truncates at whatever index a leader names.
type guardedLog struct {
	logStore
	d     *delivery
	trail *trail
	fate  *fate
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
	if err := g.logStore.StoreLogs(logs); err != nil {
		return err
	}
	g.fate.onDisk(logs)
	g.trail.grown(g.logStore)
	return nil
}

func (g guardedLog) StoreLog(l *raft.Log) error { return g.StoreLogs([]*raft.Log{l}) }

// DeleteRange lets three things pass: a cut of what is on disk in the machine, as
// far as nothing of it is to stay (see trail); a truncation of what was never delivered;
// and the end of a log that an image replaced.
func (g guardedLog) DeleteRange(from, to uint64) error {
	durable := to <= g.d.synced.Load()
	undelivered := from > g.d.applied.Load()
	if !durable && !undelivered && !g.d.superseded.Load() {
		return fmt.Errorf("delete entries %d to %d of the log: the state is at %d and on disk up to %d",
			from, to, g.d.applied.Load(), g.d.synced.Load())
	}
	if durable && !undelivered && !g.d.superseded.Load() {
		if to = g.trail.limit(g.logStore, to); to < from {
			return nil
		}
	}
	if to <= g.d.applied.Load() {
		return g.logStore.DeleteRange(from, to)
	}
	g.fate.truncated(g.fate.commands(g.logStore, max(from, g.d.applied.Load()+1), to))
	// If we crash here, they are handed over again: whoever takes them takes them once.
	fault.Point("consensus: entries handed over, not deleted")
	return g.logStore.DeleteRange(from, to)
}
