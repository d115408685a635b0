package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/risknet/risknet/fault"
	"github.com/risknet/risknet/ledger"
)

// anchor is what this node remembers, outside of its data directory, of how far
// it has come. A data directory that holds less is not the one it left: it is a
// backup, a copy, or what a broken disk has kept.
//
// What it cannot tell is a whole machine that went back in time, anchor and data
// together; the other nodes can (see Node.witnesses), while one of them that has
// led since is in reach.
type anchor struct {
	dir string

	mu   sync.Mutex
	last ledger.Anchor
}

const headFile = "head"

func openAnchor(dir string, life incarnation) (*anchor, error) {
	a := &anchor{dir: dir, last: ledger.Anchor{Network: life.Network, Node: life.Node, Root: ledger.EmptyRoot()}}
	text, err := os.ReadFile(filepath.Join(dir, headFile))
	if errors.Is(err, os.ErrNotExist) {
		return a, nil
	}
	if err != nil {
		return nil, err
	}
	if a.last, err = ledger.ParseAnchor(text); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, headFile), err)
	}
	if a.last.Network != life.Network || a.last.Node != life.Node {
		return nil, fmt.Errorf("%s is another node's", filepath.Join(dir, headFile))
	}
	return a, nil
}

// empty reports whether the node had never held anything.
func (a *anchor) empty() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last.Size == 0 && a.last.LogIndex == 0 && a.last.Term == 0
}

func (a *anchor) load() ledger.Anchor {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last
}

// raise saves what is higher than before. It never lowers: what was true once
// stays true.
func (a *anchor) raise(size uint64, root ledger.Hash, index, term uint64) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	next := a.last
	if size > next.Size {
		next.Size, next.Root = size, root
	}
	next.LogIndex, next.Term = max(next.LogIndex, index), max(next.Term, term)
	if next == a.last {
		return nil
	}
	text, err := next.MarshalBinary()
	if err != nil {
		return err
	}
	fault.Point("node: before the anchor")
	if err := writeFileSync(filepath.Join(a.dir, headFile), text); err != nil {
		return fmt.Errorf("anchor: %w", err)
	}
	fault.Point("node: after the anchor")
	a.last = next
	return nil
}

// reset begins the anchor of a new life; beginLife has removed the file.
func (a *anchor) reset(life incarnation) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last = ledger.Anchor{Network: life.Network, Node: life.Node, Root: ledger.EmptyRoot()}
}

// forgetHead removes the saved head.
func forgetHead(dir string) error {
	if err := os.Remove(filepath.Join(dir, headFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return syncDir(dir)
}

// anchorTerm is called by raft before it stores a higher term or a vote. A vote
// that went out under a term that the anchor does not know could be given twice.
func (n *Node) anchorTerm(term uint64) error { return n.anchor.raise(0, ledger.Hash{}, 0, term) }

// anchorEvery is how often the head is saved while it moves. What a majority has
// acknowledged within it, this node could lose unnoticed, if the copy of its
// directory that it is given back is as young, and the leader cannot be asked.
const anchorEvery = 250 * time.Millisecond

// keepAnchor saves how far the state has come. Only what is applied counts: it
// was committed, and no leader takes it back.
func (n *Node) keepAnchor(ctx context.Context) error {
	began := n.anchor.load()
	compared := began.Size == 0
	for {
		if !compared && n.store.Head().Size >= began.Size {
			if err := n.compareHistory(began); err != nil {
				return err
			}
			compared = true
		}
		if err := n.saveAnchor(); err != nil {
			return fmt.Errorf("this node stops: %w", err)
		}
		if !pause(ctx, anchorEvery) {
			return nil
		}
	}
}

func (n *Node) saveAnchor() error {
	index, head := n.store.Position().Index, n.store.Head()
	return n.anchor.raise(head.Size, ledger.Hash(head.Root), index, 0)
}

// compareHistory holds the root at the anchored size against the anchored one:
// a longer history may be another one.
func (n *Node) compareHistory(began ledger.Anchor) error {
	if n.store.LedgerFrom() > 0 {
		return nil // an image brought it; the hashes before are not here
	}
	root, err := ledger.RootAt(began.Size, n.store.Hashes)
	if err != nil {
		return fmt.Errorf("root at %d: %w", began.Size, err)
	}
	if root != began.Root {
		return fmt.Errorf("this node stops: at %d leaves its ledger has root %x, and it once had %x: one of the two histories is forged; keep both directories, %s and %s, and ask the hub", began.Size, root, began.Root, n.cfg.Data, n.cfg.Anchor)
	}
	return nil
}
