package ledger

import (
	"errors"
	"slices"
	"testing"
)

func TestEveryInclusionProof(t *testing.T) {
	leaves := testLeaves(allSizes)
	tree, roots := grow(leaves), naiveRoots(leaves)
	for size := uint64(1); size <= allSizes; size++ {
		read := tree.readAt(size)
		for index := range size {
			proof := must[[]Hash](t)(ProveInclusion(size, index, read))
			if err := VerifyInclusion(proof, size, roots[size], index, naiveLeaf(leaves[index])); err != nil {
				t.Fatal(err)
			}
			// The naive path is slow: every size near a power of two, some others.
			if size <= 33 || size%64 <= 1 {
				if want := naivePath(int(index), leaves[:size]); !slices.Equal(proof, want) {
					t.Fatalf("proof of %d in %d is not the path of RFC 6962", index, size)
				}
			}
		}
	}
}

func TestEveryConsistencyProof(t *testing.T) {
	leaves := testLeaves(allSizes)
	tree, roots := grow(leaves), naiveRoots(leaves)
	for size := range uint64(allSizes + 1) {
		read := tree.readAt(size)
		for old := range size + 1 {
			proof := must[[]Hash](t)(ProveConsistency(old, size, read))
			if err := VerifyConsistency(proof, old, roots[old], size, roots[size]); err != nil {
				t.Fatal(err)
			}
			if old > 0 && (size <= 33 || size%64 <= 1) {
				if want := naiveProof(int(old), leaves[:size], true); !slices.Equal(proof, want) {
					t.Fatalf("proof of %d in %d is not that of RFC 6962", old, size)
				}
			}
		}
	}
}

func TestFalseInclusionFails(t *testing.T) {
	const size = 13
	leaves := testLeaves(size)
	tree, roots := grow(leaves), naiveRoots(leaves)
	for index := range uint64(size) {
		proof := must[[]Hash](t)(ProveInclusion(size, index, tree.read))
		root, leaf := roots[size], LeafHash(leaves[index])
		for at := range proof {
			damaged := slices.Clone(proof)
			damaged[at][31] ^= 1
			mustFail(t, "damaged hash", VerifyInclusion(damaged, size, root, index, leaf))
		}
		mustFail(t, "hash missing", VerifyInclusion(proof[1:], size, root, index, leaf))
		mustFail(t, "hash behind", VerifyInclusion(append(slices.Clone(proof), root), size, root, index, leaf))
		mustFail(t, "no proof", VerifyInclusion(nil, size, root, index, leaf))
		mustFail(t, "other leaf", VerifyInclusion(proof, size, root, index, LeafHash([]byte("other"))))
		mustFail(t, "other index", VerifyInclusion(proof, size, root, (index+1)%size, leaf))
		mustFail(t, "other root", VerifyInclusion(proof, size, roots[size-1], index, leaf))
	}
}

func TestFalseConsistencyFails(t *testing.T) {
	const size = 13
	leaves := testLeaves(size)
	tree, roots := grow(leaves), naiveRoots(leaves)
	for old := uint64(1); old < size; old++ {
		proof := must[[]Hash](t)(ProveConsistency(old, size, tree.read))
		for at := range proof {
			damaged := slices.Clone(proof)
			damaged[at][0] ^= 1
			mustFail(t, "damaged hash", VerifyConsistency(damaged, old, roots[old], size, roots[size]))
		}
		mustFail(t, "hash missing", VerifyConsistency(proof[1:], old, roots[old], size, roots[size]))
		mustFail(t, "forked history", VerifyConsistency(proof, old, LeafHash([]byte("fork")), size, roots[size]))
		mustFail(t, "other root", VerifyConsistency(proof, old, roots[old], size, roots[size-1]))
	}
	mustFail(t, "same size, other root", VerifyConsistency(nil, size, roots[size-1], size, roots[size]))
	mustFail(t, "empty tree with a root", VerifyConsistency(nil, 0, roots[1], size, roots[size]))
	mustFail(t, "empty tree grown to nothing", VerifyConsistency(nil, 0, EmptyRoot(), 0, roots[1]))
	mustFail(t, "proof where none is needed", VerifyConsistency(roots[1:2], 0, EmptyRoot(), size, roots[size]))
}

func mustFail(t *testing.T, name string, err error) {
	t.Helper()
	if !errors.Is(err, ErrProof) {
		t.Fatalf("%s: got %v, want ErrProof", name, err)
	}
}

// A question that cannot be asked is not a proof that fails.
func TestImpossibleProofIsRefused(t *testing.T) {
	read := func([]uint64, []Hash) error { t.Fatal("hashes were read"); return nil }
	_, beyond := ProveInclusion(3, 3, read)
	_, empty := ProveInclusion(0, 0, read)
	_, large := ProveInclusion(MaxSize+1, 0, read)
	_, shrunk := ProveConsistency(4, 3, read)
	_, huge := ProveConsistency(4, 1<<63, read)
	for name, err := range map[string]error{
		"index beyond": beyond, "empty tree": empty, "too large": large, "shrunk tree": shrunk, "huge tree": huge,
		"verify index beyond": VerifyInclusion(nil, 3, Hash{}, 3, Hash{}),
		"verify too large":    VerifyInclusion(nil, 1<<63, Hash{}, 3, Hash{}),
		"verify shrunk":       VerifyConsistency(nil, 4, Hash{}, 3, Hash{}),
		"verify huge":         VerifyConsistency(nil, 4, Hash{}, 1<<63, Hash{}),
	} {
		if err == nil || errors.Is(err, ErrProof) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
