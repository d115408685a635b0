package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/sync/errgroup"

	"github.com/risknet/risknet/fault"
	"github.com/risknet/risknet/risk"
)

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

// receive makes a state of an image in a directory of its own, for openBuilt to verify.
func (s *Store) receive(dir string, image io.Reader) (*imageHead, error) {
	r := newImageReader(image)
	head, err := r.head()
	if err == nil {
		err = head.isAt(nil)
	}
	if err != nil {
		return nil, err
	}
	if !s.opts.Network.IsZero() && head.network != s.opts.Network && len(head.leaf) > 0 {
		return nil, badImage("it is of network %s, not %s", head.network, s.opts.Network)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return head, load(dir, badgerOptions(dir, s.opts.MemTableBytes, s.opts.Logger), r, head)
}

// isAt refuses an image that is not at the position wanted, if any is.
func (h *imageHead) isAt(want *Position) error {
	at := h.meta.position
	if at.Index == 0 || want != nil && (at.Index != want.Index || at.Term != want.Term || !bytes.Equal(at.Configuration, want.Configuration)) {
		return badImage("it is at index %d of term %d, with another position or configuration than was said", at.Index, at.Term)
	}
	return nil
}

// openBuilt opens what receive has made, verifies it and has it on disk.
func (s *Store) openBuilt(dir string) (m *meta, err error) {
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

// verifyListings reads the links, and then the listings in as many parts as there are
// processors.
func verifyListings(m *meta, txn *badger.Txn) error {
	scan, err := scanListings(context.Background(), m, txn)
	if err != nil {
		return err
	}
	defer scan.close()
	parts := make([]listingPart, runtime.GOMAXPROCS(0))
	var group errgroup.Group
	for i := range parts {
		p := &parts[i]
		p.from, p.to = m.head.Size*uint64(i)/uint64(len(parts)), m.head.Size*uint64(i+1)/uint64(len(parts))
		p.scan = *scan
		p.scan.keyed, p.scan.element = &keyed{hasher: scan.keyed.hasher.Clone()}, nil
		group.Go(func() error { return p.hold(m) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	n := uint64(0)
	for i := range parts {
		n += parts[i].count
		scan.led.join(&parts[i].scan.led)
	}
	if n != m.listings {
		return damage("%d of %d listings can be read", n, m.listings)
	}
	return scan.agree()
}

// listingPart are the listings of some leaves.
type listingPart struct {
	from, to uint64 // leaves
	scan     listingScan
	count    uint64
}

func (p *listingPart) hold(m *meta) (err error) {
	defer m.gen.caught(&err)
	txn := m.gen.db.NewTransactionAt(m.version(), false)
	defer txn.Discard()
	first := risk.ListingID{Leaf: p.from}
	p.scan.txn, p.scan.bodies = txn, cursorAt(txn, bodyKey(first))
	defer p.scan.close()
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{risk.TableListings}})
	defer it.Close()
	for it.Seek(risk.ListingRecordKey(first)); it.Valid(); it.Next() {
		item := it.Item()
		id := risk.ParseListingRecordKey(item.Key())
		if id.Leaf >= p.to {
			return nil
		}
		p.count++
		if err := item.Value(func(raw []byte) error { return p.scan.hold(id, item.Version(), raw) }); err != nil {
			return err
		}
	}
	return nil
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
