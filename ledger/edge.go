package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
)

// Edge is the right edge of a tree: the roots of the perfect subtrees that its
// leaves fill, one for each bit set in the size. It is all that is needed to
// append and to know the root.
//
// The zero Edge is the empty tree. An Edge is a plain value of about 1.5 KB: a
// copy is independent, and two are == when their trees are the same.
type Edge struct {
	size uint64
	// roots[l] is the subtree of 2^l leaves if bit l of size is set, else zero.
	roots [maxLevel + 1]Hash
}

// Size is the number of leaves.
func (e *Edge) Size() uint64 { return e.size }

// Root is the root hash of the tree, [EmptyRoot] when it has no leaves.
func (e *Edge) Root() Hash {
	if e.size == 0 {
		return EmptyRoot()
	}
	level := bits.TrailingZeros64(e.size)
	root := e.roots[level]
	for rest := e.size & (e.size - 1); rest != 0; rest &= rest - 1 {
		root = NodeHash(e.roots[bits.TrailingZeros64(rest)], root)
	}
	return root
}

// Append adds a leaf by its hash, and appends to stored the hashes that the leaf
// completes: its own, then each subtree it fills, upwards. They are stored at
// consecutive indexes from [StoredCount] of the size before. There are two on
// average; a caller that passes the same slice again avoids the allocation.
func (e *Edge) Append(stored []Hash, leaf Hash) []Hash {
	stored = append(stored, leaf)
	// Adding a leaf is adding one to a binary number: each bit that carries is a
	// left sibling waiting for this subtree.
	level, h := 0, leaf
	for e.size>>level&1 == 1 {
		h = NodeHash(e.roots[level], h)
		e.roots[level] = Hash{} // keeps == true to its word
		stored = append(stored, h)
		level++
	}
	e.roots[level] = h
	e.size++
	return stored
}

// EdgeAt rebuilds the edge that the tree had at a size, from stored hashes.
func EdgeAt(size uint64, read HashReader) (Edge, error) {
	if size > MaxSize {
		return Edge{}, fmt.Errorf("tree size %d %w", size, errTooLarge)
	}
	levels := levelsOf(size)
	if len(levels) == 0 {
		return Edge{}, nil
	}
	indexes := make([]uint64, len(levels))
	for i, level := range levels {
		// The last subtree of its level: all bits above, less one for itself.
		indexes[i] = StoredIndex(level, size>>level-1)
	}
	hashes := make([]Hash, len(levels))
	if err := read(indexes, hashes); err != nil {
		return Edge{}, fmt.Errorf("read the edge at size %d: %w", size, err)
	}
	edge := Edge{size: size}
	for i, level := range levels {
		edge.roots[level] = hashes[i]
	}
	return edge, nil
}

// levelsOf lists the bits set in size, highest first: the subtrees left to right.
func levelsOf(size uint64) []int {
	levels := make([]int, 0, bits.OnesCount64(size))
	for ; size != 0; size &= size - 1 {
		levels = append(levels, bits.TrailingZeros64(size))
	}
	slices.Reverse(levels)
	return levels
}

// The encoding of an edge: a version byte, the size in 8 bytes big-endian, and
// the subtree roots from left to right, as many as the size has bits set.
const (
	edgeVersion = 1
	edgeHeader  = 1 + 8
)

// MarshalBinary encodes the edge. It never fails.
func (e *Edge) MarshalBinary() ([]byte, error) {
	levels := levelsOf(e.size)
	data := make([]byte, 0, edgeHeader+len(levels)*len(Hash{}))
	data = append(data, edgeVersion)
	data = binary.BigEndian.AppendUint64(data, e.size)
	for _, level := range levels {
		data = append(data, e.roots[level][:]...)
	}
	return data, nil
}

// ParseEdge decodes what [Edge.MarshalBinary] writes and refuses all else. That
// the hashes are the right ones is for the caller to check, by the root.
func ParseEdge(data []byte) (Edge, error) {
	if len(data) < edgeHeader {
		return Edge{}, errors.New("edge is cut short: the version and size take 9 bytes")
	}
	if data[0] != edgeVersion {
		return Edge{}, fmt.Errorf("edge has version %d; this binary reads version %d", data[0], edgeVersion)
	}
	edge := Edge{size: binary.BigEndian.Uint64(data[1:])}
	if edge.size > MaxSize {
		return Edge{}, fmt.Errorf("edge size %d %w", edge.size, errTooLarge)
	}
	levels, rest := levelsOf(edge.size), data[edgeHeader:]
	if want := len(levels) * len(Hash{}); len(rest) != want {
		return Edge{}, fmt.Errorf("edge of %d leaves has %d bytes of hashes, not %d", edge.size, len(rest), want)
	}
	for _, level := range levels {
		edge.roots[level] = Hash(rest)
		rest = rest[len(Hash{}):]
	}
	return edge, nil
}

// Subtree is one perfect subtree of the edge: the N-th of 2^Level leaves.
type Subtree struct {
	Level int
	N     uint64
	Hash  Hash
}

// Subtrees lists what the edge is made of, from left to right. Stored at their
// [StoredIndex], they are enough for [EdgeAt] at this size.
func (e *Edge) Subtrees() []Subtree {
	levels := levelsOf(e.size)
	list := make([]Subtree, len(levels))
	for i, level := range levels {
		list[i] = Subtree{Level: level, N: e.size>>level - 1, Hash: e.roots[level]}
	}
	return list
}
