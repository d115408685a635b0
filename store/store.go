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

	"github.com/risknet/risknet/risk"
)

// Options say what a store is for.
type Options struct {
	// Network is the one whose state this is; a directory of another is refused.
	// Zero takes any.
	Network risk.Hash
	Logger  *slog.Logger
	// OnCut hears of each cut after its commit, on the applying goroutine. It may
	// be nil.
	OnCut func(Cut)
	// Lacks reports that no listing of a token was linked at a version, of what OnCut
	// and OnRestore have told: true must be certain, for the law then takes the
	// subject for one that is new. It saves a look at the disk for each. It is asked on
	// any goroutine and may be nil.
	Lacks func(version uint64, k Key) bool
	// OnRestore hears that an image has taken the place of the state, before
	// Install returns and while the old state still answers. It may be nil.
	OnRestore func() error

	// MemTableBytes is how much badger collects in memory before it writes a table;
	// zero is 24 MiB, the most for which the buffer of that table, which doubles, stays
	// at 60. A small node starts and is copied faster with less, and less
	// than MinMemTableBytes is refused: a large command would not fit.
	MemTableBytes int64

	// Room refuses bytes for which there is no room. It is asked before and while
	// an image is written, comes in, or becomes a state. Nil always has room.
	Room func(bytes uint64) error

	alter func(key, record []byte) []byte // tests change a record on its way to disk
}

// Store is one replica's state.
type Store struct {
	dir  string
	opts Options
	now  atomic.Pointer[meta] // what is committed
	err  atomic.Pointer[error]

	replayed atomic.Bool // its leaves were applied again, perhaps without their bodies

	leaving sync.WaitGroup // states that were replaced, until they are removed, and those that come
	ending  chan struct{}  // closed when the store closes
	closing sync.Once

	element *element                  // of the applying goroutine
	links   map[risk.ListingKey]*link // of the cut at work; it keeps its room
	soonest [dueSlots]int64           // a lower bound of the next due time; see dueTables
}

const currentFile = "CURRENT"

// Open opens the state in a directory, or begins an empty one.
func Open(dir string, o Options) (*Store, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s := &Store{dir: dir, opts: o, element: newElement(), ending: make(chan struct{})}
	name, err := s.current()
	if err != nil {
		return nil, err
	}
	if err := s.sweepAside(name); err != nil {
		return nil, err
	}
	gen, err := openGeneration(filepath.Join(dir, name), o)
	if err != nil {
		return nil, err
	}
	m, err := s.load(gen)
	if err != nil {
		return nil, errors.Join(err, gen.close())
	}
	s.become(m)
	return s, nil
}

// load reads what stands in a directory and holds it to what we know of it.
func (s *Store) load(gen *generation) (m *meta, err error) {
	defer gen.caught(&err)
	if m, err = loadMeta(gen); err != nil {
		return nil, err
	}
	if err := checkSynced(m); err != nil {
		return nil, err
	}
	return m, s.checkNetwork(m)
}

// complete gives what is not set its default.
func (o *Options) complete() error {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.OnCut == nil {
		o.OnCut = func(Cut) {}
	}
	if o.Lacks == nil {
		o.Lacks = func(uint64, Key) bool { return false }
	}
	if o.OnRestore == nil {
		o.OnRestore = func() error { return nil }
	}
	if o.Room == nil {
		o.Room = func(uint64) error { return nil }
	}
	if o.MemTableBytes == 0 {
		o.MemTableBytes = 24 << 20
	}
	if o.MemTableBytes < MinMemTableBytes {
		return fmt.Errorf("a table in memory of %d bytes is too small for a large command; give at least %d", o.MemTableBytes, MinMemTableBytes)
	}
	return nil
}

// MinMemTableBytes is the least that takes a command of 512 items with the
// largest bodies that fit into one entry, and a chunk of the ledger.
const MinMemTableBytes = 10 << 20

// current reads which directory holds the state; the first is made now.
func (s *Store) current() (string, error) {
	text, err := os.ReadFile(filepath.Join(s.dir, currentFile))
	if errors.Is(err, os.ErrNotExist) {
		return s.first()
	}
	if err != nil {
		return "", err
	}
	name := strings.TrimSpace(string(text))
	if !strings.HasPrefix(name, "state-") || filepath.Base(name) != name {
		return "", fmt.Errorf("%w: %s in %s names %q; %s", ErrDamaged, currentFile, s.dir, name, cure)
	}
	if _, err := os.Stat(filepath.Join(s.dir, name)); err != nil {
		return "", fmt.Errorf("%w: %s in %s names %s, which is not there; %s", ErrDamaged, currentFile, s.dir, name, cure)
	}
	return name, nil
}

// first begins a state where there is none. Without CURRENT we do not know which
// of several is the state, and the others would be swept aside.
func (s *Store) first() (string, error) {
	const name = "state-1"
	there, err := filepath.Glob(filepath.Join(s.dir, "state-*", "*"))
	if err != nil {
		return "", err
	}
	if len(there) > 0 {
		return "", fmt.Errorf("%w: %s holds a state and no file %s; %s", ErrDamaged, s.dir, currentFile, cure)
	}
	if err := os.MkdirAll(filepath.Join(s.dir, name), 0o700); err != nil {
		return "", err
	}
	// If we crash here, the next start finds an empty directory and goes on.
	return name, s.setCurrent(name)
}

