package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/table"
	"golang.org/x/sync/errgroup"
)

// Every table of a state is held to its checksums once at each start, and nothing
// is applied before that: what applies a command would believe badger, which takes
// a damaged block for "not there". But to read a large state takes seconds, and a
// check need not wait for all of it. So it is done in two steps.
//
// Before badger opens the tables: what it reads to open one (it panics at that on
// goroutines of its own), the first block, where a merge begins, and whole the tables
// that hold a link, a record of a small table, a position or a mark: whoever is told by
// those that there is nothing could not tell. Behind that: the tables that hold nothing but what lies in bulk.
// There a check knows by the link what it must get, so a block that cannot be read
// is damage and no answer.
//
// A table that badger merges away before it was read is gone for good when the process
// ends, and what replaced it is sound in itself. So as long as tables are unread a file
// says so, and who finds it at a start believes the digest alone.
type soundness struct {
	ctx  context.Context // ends with the generation
	stop context.CancelFunc
	done chan struct{}
	err  error // read when done is closed

	once   sync.Once // of who finds errMerged
	proved error
}

// unreadFile stands in the directory of a state while tables of it are unread.
const unreadFile = "UNREAD"

// markUnread notes that tables will be open that were not read, and tells whether that
// stood there before: an earlier process did not come to read all of them.
func markUnread(dir string, unread int) (before bool, err error) {
	path := filepath.Join(dir, unreadFile)
	if _, err := os.Stat(path); err == nil {
		return true, nil
	}
	if unread == 0 {
		return false, nil
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return false, err
	}
	return false, syncDir(dir)
}

// allRead takes the note away. If we crash here, it costs the next start a verification.
func (g *generation) allRead() { _ = os.Remove(filepath.Join(g.dir, unreadFile)) }

// tableRef is a table that a manifest names.
type tableRef struct {
	id          uint64
	path        string
	compression options.CompressionType
}

var (
	// errMerged: badger has merged a table before it was held.
	errMerged = errors.New("a table was merged into others before its checksums were looked at")
	errEnded  = errors.New("the state was closed before all of it was looked at")
)

// inParallel does something with each table, on as many processors as there are.
func inParallel(tables []tableRef, do func(t *tableFile, ref tableRef) error) error {
	var group errgroup.Group
	next := atomic.Int64{}
	for range min(runtime.GOMAXPROCS(0), 4, len(tables)) {
		group.Go(func() error {
			var t tableFile
			for i := next.Add(1) - 1; i < int64(len(tables)); i = next.Add(1) - 1 {
				if err := do(&t, tables[i]); err != nil {
					next.Store(int64(len(tables)))
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

func refsOf(dir string, manifest badger.Manifest) []tableRef {
	refs := make([]tableRef, 0, len(manifest.Tables))
	for id, one := range manifest.Tables {
		refs = append(refs, tableRef{id, table.NewFilename(id, dir), one.Compression})
	}
	return refs
}

func (r *tableRef) damaged(err error) error {
	return fmt.Errorf("%w: table %s: %w; %s", ErrDamaged, r.path, err, cure)
}

// prepare is the first of the two steps. It gives the tables that remain.
func prepare(dir string, options badger.Options) (rest []tableRef, err error) {
	manifest, err := readManifest(dir, options)
	if errors.Is(err, os.ErrNotExist) {
		return nil, checkNew(dir)
	}
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	err = inParallel(refsOf(dir, manifest), func(t *tableFile, ref tableRef) error {
		later, err := t.ends(ref.path, ref.compression)
		if err == nil && !later {
			err = t.whole(ref.path, ref.compression)
		}
		if err != nil {
			return ref.damaged(err)
		}
		if later {
			mu.Lock()
			rest = append(rest, ref)
			mu.Unlock()
		}
		return nil
	})
	return rest, err
}

// examine begins the second step. Badger may merge a table at any time, damaged as
// it is, and remove it: so all tables are held from now on until they were read,
// and one that is gone already is for the digest to find.
func (g *generation) examine(rest []tableRef, unread bool) {
	s := &soundness{done: make(chan struct{})}
	s.ctx, s.stop = context.WithCancel(context.Background())
	g.soundness = s
	if len(rest) == 0 {
		if unread {
			s.err = errMerged
		}
		close(s.done)
		return
	}
	release := g.hold()
	there := map[uint64]bool{}
	for _, t := range g.db.Tables() {
		there[t.ID] = true
	}
	go func() {
		defer close(s.done)
		defer release()
		s.err = inParallel(rest, func(t *tableFile, ref tableRef) error {
			switch {
			case s.ctx.Err() != nil:
				return errEnded
			case !there[ref.id]:
				return errMerged
			}
			if err := t.whole(ref.path, ref.compression); err != nil {
				return ref.damaged(err)
			}
			return nil
		})
		switch {
		case s.err == nil && unread:
			s.err = errMerged
		case s.err == nil:
			g.allRead()
		}
	}()
}

// hold keeps all tables that there are now on disk, merged or not: an iterator does.
func (g *generation) hold() (release func()) {
	txn := g.db.NewTransactionAt(math.MaxUint64, false)
	held := txn.NewIterator(badger.IteratorOptions{})
	return func() { held.Close(); txn.Discard() }
}

// sound waits until all tables that the process began with were held to their
// checksums, and says what was wrong with them.
func (g *generation) sound(ctx context.Context) error {
	select {
	case <-g.soundness.done:
		return g.soundness.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// end gives up and waits for that.
func (s *soundness) end() {
	if s != nil {
		s.stop()
		<-s.done
	}
}

// Sound waits until every table that was there at the start has been held to its
// checksums. Nothing is applied before. The error is ErrDamaged, or says that the
// context or the store has ended meanwhile.
func (s *Store) Sound(ctx context.Context) error {
	for {
		gen := s.now.Load().gen
		err := gen.sound(ctx)
		if errors.Is(err, errMerged) {
			err = s.prove(gen)
		}
		if !errors.Is(err, errEnded) || s.now.Load().gen == gen {
			return err
		}
	}
}

// prove holds the newest state to its digest, where checksums cannot say that the one
// that the process began with is sound. If an image takes its place meanwhile, there is
// nothing more to prove of it.
func (s *Store) prove(gen *generation) error {
	of := gen.soundness
	of.once.Do(func() {
		_, of.proved = s.VerifyAll(of.ctx)
		switch {
		case of.proved == nil:
			gen.allRead()
		case of.ctx.Err() != nil && !errors.Is(of.proved, ErrDamaged):
			of.proved = errEnded
		}
	})
	return of.proved
}
