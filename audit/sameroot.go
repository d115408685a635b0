package audit

import (
	"context"
	"fmt"

	"github.com/risknet/risknet/ledger"
	"github.com/risknet/risknet/risk"
)

// maxBehind is how many leaves a node may be behind another and still count as one
// that replicates: what comes in while two are asked, and no more.
const maxBehind = 64

// SameRoot compares another node's newest checkpoint with the ledger of the log, and
// gives the head that both have.
func SameRoot(ctx context.Context, log *Log, nodes Nodes, n *risk.PutNode) (risk.Head, error) {
	key, err := ledger.NewVerifier(log.origin, n.LogKey.Bytes[:])
	if err != nil {
		return risk.Head{}, err
	}
	if key.KeyHash() == log.verifier.KeyHash() {
		return risk.Head{}, fmt.Errorf("node: %s is the node that the profile asks; it would be compared with itself. Name the institution's", n.Name)
	}
	other := nodes.Ledger(n, key)
	defer other.Close()
	theirs, err := other.Checkpoint(ctx)
	if err != nil {
		return risk.Head{}, err
	}
	ours, err := log.Checkpoint(ctx)
	switch {
	case err != nil:
		return risk.Head{}, err
	case theirs.Size > ours.Size:
		return risk.Head{}, fmt.Errorf("%s signs %d leaves and %s %d; ask again in a moment", n.Name, theirs.Size, log.address, ours.Size)
	case theirs.Size+maxBehind < ours.Size:
		return risk.Head{}, fmt.Errorf("%s signs %d leaves of %d; wait until it has caught up (risknet cluster wait)", n.Name, theirs.Size, ours.Size)
	}
	root, err := ledger.RootAt(theirs.Size, log.Hashes(ctx, ours.Checkpoint))
	if err != nil {
		return risk.Head{}, err
	}
	if root != theirs.Root {
		return risk.Head{}, fmt.Errorf("at %d leaves %s has root %x and %s has %x: one of the two has diverged or is forged", theirs.Size, n.Name, theirs.Root, log.address, root)
	}
	return risk.Head{Size: theirs.Size, Root: risk.Hash(root)}, nil
}
