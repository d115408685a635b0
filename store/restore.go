package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/dgraph-io/badger/v4"

	"github.com/risknet/risknet/fault"
	"github.com/risknet/risknet/ledger"
	"github.com/risknet/risknet/risk"
)

const stagingDir = "staging"

// Staging receives an image beside the living state.
type Staging struct {
	*os.File
	store *Store
	into  roomy
}

// Stage makes room for an image.
func (s *Store) Stage() (*Staging, error) {
	dir := filepath.Join(s.dir, stagingDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(dir, "image-*")
	if err != nil {
		return nil, err
	}
	return &Staging{File: f, store: s, into: roomy{to: f, room: s.opts.Room}}, nil
}

// Write stops where there is no room.
func (st *Staging) Write(p []byte) (int, error) { return st.into.Write(p) }

// ReadFrom takes the file's own out of io.Copy's sight.
func (st *Staging) ReadFrom(r io.Reader) (int64, error) { return io.Copy(&st.into, r) }

// Discard frees what was staged; the state that it has become stays.
func (st *Staging) Discard() error {
	err := st.File.Close()
	if errors.Is(err, os.ErrClosed) {
		err = nil
	}
	return errors.Join(err, os.Remove(st.File.Name()))
}

// Install verifies the staged image, refuses one that is not at the position wanted or
// whose node records are not accepted, and puts it in the place of the state: durably,
// and at once for everybody. After an error the old state stands as it was.
func (st *Staging) Install(want Position, accept func(nodes []*risk.PutNode) error) error {
	size, err := st.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if _, err := st.Seek(0, io.SeekStart); err != nil {
		return err
	}
	s := st.store
	if err := s.opts.Room(uint64(size)); err != nil { // the new state stands beside the old one
		return err
	}
	name, err := s.nextName()
	if err != nil {
		return err
	}
	dir := filepath.Join(s.dir, name)
	// If we crash here, what was staged is swept aside and sent again.
	fault.Point("store: stage written")
	m, err := s.build(dir, st.File, &want)
	if err == nil {
		if err = m.acceptable(accept); err != nil {
			err = errors.Join(err, m.gen.close())
		}
	}
	if err != nil {
		return errors.Join(fmt.Errorf("install an image: %w", err), os.RemoveAll(dir))
	}
	// If we crash here, the new directory is swept aside at the next start.
	fault.Point("store: restore before CURRENT")
	if err := s.setCurrent(name); err != nil {
		return errors.Join(err, m.gen.close(), os.RemoveAll(dir))
	}
	// If we crash here, the next start opens the new state.
	fault.Point("store: restore after CURRENT")
	old := s.now.Load().gen
	s.become(m)
	if err := s.opts.OnRestore(); err != nil {
		return s.fail(fmt.Errorf("take over a restored state: %w", err))
	}
	s.leaving.Go(func() { s.leave(old) })
	return nil
}

// acceptable asks whether a state has the right nodes.
func (m *meta) acceptable(accept func(nodes []*risk.PutNode) error) error {
	nodes, err := m.nodes()
	if err != nil {
		return err
	}
	return accept(nodes)
}

// leave removes a state that another one has replaced, once nobody reads it any
// more. Nothing waits for that: a reader may take long.
func (s *Store) leave(old *generation) {
	err := old.close()
	// If we crash here, the next start sweeps the old state aside.
	fault.Point("store: restore before the old state is removed")
	if err := errors.Join(err, os.RemoveAll(old.dir)); err != nil {
		s.opts.Logger.Warn("the state before the image is not removed; the next start does it", "dir", old.dir, "error", err)
	}
}

// nextName is state-N with an N that was never used here.
func (s *Store) nextName() (string, error) {
	name := filepath.Base(s.now.Load().gen.dir)
	n, err := strconv.Atoi(strings.TrimPrefix(name, "state-"))
	if err != nil {
		return "", fmt.Errorf("%s: %q is not of the form state-N", currentFile, name)
	}
	name = fmt.Sprintf("state-%d", n+1)
	return name, os.RemoveAll(filepath.Join(s.dir, name))
}

// build makes a state of an image in a directory of its own, verifies it and has
// it on disk. It refuses an image that is not at the position wanted, if any is.
func (s *Store) build(dir string, image io.Reader, want *Position) (m *meta, err error) {
	r := newImageReader(image)
	head, err := r.head()
	if err != nil {
		return nil, err
	}
	if at := head.meta.position; at.Index == 0 || want != nil && (at.Index != want.Index || at.Term != want.Term || !bytes.Equal(at.Configuration, want.Configuration)) {
		return nil, badImage("it is at index %d of term %d, with another position or configuration than was said", at.Index, at.Term)
	}
	if !s.opts.Network.IsZero() && head.network != s.opts.Network && len(head.leaf) > 0 {
		return nil, badImage("it is of network %s, not %s", head.network, s.opts.Network)
	}
	gen, err := openGeneration(dir, s.opts)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, gen.close())
		}
	}()
	defer gen.caught(&err)
	if err := load(gen, r, head); err != nil {
		return nil, err
	}
	if m, err = loadMeta(gen); err != nil {
		return nil, err
	}
	if err := verify(m); err != nil {
		return nil, err
	}
	if err := s.checkNetwork(m); err != nil {
		return nil, err
	}
	// If we crash here, the new directory is swept aside at the next start.
	fault.Point("store: restore built")
	return m, gen.sync(m.position)
}

// loader writes the parts of an image and what follows from them. Lanes and
// numbers are counted anew.
type loader struct {
	batch   *badger.WriteBatch
	element *element
	lanes   Lanes
	counts  [256]uint64 // parts by the first byte of their keys
	dues    dueLoad
}

