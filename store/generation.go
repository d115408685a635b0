package store

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// ErrVersionGone says that a version is not kept any more: take a newer view.
var ErrVersionGone = errors.New("this version of the state is not kept any more")

// ErrDamaged says that something which must be there is not: the disk, or what
// wrote to it, has failed. Never answer "not listed" after it.
var ErrDamaged = errors.New("the store is damaged")

// generation is one badger directory. A restored image begins another.
type generation struct {
	db  *badger.DB
	dir string

	// use is held for reading while a question is answered, so that the
	// directory is closed under nobody.
	use    sync.RWMutex
	closed bool

	versions versions
}

// badgerOptions are set for a state that is behind raft's log: nothing is synced
// one by one, and a block is verified each time it is read. Badger answers
// "not found" for a damaged block, so what must be there and is not is damage.
func badgerOptions(dir string, log *slog.Logger) badger.Options {
	return badger.DefaultOptions(dir).
		WithSyncWrites(false).
		WithDetectConflicts(false).
		WithNumVersionsToKeep(1).
		WithMemTableSize(32 << 20).
		WithValueThreshold(1 << 20).
		WithValueLogFileSize(16 << 20).
		WithBlockCacheSize(64 << 20).
		WithIndexCacheSize(64 << 20).
		WithChecksumVerificationMode(options.OnBlockRead).
		WithMetricsEnabled(false).
		WithLogger(badgerLog{log.With("room", "store")})
}

func openGeneration(dir string, log *slog.Logger) (*generation, error) {
	// After SIGKILL an empty file can stop badger (badger#2207), which then makes
	// it longer; so we look before.
	empty := emptyFiles(dir)
	db, err := badger.OpenManaged(badgerOptions(dir, log))
	if err != nil && len(empty) > 0 {
		log.Warn("removed empty files that a crash left", "files", len(empty), "dir", dir)
		for _, file := range empty {
			_ = os.Remove(file) // the second opening tells
		}
		db, err = badger.OpenManaged(badgerOptions(dir, log))
	}
	if err != nil {
		return nil, fmt.Errorf("open the state in %s: %w", dir, err)
	}
	return &generation{db: db, dir: dir}, nil
}

func emptyFiles(dir string) []string {
	var empty []string
	for _, pattern := range []string{"*.mem", "*.vlog"} {
		files, _ := filepath.Glob(filepath.Join(dir, pattern)) // the pattern is well-formed
		for _, file := range files {
			if info, err := os.Stat(file); err == nil && info.Size() == 0 {
				empty = append(empty, file)
			}
		}
	}
	return empty
}

// view answers a question at a version.
func (g *generation) view(version uint64, answer func(txn *badger.Txn) error) error {
	g.use.RLock()
	defer g.use.RUnlock()
	if g.closed || version < g.versions.oldest.Load() {
		return ErrVersionGone
	}
	txn := g.db.NewTransactionAt(version, false)
	defer txn.Discard()
	err := answer(txn)
	if version < g.versions.oldest.Load() {
		return ErrVersionGone // it went while we read
	}
	return err
}

// scan answers a question that takes long: its version stays meanwhile.
func (g *generation) scan(version uint64, answer func(txn *badger.Txn) error) error {
	release, err := g.versions.pin(version)
	if err != nil {
		return err
	}
	defer release()
	return g.view(version, answer)
}

// keep notes a new version and lets badger drop what only older ones need.
func (g *generation) keep(version uint64) {
	if oldest := g.versions.keep(version); oldest > 0 {
		g.db.SetDiscardTs(oldest - 1)
	}
}

// sync returns when everything committed before is on disk.
func (g *generation) sync() error {
	g.use.RLock()
	defer g.use.RUnlock()
	if g.closed {
		return ErrVersionGone
	}
	return g.db.Sync()
}

// close waits for the questions under way.
func (g *generation) close() error {
	g.use.Lock()
	defer g.use.Unlock()
	if g.closed {
		return nil
	}
	g.closed = true
	return g.db.Close()
}

// get reads a value; nil if there is none.
func get(txn *badger.Txn, key []byte) ([]byte, error) {
	item, err := txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return item.ValueCopy(nil)
}

// walk visits all keys under a prefix in order. The item is good until the next.
// Badger's iterators take a damaged block for the end and say nothing, so who
// must see every key counts them; see walkLinks.
func walk(txn *badger.Txn, prefix []byte, values bool, visit func(item *badger.Item) error) error {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix, PrefetchValues: values, PrefetchSize: 100})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		if err := visit(it.Item()); err != nil {
			return err
		}
	}
	return nil
}

// badgerLog passes badger's words on.
type badgerLog struct{ log *slog.Logger }

func (l badgerLog) Errorf(format string, args ...any)   { l.log.Error(sentence(format, args)) }
func (l badgerLog) Warningf(format string, args ...any) { l.log.Warn(sentence(format, args)) }
func (l badgerLog) Infof(format string, args ...any)    { l.log.Debug(sentence(format, args)) }
func (l badgerLog) Debugf(format string, args ...any)   { l.log.Debug(sentence(format, args)) }

func sentence(format string, args []any) string {
	return strings.TrimSpace(fmt.Sprintf(format, args...))
}