// setCurrent switches, so that a crash leaves the old name or the new one.
func (s *Store) setCurrent(name string) error {
	return replaceFile(filepath.Join(s.dir, currentFile), []byte(name+"\n"))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Sweep removes what a process that has ended has left half done: images, sent and
// received ones, and states that did not become the state. Nobody may have the
// state open.
func Sweep(dir string) error {
	s := &Store{dir: dir}
	if _, err := os.Stat(filepath.Join(dir, currentFile)); err == nil {
		if name, err := s.current(); err == nil {
			return s.sweepAside(name)
		}
	}
	// Which one is the state we do not know; whoever opens it says so.
	return errors.Join(os.RemoveAll(filepath.Join(dir, imagesDir)), os.RemoveAll(filepath.Join(dir, stagingDir)))
}

// sweepAside removes what a restore that did not end has left, and old images.
func (s *Store) sweepAside(keep string) error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if name != keep && (strings.HasPrefix(name, "state-") || name == stagingDir || name == imagesDir) {
			if err := os.RemoveAll(filepath.Join(s.dir, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

func loadMeta(gen *generation) (*meta, error) {
	m := &meta{}
	txn := gen.db.NewTransactionAt(^uint64(0), false)
	defer txn.Discard()
	raw, err := get(txn, []byte(keyMeta))
	if err != nil {
		return nil, err
	}
	if raw != nil {
		if m, err = decodeMeta(raw); err != nil {
			return nil, err
		}
	}
	m.setHead()
	m.gen = gen
	from, err := ledgerFrom(m, txn)
	if err != nil {
		return nil, err
	}
	gen.from.Store(from)
	gen.base = m.version()
	return m, errors.Join(checkCuts(m, txn), m.loadSmall(txn))
}

// loadSmall reads the small tables into memory.
func (m *meta) loadSmall(txn *badger.Txn) error {
	m.small = map[byte]map[string][]byte{}
	n := uint64(0)
	for _, table := range tables {
		if !isSmall(table) {
			continue
		}
		records := map[string][]byte{}
		err := walk(txn, []byte{table}, func(item *badger.Item) error {
			value, err := item.ValueCopy(nil)
			records[string(item.KeyCopy(nil))] = value
			return err
		})
		if err != nil {
			return err
		}
		n += uint64(len(records))
		m.small[table] = records
	}
	if n != m.smalls {
		return fmt.Errorf("%w: %d of %d records of institutions, keys, nodes and rules can be read; %s", ErrDamaged, n, m.smalls, cure)
	}
	return nil
}

func (s *Store) checkNetwork(m *meta) error {
	net, err := risk.LoadNetwork(&reader{meta: m})
	if err != nil {
		return fmt.Errorf("%w: the network's record: %w", ErrDamaged, err)
	}
	if net != nil && !s.opts.Network.IsZero() && net.ID != s.opts.Network {
		return fmt.Errorf("%s holds the state of network %s, not %s; name another data directory, or the right network", s.dir, net.ID, s.opts.Network)
	}
	return nil
}

// become puts a state in the place of what was there.
func (s *Store) become(m *meta) {
	m.gen.versions.begin(m.version())
	s.soonest = [dueSlots]int64{}
	s.now.Store(m)
}

// newest answers a question at the newest version, and asks again if an image
// has taken the place of the state meanwhile.
func (s *Store) newest(answer func(m *meta, txn *badger.Txn) error) error {
	return s.onNewest(func(m *meta) error {
		return m.gen.view(m.version(), func(txn *badger.Txn) error { return answer(m, txn) })
	})
}

// scanNewest is newest for a question that takes long. Once it has begun its
// version stays, so it is never asked twice.
func (s *Store) scanNewest(answer func(m *meta, txn *badger.Txn) error) error {
	return s.onNewest(func(m *meta) error {
		return m.gen.scan(m.version(), func(txn *badger.Txn) error { return answer(m, txn) })
	})
}

func (s *Store) onNewest(ask func(m *meta) error) error {
	for {
		m := s.now.Load()
		if err := ask(m); !errors.Is(err, ErrVersionGone) || s.now.Load() == m {
			return err
		}
	}
}

// Err is why the store applies nothing any more; nil while it does.
func (s *Store) Err() error {
	if err := s.err.Load(); err != nil {
		return *err
	}
	return nil
}

func (s *Store) fail(err error) error {
	s.err.CompareAndSwap(nil, &err)
	return s.Err()
}

// Sync returns when everything applied before is on disk.
func (s *Store) Sync() error {
	return s.onNewest(func(m *meta) error { return m.gen.sync(m.position) })
}

// Close closes the state; nothing may be applied after.
func (s *Store) Close() error {
	s.closing.Do(func() { close(s.ending) })
	m := s.now.Load()
	err := m.gen.closeAt(m.position)
	s.leaving.Wait()
	return err
}

// Position is how far the state has come.
func (s *Store) Position() Position { return s.now.Load().position }

// LastAt is the highest stamp that the state has seen since its clock was last
// set back.
func (s *Store) LastAt() int64 { return s.now.Load().lastAt }

// Version names the newest state to readers.
func (s *Store) Version() uint64 { return s.now.Load().version() }

// Head is the ledger's size and root.
func (s *Store) Head() risk.Head { return s.now.Load().head }

// LedgerFrom is the first leaf that this replica holds. An image brings the last
// one alone; AddChunk brings those before it.
func (s *Store) LedgerFrom() uint64 { return s.now.Load().gen.from.Load() }

// Digest is the state's digest, as the next leaf would hold it if it changed nothing.
func (s *Store) Digest() risk.Hash { return s.now.Load().lanes.digest() }

// Count is the number of listings in the state, ended ones too.
func (s *Store) Count() uint64 { return s.now.Load().listings }