// load writes the parts, due times, the last leaf, the hashes of the tree's edge
// and the position.
func load(gen *generation, r *imageReader, head *imageHead) error {
	l := loader{batch: gen.db.NewWriteBatchAt(head.meta.version()), element: newElement()}
	defer l.batch.Cancel()
	for {
		key, value, err := r.next()
		if err != nil {
			return err
		}
		if key == nil {
			break
		}
		if err := l.part(key, value); err != nil {
			return err
		}
	}
	if err := errors.Join(l.check(head.meta), l.dues.write(l.batch)); err != nil {
		return err
	}
	if err := loadEdge(l.batch, head); err != nil {
		return err
	}
	return l.batch.Flush()
}

func (l *loader) part(key, value []byte) error {
	l.counts[key[0]]++
	if key[0] != prefixLink && key[0] != prefixBody {
		l.lanes.add(l.element, key, value)
		due, err := risk.DueOf(key, value)
		if err != nil {
			return badImage("a record: %v", err)
		}
		if due != 0 {
			if err := l.dues.set(l.batch, due, key); err != nil {
				return err
			}
		}
	}
	if key[0] == risk.TableListings {
		value = joinListing(value, nil) // its body has come already, under its own key
	}
	return l.batch.Set(key, value)
}

// check compares the parts with what the image says of them. That links and
// bodies are the right ones is for verify.
func (l *loader) check(m *meta) error {
	smalls := uint64(0)
	for _, table := range tables {
		if isSmall(table) {
			smalls += l.counts[table]
		}
	}
	switch n := &l.counts; {
	case l.lanes != m.lanes || n[risk.TableListings] != m.listings || smalls != m.smalls:
		return badImage("its records do not give the state that its last leaf commits to")
	case n[prefixBody] != m.listings+n[risk.TableRuleSets]+n[risk.TableProtections]:
		return badImage("it has %d bodies for %d listings, %d rule sets and %d protections", n[prefixBody], m.listings, n[risk.TableRuleSets], n[risk.TableProtections])
	}
	return nil
}

// loadEdge keeps what this replica has of the ledger: its last leaf, and the
// hashes from which the tree goes on.
func loadEdge(batch *badger.WriteBatch, head *imageHead) error {
	m := *head.meta
	if size := m.edge.Size(); size > 0 {
		m.from = size - 1
		if err := batch.Set(numbered(prefixLeaf, size-1), head.leaf); err != nil {
			return err
		}
		before := head.before
		for _, t := range before.Subtrees() {
			if err := batch.Set(numbered(prefixHash, ledger.StoredIndex(t.Level, t.N)), append([]byte(nil), t.Hash[:]...)); err != nil {
				return err
			}
		}
		at := ledger.StoredCount(size - 1)
		for i, h := range before.Append(nil, ledger.LeafHash(head.leaf)) {
			if err := batch.Set(numbered(prefixHash, uint64(at)+uint64(i)), append([]byte(nil), h[:]...)); err != nil {
				return err
			}
		}
	}
	encoded, err := m.encode()
	if err != nil {
		return err
	}
	return errors.Join(batch.Set([]byte(keyMeta), encoded), batch.Set(numbered(prefixCut, m.version()), nil))
}

// verify reads the new state as checks will. The digest holds neither links nor
// bodies, and a link that is missing would let a listed subject pass.
func verify(m *meta) error {
	txn := m.gen.db.NewTransactionAt(m.version(), false)
	defer txn.Discard()
	if err := errors.Join(verifyListings(m, txn), verifyRuleSets(txn), verifyProtections(txn)); err != nil {
		return fmt.Errorf("%w: %w", ErrImage, err)
	}
	return nil
}

func verifyListings(m *meta, txn *badger.Txn) error {
	scan, err := scanListings(context.Background(), m, txn)
	if err != nil {
		return err
	}
	defer scan.close()
	n := uint64(0)
	err = walk(txn, []byte{risk.TableListings}, func(item *badger.Item) error {
		n++
		return item.Value(func(raw []byte) error {
			return scan.hold(risk.ParseListingRecordKey(item.Key()), item.Version(), raw)
		})
	})
	if err == nil && n != m.listings {
		err = damage("%d of %d listings can be read", n, m.listings)
	}
	if err != nil {
		return err
	}
	return scan.agree()
}

func verifyRuleSets(txn *badger.Txn) error {
	return walk(txn, []byte{risk.TableRuleSets}, func(item *badger.Item) error {
		return item.Value(func(raw []byte) error {
			set, err := risk.ReadRuleSet(item.Key(), raw)
			if err != nil {
				return fmt.Errorf("a rule set: %w", err)
			}
			return verifyBody(txn, risk.ItemID{Leaf: set.Leaf}, set.Commitment)
		})
	})
}

func verifyProtections(txn *badger.Txn) error {
	return walk(txn, []byte{risk.TableProtections}, func(item *badger.Item) error {
		return item.Value(func(raw []byte) error {
			p, err := risk.ReadProtection(item.Key(), raw)
			if err != nil {
				return fmt.Errorf("a protection: %w", err)
			}
			return verifyBody(txn, p.ID, p.Commitment)
		})
	})
}

func verifyBody(txn *badger.Txn, id risk.ItemID, commitment risk.Hash) error {
	body, err := readBody(txn, id)
	if err != nil {
		return fmt.Errorf("body %s: %w", id, err)
	}
	return holdBody(&body, id, commitment)
}

func holdBody(body *risk.Body, id risk.ItemID, commitment risk.Hash) error {
	if body.Erased() || body.Commit() != commitment {
		return fmt.Errorf("body %s is not the one that was committed to", id)
	}
	return nil
}
