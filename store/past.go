package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"github.com/risknet/risknet/fault"
	"github.com/risknet/risknet/ledger"
)

// ErrNotHeld says that this replica does not hold the leaves asked for: ask
// another, or a smaller size.
var ErrNotHeld = errors.New("these leaves of the ledger are not held here")

// ReadChunk gives the leaves that end before a size of the ledger: to the
// beginning of their tile, or fewer where this replica holds fewer or they are
// large. It may be called from any goroutine.
func (s *Store) ReadChunk(before uint64) (*Chunk, error) {
	var c *Chunk
	err := s.newest(func(m *meta, txn *badger.Txn) (err error) {
		c, err = readChunk(m, txn, before)
		return err
	})
	return c, err
}

func readChunk(m *meta, txn *badger.Txn, before uint64) (*Chunk, error) {
	held := m.gen.from.Load()
	if before <= held || before > m.head.Size {
		return nil, fmt.Errorf("%w: before %d of [%d, %d)", ErrNotHeld, before, held, m.head.Size)
	}
	from, size := before, 0
	var leaves [][]byte // the last first
	for tile := (before - 1) / ledger.TileWidth * ledger.TileWidth; from > max(tile, held); from-- {
		leaf, err := get(txn, numbered(prefixLeaf, from-1))
		if err != nil {
			return nil, err
		}
		if leaf == nil {
			return nil, fmt.Errorf("%w: leaf %d is missing", ErrDamaged, from-1)
		}
		if size += len(leaf); size > chunkBytes {
			break
		}
		leaves = append(leaves, leaf)
	}
	edge, err := ledger.EdgeAt(from, hashesIn(txn))
	if err != nil {
		return nil, err
	}
	c := &Chunk{From: from, Leaves: make([][]byte, len(leaves))}
	for i, leaf := range leaves {
		c.Leaves[len(leaves)-1-i] = leaf
	}
	c.Edge, err = edge.MarshalBinary()
	return c, err
}

// AddChunk verifies a chunk and keeps its leaves: the ledger then begins at
// c.From. A chunk that is wrong changes nothing and is [ErrChunk]; one that does
// not end where the ledger begins here is [ErrNotHeld]. It may be called from any
// goroutine, beside Apply and beside other chunks.
func (s *Store) AddChunk(before uint64, c *Chunk) error {
	if err := s.Sound(context.Background()); err != nil {
		return err
	}
	return s.now.Load().gen.addChunk(before, c)
}

// addChunk writes at the version that this process began with, which is below
// that of every reader. None of its keys was ever written with another value, so
// the order of versions does not matter.
func (g *generation) addChunk(before uint64, c *Chunk) (err error) {
	g.past.Lock()
	defer g.past.Unlock()
	g.use.RLock()
	defer g.use.RUnlock()
	if g.closed {
		return ErrVersionGone
	}
	defer g.caught(&err)
	if from := g.from.Load(); before != from {
		return fmt.Errorf("%w: the ledger begins at %d here, the chunk ends at %d", ErrNotHeld, from, before)
	}
	txn := g.db.NewTransactionAt(g.base, true)
	defer txn.Discard()
	trusted, err := ledger.EdgeAt(before, hashesIn(txn))
	if err != nil {
		return err
	}
	first, hashes, err := c.grow(&trusted)
	if err != nil {
		return err
	}
	if err := putChunk(txn, before, c, &first, hashes); err != nil {
		return err
	}
	// If we crash here, nothing of the chunk is there and it is fetched again.
	fault.Point("store: chunk before commit")
	if err := txn.CommitAt(g.base, nil); err != nil {
		return fmt.Errorf("commit a chunk: %w", err)
	}
	// If we crash here, the chunk is there; if the machine lost what was not
	// synced, it is fetched again, and those behind it too.
	fault.Point("store: chunk after commit")
	g.from.Store(c.From)
	return nil
}

func putChunk(txn *badger.Txn, before uint64, c *Chunk, first *ledger.Edge, hashes []ledger.Hash) error {
	for i, leaf := range c.Leaves {
		if err := txn.Set(numbered(prefixLeaf, c.From+uint64(i)), leaf); err != nil {
			return err
		}
	}
	at := ledger.StoredCount(c.From)
	for i := range hashes {
		if err := txn.Set(numbered(prefixHash, at+uint64(i)), hashes[i][:]); err != nil {
			return err
		}
	}
	for _, t := range first.Subtrees() {
		if err := txn.Set(numbered(prefixHash, ledger.StoredIndex(t.Level, t.N)), append([]byte(nil), t.Hash[:]...)); err != nil {
			return err
		}
	}
	return txn.Set(numbered(prefixChunk, before), numbered(prefixChunk, c.From)[1:])
}

// ledgerFrom follows the chunks from where the image began, each of which names
// the beginning of the next. One that was lost ends the way: those behind it are
// fetched again.
func ledgerFrom(m *meta, txn *badger.Txn) (uint64, error) {
	for from := m.from; ; {
		raw, err := get(txn, numbered(prefixChunk, from))
		if err != nil || raw == nil {
			return from, err
		}
		next, ok := readNumber(raw)
		if !ok || next >= from {
			return 0, fmt.Errorf("%w: the chunk before leaf %d begins at %x", ErrDamaged, from, raw)
		}
		from = next
	}
}
