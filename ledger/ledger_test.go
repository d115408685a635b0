package ledger

import (
	"crypto/sha256"
	"fmt"
	"testing"
)

// The naive tree: RFC 6962, section 2.1, written as it is written there, with
// nothing shared with the code under test.

const allSizes = 300 // every test of "all sizes" runs from 0 to here

func naiveLeaf(leaf []byte) Hash { return sha256.Sum256(append([]byte{0}, leaf...)) }

func naiveRoot(leaves [][]byte) Hash {
	switch len(leaves) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return naiveLeaf(leaves[0])
	}
	k := naiveSplit(len(leaves))
	left, right := naiveRoot(leaves[:k]), naiveRoot(leaves[k:])
	return sha256.Sum256(append(append([]byte{1}, left[:]...), right[:]...))
}

// naiveSplit is the largest power of two below n.
func naiveSplit(n int) int {
	k := 1
	for 2*k < n {
		k *= 2
	}
	return k
}

// naivePath is PATH(m, D[n]) of section 2.1.1.
func naivePath(m int, leaves [][]byte) []Hash {
	if len(leaves) <= 1 {
		return []Hash{}
	}
	k := naiveSplit(len(leaves))
	if m < k {
		return append(naivePath(m, leaves[:k]), naiveRoot(leaves[k:]))
	}
	return append(naivePath(m-k, leaves[k:]), naiveRoot(leaves[:k]))
}

// naiveProof is SUBPROOF(m, D[n], whole) of section 2.1.2.
func naiveProof(m int, leaves [][]byte, whole bool) []Hash {
	if m == len(leaves) {
		if whole {
			return []Hash{}
		}
		return []Hash{naiveRoot(leaves)}
	}
	k := naiveSplit(len(leaves))
	if m <= k {
		return append(naiveProof(m, leaves[:k], whole), naiveRoot(leaves[k:]))
	}
	return append(naiveProof(m-k, leaves[k:], false), naiveRoot(leaves[:k]))
}

// testLeaves gives "leaf 0", "leaf 1" and so on, the leaves of the vectors.
func testLeaves(n int) [][]byte {
	leaves := make([][]byte, n)
	for i := range leaves {
		leaves[i] = fmt.Appendf(nil, "leaf %d", i)
	}
	return leaves
}

// grown is a tree as a store keeps it: the edge, and the stored hashes in order.
type grown struct {
	edge   Edge
	stored []Hash
}

func grow(leaves [][]byte) *grown {
	tree := new(grown)
	for _, leaf := range leaves {
		tree.stored = tree.edge.Append(tree.stored, LeafHash(leaf))
	}
	return tree
}

// read serves the stored hashes of the whole tree.
func (tree *grown) read(indexes []uint64, into []Hash) error {
	return tree.readAt(tree.edge.Size())(indexes, into)
}

// readAt serves the stored hashes that the tree had at a size, and no others.
func (tree *grown) readAt(size uint64) HashReader {
	return func(indexes []uint64, into []Hash) error {
		for i, index := range indexes {
			if index >= StoredCount(size) {
				return fmt.Errorf("index %d is not stored yet", index)
			}
			into[i] = tree.stored[index]
		}
		return nil
	}
}

// naiveRoots gives the root at every size up to the number of leaves.
func naiveRoots(leaves [][]byte) []Hash {
	roots := make([]Hash, len(leaves)+1)
	for n := range roots {
		roots[n] = naiveRoot(leaves[:n])
	}
	return roots
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
