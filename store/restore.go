package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/dgraph-io/badger/v4"

	"github.com/risknet/risknet/ledger"
	"github.com/risknet/risknet/risk"
)

const stagingDir = "staging"

// Staging receives an image beside the living state.
type Staging struct {
	*os.File
	store *Store
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
	return &Staging{File: f, store: s}, nil
}

// Discard frees what was staged; the state that it has become stays.
func (st *Staging) Discard() error {
	err := st.File.Close()
	if errors.Is(err, os.ErrClosed) {
		err = nil
	}
	return errors.Join(err, os.Remove(st.File.Name()))
}

// Install verifies the staged image, refuses one that is not at index and term,
// and puts it in the place of the state: durably, and at once for everybody.
// After an error the old state stands as it was.
func (st *Staging) Install(index, term uint64) error {
	if _, err := st.Seek(0, io.SeekStart); err != nil {
		return err
	}
	s := st.store
	name, err := s.nextName()
	if err != nil {
		return err
	}
	dir := filepath.Join(s.dir, name)
	m, err := s.build(dir, st.File, index, term)
	if err != nil {
		return errors.Join(fmt.Errorf("install an image: %w", err), os.RemoveAll(dir))
	}
	// If we crash here, the new directory is swept aside at the next start.
	if err := s.setCurrent(name); err != nil {
		return errors.Join(err, m.gen.close(), os.RemoveAll(dir))
	}
	// If we crash here, the next start opens the new state.
	old := s.now.Load().gen
	s.become(m)
	if err := s.opts.OnRestore(); err != nil {
		return s.fail(fmt.Errorf("take over a restored state: %w", err))
	}
	return errors.Join(old.close(), os.RemoveAll(old.dir))
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

// build makes a state of an image in a directory of its own, and verifies it.
func (s *Store) build(dir string, image io.Reader, index, term uint64) (m *meta, err error) {
	r := newImageReader(image)
	head, err := r.head()
	if err != nil {
		return nil, err
	}
	if at := head.meta.position; at.Index != index || at.Term != term {
		return nil, badImage("it is at index %d of term %d, not %d of %d", at.Index, at.Term, index, term)
	}
	if !s.opts.Network.IsZero() && head.network != s.opts.Network && len(head.leaf) > 0 {
		return nil, badImage("it is of network %s, not %s", head.network, s.opts.Network)
	}
	gen, err := openGeneration(dir, s.opts.Logger)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, gen.close())
		}
	}()
	if err := load(gen, r, head); err != nil {
		return nil, err
	}
	if m, err = loadMeta(gen); err != nil {
		return nil, err
	}
	if err := verifyLinks(gen, m); err != nil {
		return nil, err
	}
	if err := s.checkNetwork(m); err != nil {
		return nil, err
	}
	return m, gen.db.Sync()
}

// load writes the parts and what follows from them: due times, the last leaf,
// the hashes of the tree's edge, the position. The lanes are counted anew.
func load(gen *generation, r *imageReader, head *imageHead) error {
	version := head.meta.version()
	batch := gen.db.NewWriteBatchAt(version)
	defer batch.Cancel()
	var lanes Lanes
	e := newElement()
	listings := uint64(0)
	for {
		key, value, err := r.next()
		if err != nil {
			return err
		}
		if key == nil {
			break
		}
		if key[0] == risk.TableListings {
			listings++
		}
		if key[0] != prefixLink && key[0] != prefixBody {
			lanes.add(e, key, value)
			if err := loadDue(batch, key, value); err != nil {
				return err
			}
		}
		if err := batch.Set(key, value); err != nil {
			return err
		}
	}
	if lanes != head.meta.lanes || listings != head.meta.listings {
		return badImage("its records do not give the state that its last leaf commits to")
	}
	if err := loadEdge(batch, head); err != nil {
		return err
	}
	return batch.Flush()
}

func loadDue(batch *badger.WriteBatch, key, value []byte) error {
	due, err := risk.DueOf(key, value)
	if err != nil {
		return badImage("a record: %v", err)
	}
	if due == 0 {
		return nil
	}
	return batch.Set(dueKey(due, key), nil)
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
	return batch.Set([]byte(keyMeta), encoded)
}

// verifyLinks reads the new state as checks will: each link leads to a listing
// that it is about, each listing in the state to the body it committed to.
func verifyLinks(gen *generation, m *meta) error {
	txn := gen.db.NewTransactionAt(m.version(), false)
	defer txn.Discard()
	err := walk(txn, []byte{prefixLink}, true, func(item *badger.Item) error {
		key := risk.ParseListingKey(item.Key()[1:])
		raw, err := item.ValueCopy(nil)
		if err != nil || len(raw) != risk.ItemIDBytes {
			return badImage("a link is not one: %v", err)
		}
		one, err := standing(txn, risk.ReadItemID(raw))
		if err != nil {
			return badImage("%v", err)
		}
		if one.Key() != key {
			return badImage("a link leads to listing %s, which is about something else", one.Listing.ID)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return verifyBodies(txn)
}

func verifyBodies(txn *badger.Txn) error {
	err := walk(txn, []byte{risk.TableListings}, true, func(item *badger.Item) error {
		raw, err := item.ValueCopy(nil)
		if err != nil {
			return err
		}
		l, err := risk.ReadListing(risk.ParseListingRecordKey(item.Key()), raw)
		if err != nil {
			return badImage("a listing: %v", err)
		}
		return verifyBody(txn, l.Rev, l.Item.Commitment)
	})
	if err != nil {
		return err
	}
	return walk(txn, []byte{risk.TableRuleSets}, true, func(item *badger.Item) error {
		raw, err := item.ValueCopy(nil)
		if err != nil {
			return err
		}
		set, err := risk.ReadRuleSet(item.Key(), raw)
		if err != nil {
			return badImage("a rule set: %v", err)
		}
		return verifyBody(txn, risk.ItemID{Leaf: set.Leaf}, set.Commitment)
	})
}

func verifyBody(txn *badger.Txn, id risk.ItemID, commitment risk.Hash) error {
	body, err := readBody(txn, id)
	if err != nil {
		return badImage("body %s: %v", id, err)
	}
	if body.Erased() || body.Commit() != commitment {
		return badImage("body %s is not the one that was committed to", id)
	}
	return nil
}
