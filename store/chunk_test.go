package store

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"github.com/risknet/risknet/ledger"
)

// fetch brings the older ledger from one replica to another, over the wire.
func fetch(t fataler, to, from *Store) {
	t.Helper()
	for to.LedgerFrom() > from.LedgerFrom() {
		before := to.LedgerFrom()
		c, err := from.ReadChunk(before)
		if err != nil {
			t.Fatalf("read the chunk before %d: %v", before, err)
		}
		if c, err = DecodeChunk(c.Encode()); err != nil {
			t.Fatalf("the chunk before %d: %v", before, err)
		}
		if err := to.AddChunk(before, c); err != nil || to.LedgerFrom() != c.From {
			t.Fatalf("add the chunk [%d, %d): %v; the ledger begins at %d", c.From, before, err, to.LedgerFrom())
		}
	}
}

// sameLedger compares every leaf and every hash of the tree.
func sameLedger(t fataler, got, want *Store) {
	t.Helper()
	size := want.Head().Size
	for i := range size {
		a, err := got.Leaf(i)
		b, err2 := want.Leaf(i)
		if err != nil || err2 != nil || a == nil || !bytes.Equal(a, b) {
			t.Fatalf("leaf %d is %x (%v), want %x (%v)", i, a, err, b, err2)
		}
	}
	indexes := make([]uint64, ledger.StoredCount(size))
	for i := range indexes {
		indexes[i] = uint64(i)
	}
	a, b := make([]ledger.Hash, len(indexes)), make([]ledger.Hash, len(indexes))
	if err := errors.Join(got.Hashes(indexes, a), want.Hashes(indexes, b)); err != nil {
		t.Fatalf("hashes: %v", err)
	}
	for i := range a {
		if a[i] != b[i] {
			t.Fatalf("hash %d is %x, want %x", i, a[i], b[i])
		}
	}
}

// imagedAt makes a replica from another's image.
func imagedAt(t fataler, dir string, source *Store) *Store {
	t.Helper()
	s := open(t, dir, Options{})
	if err := install(s, imageOf(t, source), source.Position()); err != nil {
		t.Fatalf("install: %v", err)
	}
	return s
}

// whole is a state whose every part agrees with the others.
func whole(t fataler, s *Store) Verified {
	t.Helper()
	v, err := s.VerifyAll(ctx)
	if err != nil || v.Head != s.Head() || v.Leaves != s.Head().Size-s.LedgerFrom() {
		t.Fatalf("verified %+v: %v", v, err)
	}
	return v
}

func TestAnImageAndItsChunksGiveTheWholeLedger(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp(base, "")
		if err != nil {
			t.Fatalf("%v", err)
		}
		defer os.RemoveAll(dir)
		w := newWorld()
		w.grow(t, rapid.IntRange(1, 30).Draw(t, "entries"))
		source := open(t, filepath.Join(dir, "source"), Options{})
		defer source.Close()
		k := rapid.IntRange(1, len(w.entries)).Draw(t, "k")
		mustApply(t, source, w.entries[:k])
		imaged := imagedAt(t, filepath.Join(dir, "imaged"), source)
		defer func() { imaged.Close() }()
		if from, size := imaged.LedgerFrom(), source.Head().Size; from != size-1 {
			t.Fatalf("the ledger begins at %d of %d after an image", from, size)
		}
		mustApply(t, source, w.entries[k:])
		if rapid.Bool().Draw(t, "applied first") {
			mustApply(t, imaged, w.entries[k:])
		}
		fetch(t, imaged, source)
		mustApply(t, imaged, w.entries)
		if rapid.Bool().Draw(t, "a restart") {
			mustClose(t, imaged)
			imaged = open(t, filepath.Join(dir, "imaged"), Options{})
		}
		if from := imaged.LedgerFrom(); from != 0 {
			t.Fatalf("the ledger begins at %d after all chunks", from)
		}
		same(t, "after the chunks", imaged, source)
		sameLedger(t, imaged, source)
		whole(t, imaged)
	})
}

// many makes a ledger of more than two tiles, of small leaves.
func many(w *world, leaves int) {
	for range leaves {
		w.publish(w.acq, "", 1)
	}
}

// Whatever the size, a chunk ends its tile or is full, so that whoever fetches
// them comes to the end.
func TestChunksOfALongLedgerGoTileByTile(t *testing.T) {
	w := newWorld()
	many(w, 2*ledger.TileWidth+40)
	source := open(t, t.TempDir(), Options{})
	defer source.Close()
	mustApply(t, source, w.entries)
	dir := t.TempDir()
	s := imagedAt(t, dir, source)
	var starts []uint64
	for s.LedgerFrom() > 0 {
		before := s.LedgerFrom()
		c, err := source.ReadChunk(before)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.AddChunk(before, c); err != nil {
			t.Fatal(err)
		}
		if starts = append(starts, c.From); len(starts) == 2 { // a restart on the way
			mustClose(t, s)
			s = open(t, dir, Options{})
		}
	}
	defer s.Close()
	if len(starts) != 3 || starts[0] != 2*ledger.TileWidth || starts[1] != ledger.TileWidth || starts[2] != 0 {
		t.Errorf("the chunks began at %d", starts)
	}
	sameLedger(t, s, source)
	whole(t, s)
	// What it fetched it can pass on.
	third := imagedAt(t, t.TempDir(), s)
	defer third.Close()
	fetch(t, third, s)
	sameLedger(t, third, source)
}

