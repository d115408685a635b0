package ledger

import (
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// ErrProof says that a proof does not connect what it was said to connect:
// a damaged proof, another leaf, or another history.
var ErrProof = errors.New("the proof does not lead to this root")

// ProveInclusion proves that the tree of size leaves holds the leaf at index
// (RFC 6962, section 2.1.1). The proof has at most 48 hashes, leaf side first.
func ProveInclusion(size, index uint64, read HashReader) ([]Hash, error) {
	if err := checkInclusion(size, index); err != nil {
		return nil, err
	}
	proof, err := tlog.ProveRecord(int64(size), int64(index), tlogReader(read))
	if err != nil {
		return nil, fmt.Errorf("prove leaf %d in tree of %d: %w", index, size, err)
	}
	return fromTlog(proof), nil
}

// VerifyInclusion checks a proof that the tree with this size and root holds, at
// index, the leaf with this hash. A proof that fails gives [ErrProof].
func VerifyInclusion(proof []Hash, size uint64, root Hash, index uint64, leaf Hash) error {
	if err := checkInclusion(size, index); err != nil {
		return err
	}
	err := tlog.CheckRecord(toTlog(proof), int64(size), tlog.Hash(root), int64(index), tlog.Hash(leaf))
	if err != nil {
		return fmt.Errorf("leaf %d in tree of %d: %w", index, size, ErrProof)
	}
	return nil
}

func checkInclusion(size, index uint64) error {
	if size > MaxSize {
		return fmt.Errorf("tree size %d %w", size, errTooLarge)
	}
	if index >= size {
		return fmt.Errorf("leaf index %d is not in a tree of %d leaves; ask for a larger tree", index, size)
	}
	return nil
}

// ProveConsistency proves that the tree of size leaves begins with all leaves of
// the tree of old leaves (RFC 6962, section 2.1.2). Every tree begins with the
// empty one and with itself: those proofs have no hashes.
func ProveConsistency(old, size uint64, read HashReader) ([]Hash, error) {
	if err := checkConsistency(old, size); err != nil {
		return nil, err
	}
	if old == 0 {
		return []Hash{}, nil
	}
	proof, err := tlog.ProveTree(int64(size), int64(old), tlogReader(read))
	if err != nil {
		return nil, fmt.Errorf("prove tree of %d in tree of %d: %w", old, size, err)
	}
	return fromTlog(proof), nil
}

// VerifyConsistency checks a proof that the tree with this size and root begins
// with all leaves of the old one. A proof that fails gives [ErrProof]. From an
// empty old tree nothing follows about the root, except that a tree of no leaves
// has the empty root.
func VerifyConsistency(proof []Hash, old uint64, oldRoot Hash, size uint64, root Hash) error {
	if err := checkConsistency(old, size); err != nil {
		return err
	}
	if !consistent(proof, old, oldRoot, size, root) {
		return fmt.Errorf("tree of %d in tree of %d: %w", old, size, ErrProof)
	}
	return nil
}

func consistent(proof []Hash, old uint64, oldRoot Hash, size uint64, root Hash) bool {
	if old == 0 {
		return len(proof) == 0 && oldRoot == EmptyRoot() && (size > 0 || root == oldRoot)
	}
	return tlog.CheckTree(toTlog(proof), int64(size), tlog.Hash(root), int64(old), tlog.Hash(oldRoot)) == nil
}

func checkConsistency(old, size uint64) error {
	if size > MaxSize {
		return fmt.Errorf("tree size %d %w", size, errTooLarge)
	}
	if old > size {
		return fmt.Errorf("old tree size %d is above the new size %d; give the smaller one first", old, size)
	}
	return nil
}

func fromTlog(hashes []tlog.Hash) []Hash {
	proof := make([]Hash, len(hashes))
	for i, h := range hashes {
		proof[i] = Hash(h)
	}
	return proof
}

func toTlog(proof []Hash) []tlog.Hash {
	hashes := make([]tlog.Hash, len(proof))
	for i, h := range proof {
		hashes[i] = tlog.Hash(h)
	}
	return hashes
}
