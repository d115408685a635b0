package audit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/risknet/risknet/ledger"
	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/store"
)

// Options say how an audit is done.
type Options struct {
	// Network is the network's id; a ledger that begins otherwise is refused. Zero
	// takes any, and proves only that the ledger agrees with itself.
	Network risk.Hash
	// Bodies has the bodies of items fetched and applied too, as far as they are
	// kept: the replica can then answer checks. The profile must be one that may
	// read them.
	Bodies bool
	// Dir is where the replica is made, for a while; empty is the system's own
	// directory for temporary files.
	Dir string
	// Progress hears now and then how many leaves were applied. It may be nil.
	Progress func(done, of uint64)
	// Visit hears of each leaf behind its application. It may be nil.
	Visit func(index uint64, leaf []byte)
}

// Replica is a ledger and a state that were made of the leaves alone.
type Replica struct {
	options Options
	log     *Log
	dir     string
	store   *store.Store
	one     sync.Mutex
	// Missing counts bodies that nobody keeps any more.
	Missing uint64
}

// BadLeaf says which leaf is wrong, and why.
type BadLeaf struct {
	Leaf   uint64
	Reason string
}

func (e *BadLeaf) Error() string { return fmt.Sprintf("leaf %d: %s", e.Leaf, e.Reason) }

// BadTile says which tile is wrong.
type BadTile struct {
	Tile   ledger.Tile
	Reason string
}

func (e *BadTile) Error() string { return e.Tile.Path() + ": " + e.Reason }

// NewReplica makes an empty one; Close removes it.
func NewReplica(log *Log, o Options) (*Replica, error) {
	dir, err := os.MkdirTemp(o.Dir, "risknet-audit-")
	if err != nil {
		return nil, err
	}
	if o.Progress == nil {
		o.Progress = func(uint64, uint64) {}
	}
	r := &Replica{options: o, log: log, dir: dir}
	r.store, err = store.Open(filepath.Join(dir, "state"), store.Options{Network: o.Network, Logger: quiet})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return r, nil
}

// Close removes the replica.
func (r *Replica) Close() error { return errors.Join(r.store.Close(), os.RemoveAll(r.dir)) }

// Head is how far the replica has come.
func (r *Replica) Head() risk.Head { return r.store.Head() }

// Extend applies the leaves up to a checkpoint's size, or up to a smaller size that
// is given. Each is held to the checkpoint's root before it is applied, for what was
// applied stays.
func (r *Replica) Extend(ctx context.Context, c ledger.Checkpoint, until uint64) error {
	from := r.Head().Size
	err := r.log.Leaves(ctx, from, until, func(first uint64, leaves [][]byte) error {
		if err := r.log.hold(ctx, c, first, leaves); err != nil {
			return err
		}
		if err := r.apply(ctx, first, leaves); err != nil {
			return err
		}
		r.options.Progress(first+uint64(len(leaves)), until)
		return nil
	})
	if wrong, ok := errors.AsType[*store.ReplayError](err); ok {
		err = &BadLeaf{wrong.Leaf, wrong.Reason}
	}
	if err != nil {
		return err
	}
	if err := r.founded(); err != nil {
		return err
	}
	return r.lead(ctx, c)
}

func (r *Replica) apply(ctx context.Context, first uint64, leaves [][]byte) error {
	batch := make([]store.Replayed, len(leaves))
	for i, leaf := range leaves {
		batch[i].Leaf = leaf
	}
	if r.options.Bodies {
		if err := r.addBodies(ctx, first, batch); err != nil {
			return err
		}
	}
	if err := r.store.Replay(batch); err != nil {
		return err
	}
	if r.options.Visit != nil {
		for i, leaf := range leaves {
			r.options.Visit(first+uint64(i), leaf)
		}
	}
	return nil
}

// founded holds the first leaf to the network that was asked for.
func (r *Replica) founded() error {
	net, err := r.store.Network()
	if err != nil {
		return err
	}
	if net == nil {
		return &BadLeaf{0, "does not found a network"}
	}
	if want := r.options.Network; !want.IsZero() && net.ID != want {
		return &BadLeaf{0, fmt.Sprintf("founds network %s and not %s", net.ID, want)}
	}
	if net.Origin != r.log.origin {
		return &BadLeaf{0, fmt.Sprintf("founds the ledger %q and not %q", net.Origin, r.log.origin)}
	}
	return nil
}

// lead holds what was applied to the root of a checkpoint.
func (r *Replica) lead(ctx context.Context, c ledger.Checkpoint) error {
	head := r.Head()
	root := c.Root
	if head.Size < c.Size {
		var err error
		if root, err = ledger.RootAt(head.Size, r.log.Hashes(ctx, c)); err != nil {
			return fmt.Errorf("the tree of the checkpoint at %d leaves: %w", head.Size, err)
		}
	}
	if root == ledger.Hash(head.Root) {
		return nil
	}
	return fmt.Errorf("the %d leaves have root %x, the checkpoint's is %x", head.Size, head.Root, root)
}

// tileOf is the tile of leaf hashes that a tree of some size has for a leaf.
func tileOf(leaf, size uint64) ledger.Tile {
	n := leaf / ledger.TileWidth
	return ledger.Tile{Index: n, Width: int(min(ledger.TileWidth, size-n*ledger.TileWidth))}
}