func TestAChunkOfLargeLeavesIsShorter(t *testing.T) {
	w := newWorld()
	for i := range 30 {
		w.publish(w.acq, "", subjects(512*i, 512)...)
	}
	source := open(t, t.TempDir(), Options{})
	defer source.Close()
	mustApply(t, source, w.entries)
	s := imagedAt(t, t.TempDir(), source)
	defer s.Close()
	c, err := source.ReadChunk(s.LedgerFrom())
	if n := len(c.Encode()); err != nil || c.From == 0 || n > MaxChunkBytes || n < chunkBytes-64<<10 {
		t.Fatalf("a chunk from %d of %d bytes, %v", c.From, n, err)
	}
	fetch(t, s, source)
	sameLedger(t, s, source)
}

func TestChunksThatAreNotHeldAreRefused(t *testing.T) {
	w := newWorld()
	many(w, 10)
	source := open(t, t.TempDir(), Options{})
	defer source.Close()
	mustApply(t, source, w.entries)
	s := imagedAt(t, t.TempDir(), source)
	defer s.Close()
	from := s.LedgerFrom()
	for _, before := range []uint64{0, 1, from, source.Head().Size + 1} {
		if _, err := s.ReadChunk(before); !errors.Is(err, ErrNotHeld) {
			t.Errorf("the chunk before %d: %v", before, err)
		}
	}
	c, err := source.ReadChunk(from - 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.AddChunk(from-1, c); !errors.Is(err, ErrNotHeld) {
		t.Errorf("a chunk that leaves a gap: %v", err)
	}
	if leaf, err := s.Leaf(0); leaf != nil || err != nil {
		t.Errorf("a leaf that is not held: %x, %v", leaf, err)
	}
}

// A chunk comes from a peer. Every byte of it counts, and a wrong one changes
// nothing.
func TestAChangedChunkIsRefusedAndChangesNothing(t *testing.T) {
	w := newWorld()
	many(w, 5)
	source := open(t, t.TempDir(), Options{})
	defer source.Close()
	mustApply(t, source, w.entries)
	s := imagedAt(t, t.TempDir(), source)
	defer s.Close()
	before := s.LedgerFrom()
	good, err := source.ReadChunk(before)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what string, c *Chunk) {
		t.Helper()
		if err := s.AddChunk(before, c); !errors.Is(err, ErrChunk) || s.LedgerFrom() != before {
			t.Fatalf("%s: %v; the ledger begins at %d", what, err, s.LedgerFrom())
		}
	}
	raw := good.Encode()
	for i := range raw {
		changed := bytes.Clone(raw)
		changed[i] ^= 1 << (i % 8)
		c, err := DecodeChunk(changed)
		if err == nil {
			refused("a flipped bit", c)
		} else if !errors.Is(err, ErrChunk) {
			t.Fatalf("byte %d: %v", i, err)
		}
		if _, err := DecodeChunk(raw[:i]); !errors.Is(err, ErrChunk) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
	refused("no leaves", &Chunk{From: before, Edge: good.Edge})
	refused("too few leaves", &Chunk{From: good.From, Edge: good.Edge, Leaves: good.Leaves[1:]})
	refused("leaves in another order", &Chunk{From: good.From, Edge: good.Edge,
		Leaves: append(append([][]byte{}, good.Leaves[1:]...), good.Leaves[0])})
	if leaf, err := s.Leaf(good.From); leaf != nil || err != nil {
		t.Errorf("something of them was kept: %x, %v", leaf, err)
	}
	if err := s.AddChunk(before, good); err != nil {
		t.Fatal(err)
	}
	sameLedger(t, s, source)
}

// The node fetches in the background while entries come in and are read.
func TestChunksComeInBesideApply(t *testing.T) {
	w := newWorld()
	many(w, 300)
	source := open(t, t.TempDir(), Options{})
	defer source.Close()
	half := len(w.entries) / 2
	mustApply(t, source, w.entries[:half])
	s := imagedAt(t, t.TempDir(), source)
	defer s.Close()
	mustApply(t, source, w.entries[half:])
	var group errgroup.Group
	group.Go(func() error {
		for i := half; i < len(w.entries); i++ {
			if err := s.Apply(w.entries[i : i+1])[0].Err; err != nil {
				return err
			}
		}
		return nil
	})
	group.Go(func() error {
		for s.LedgerFrom() > 0 {
			before := s.LedgerFrom()
			c, err := source.ReadChunk(before)
			if err == nil {
				err = s.AddChunk(before, c)
			}
			if err != nil {
				return err
			}
			if _, err := s.VerifyAll(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	same(t, "both at once", s, source)
	sameLedger(t, s, source)
	whole(t, s)
}

func FuzzChunk(f *testing.F) {
	var edge ledger.Edge
	edge.Append(nil, ledger.Hash{1})
	raw, err := edge.MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add((&Chunk{From: 1, Edge: raw, Leaves: [][]byte{{1, 2}, {}}}).Encode())
	f.Add([]byte{chunkVersion})
	trusted := edge
	trusted.Append(nil, ledger.Hash{2})
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := DecodeChunk(raw)
		if err != nil {
			return
		}
		if again := c.Encode(); !bytes.Equal(again, raw) {
			t.Errorf("%x is read and written as %x", raw, again)
		}
		if _, _, err := c.grow(&trusted); err == nil {
			t.Errorf("%x was taken", raw)
		}
	})
}
