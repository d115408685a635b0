package ledger

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// Hash is a SHA-256 digest: of a leaf, of a node, or the root of a tree.
type Hash = [sha256.Size]byte

// MaxSize is the largest tree, in leaves. A size from outside is refused above
// it, which keeps every index below far from overflow.
const MaxSize = 1 << maxLevel

// maxLevel is the level of the root of a tree of MaxSize leaves. Leaves are at
// level 0, and a node at level l is the root of 2^l leaves.
const maxLevel = 48

var errTooLarge = errors.New("is above 2^48 leaves, the largest tree")

// EmptyRoot is the root of the tree without leaves: SHA-256 of the empty string.
func EmptyRoot() Hash { return sha256.Sum256(nil) }

// LeafHash is SHA-256(0x00 ‖ leaf).
func LeafHash(leaf []byte) Hash { return Hash(tlog.RecordHash(leaf)) }

// NodeHash is SHA-256(0x01 ‖ left ‖ right).
func NodeHash(left, right Hash) Hash {
	return Hash(tlog.NodeHash(tlog.Hash(left), tlog.Hash(right)))
}

// A HashReader fills into with the stored hashes at the indexes. Both have the
// same length; the order of the indexes is not promised.
//
// Stored hashes are those that [Edge.Append] hands out, numbered from zero in
// the order it does so: each subtree directly behind the leaf that completes it.
// All indexes asked for a tree of n leaves are below [StoredCount](n).
type HashReader func(indexes []uint64, into []Hash) error

// StoredCount is the number of stored hashes of a tree of size leaves, and so
// the index at which the hashes of the next leaf begin. Size is at most MaxSize.
func StoredCount(size uint64) uint64 { return uint64(tlog.StoredHashCount(int64(size))) }

// StoredIndex is the index of the stored hash of the n-th perfect subtree at a
// level; level 0 holds the leaf hashes. The subtree must lie below MaxSize.
func StoredIndex(level int, n uint64) uint64 {
	return uint64(tlog.StoredHashIndex(level, int64(n)))
}

// RootAt computes the root that the tree had at a size, from stored hashes.
func RootAt(size uint64, read HashReader) (Hash, error) {
	edge, err := EdgeAt(size, read)
	if err != nil {
		return Hash{}, err
	}
	return edge.Root(), nil
}

// tlogReader makes a HashReader what tlog asks for.
type tlogReader HashReader

func (read tlogReader) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	at := make([]uint64, len(indexes))
	for i, index := range indexes {
		at[i] = uint64(index)
	}
	into := make([]Hash, len(at))
	if err := read(at, into); err != nil {
		return nil, fmt.Errorf("read %d stored hashes: %w", len(at), err)
	}
	hashes := make([]tlog.Hash, len(into))
	for i, h := range into {
		hashes[i] = tlog.Hash(h)
	}
	return hashes, nil
}
