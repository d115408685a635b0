package store

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/risknet/risknet/fault"
)

// ErrVersionGone says that a version is not kept any more: take a newer view.
var ErrVersionGone = errors.New("this version of the state is not kept any more")

// generation is one badger directory. A restored image begins another.
type generation struct {
	db  *badger.DB
	dir string

	// use is held for reading while a question is answered, so that the directory
	// is closed under nobody. Who finds that it is about to be closed does not wait
	// for those who still read.
	use    sync.RWMutex
	closed bool
	log    *slog.Logger

	base uint64        // the version that this process began with
	past sync.Mutex    // of who adds a chunk
	from atomic.Uint64 // the first leaf that is held

	mark   sync.Mutex // of who writes the file of what is synced
	synced Position   // what it says

	versions versions

	soundness *soundness
}

// compactors are as few as badger takes. It puts a table together in a buffer that holds
// it twice, as it is and compressed, and a leaf four times; each compactor has up to 13
// of them in the works. Eight are kept as long as there is work, for tables of every
// level in turn, so that each becomes as large as the largest needs it. For the same
// reason tables are as large in the deepest level as in the first.
const compactors = 2

// tableBytes: a table more is a file, a descriptor and a mapping more, and of twice as
// many bytes its buffer would be larger than that of a table in memory. Tests have
// shorter ones.
var tableBytes int64 = 4 << 20

// badgerOptions are set for a state that is behind raft's log: nothing is synced
// one by one, and a block is verified each time it is read. Badger answers
// "not found" for a damaged block, so what must be there and is not is damage.
func badgerOptions(dir string, memTable int64, log *slog.Logger) badger.Options {
	o := badger.DefaultOptions(dir)
	o.TableSizeMultiplier = 1 // there is no function for it
	o.BaseTableSize = tableBytes
	return o.
		WithSyncWrites(false).
		WithDetectConflicts(false).
		WithNumVersionsToKeep(1).
		WithMemTableSize(memTable).
		WithNumCompactors(compactors).
		WithValueThreshold(1 << 20).
		WithValueLogFileSize(16 << 20).
		WithBlockCacheSize(64 << 20).
		WithIndexCacheSize(64 << 20).
		WithChecksumVerificationMode(options.OnBlockRead).
		WithMetricsEnabled(false).
		WithLogger(badgerLog{log.With("room", "store")})
}

// openGeneration opens a directory as far as its files are seen to be sound; sound
// waits for the rest.
func openGeneration(dir string, o Options) (g *generation, err error) {
	g = &generation{dir: dir, log: o.Logger}
	defer g.caught(&err)
	// After SIGKILL an empty file can stop badger (badger#2207), which then makes
	// it longer; so we look before.
	empty := emptyFiles(dir)
	options := badgerOptions(dir, o.MemTableBytes, o.Logger)
	rest, err := prepare(dir, options)
	if err != nil {
		return nil, err
	}
	unread, err := markUnread(dir, len(rest))
	if err != nil {
		return nil, err
	}
	db, err := badger.OpenManaged(options)
	if err != nil && len(empty) > 0 {
		o.Logger.Warn("removed empty files that a crash left", "files", len(empty), "dir", dir)
		for _, file := range empty {
			_ = os.Remove(file) // the second opening tells
		}
		db, err = badger.OpenManaged(options)
	}
	if err != nil {
		return nil, openError(dir, err)
	}
	g.db = db
	g.examine(rest, unread)
	return g, nil
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
func (g *generation) view(version uint64, answer func(txn *badger.Txn) error) (err error) {
	defer g.caught(&err)
	if !g.use.TryRLock() {
		return ErrVersionGone
	}
	defer g.use.RUnlock()
	if g.closed || version < g.versions.oldest.Load() {
		return ErrVersionGone
	}
	txn := g.db.NewTransactionAt(version, false)
	defer txn.Discard()
	err = answer(txn)
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

// sync returns when everything committed before is on disk, with a note of how
// far that is. Badger syncs the table that it writes to, and not those before it
// that are on their way into a file of their own.
func (g *generation) sync(at Position) (err error) {
	if !g.use.TryRLock() {
		return ErrVersionGone
	}
	defer g.use.RUnlock()
	if g.closed {
		return ErrVersionGone
	}
	defer g.caught(&err)
	// If we crash here, raft still has all of it.
	fault.Point("store: before sync")
	if err := errors.Join(syncTables(g.dir), g.db.Sync()); err != nil {
		return err
	}
	// If we crash here, the note is older than what is on disk.
	fault.Point("store: after sync")
	return g.note(at)
}

// close waits for the questions under way. Badger then writes and syncs a table
// of what it has in memory.
func (g *generation) close() (err error) {
	g.soundness.end()
	g.use.Lock()
	defer g.use.Unlock()
	if g.closed {
		return nil
	}
	g.closed = true
	defer g.caught(&err)
	return g.db.Close()
}

// closeAt closes, and notes that the state is on disk.
func (g *generation) closeAt(at Position) error {
	if err := g.close(); err != nil {
		return err
	}
	return g.note(at)
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
// must see every key counts them; see walkLinks. Nothing is fetched ahead: that
// costs a goroutine for each value, and they all stand beside their keys.
func walk(txn *badger.Txn, prefix []byte, visit func(item *badger.Item) error) error {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
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
