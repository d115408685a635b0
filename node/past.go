package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/risknet/risknet/fault"
)

// A node takes up its past in three steps: what the two incarnation files say
// (judge), whether the data reaches as far as the anchor (reaches), and what the
// other nodes last saw of it (witnesses). A node that fails one of them must not
// go on: it would answer from a past that is over, and vote and acknowledge
// under an id whose promises it has forgotten.

// doubt is why a node may not go on with its data. The cure is a new life, once
// the others are seen to hold what this one held.
type doubt struct {
	reason string
	need   uint64 // leaves that the others must have
	number uint64 // the incarnation that they know, if it is higher
}

func (d *doubt) Error() string { return "the data directory is in doubt: " + d.reason }

// course is what follows from the incarnation files.
type course struct {
	number  uint64 // the incarnation to live
	begin   bool   // with empty directories; what is in them is put aside
	because string
}

// judge compares the incarnation in the anchor with the one in the data
// directory. Nil means that there is no such file.
func judge(anchored, held *incarnation, hasData, anchorEmpty bool, next func(after uint64) uint64) (course, error) {
	switch {
	case anchored == nil && held == nil && !hasData:
		return course{number: next(0), begin: true}, nil
	case anchored == nil && !hasData:
		return course{number: next(held.Number), begin: true, because: "the anchor is missing"}, nil
	case anchored == nil:
		return course{number: next(0)}, &doubt{reason: "the anchor is missing, so it may be a copy or a backup"}
	case !hasData && anchorEmpty:
		return course{number: anchored.Number, begin: true}, nil
	case !hasData:
		return course{number: next(anchored.Number), begin: true, because: "the data is gone that the anchor speaks of"}, nil
	case held == nil:
		return course{number: anchored.Number}, &doubt{reason: "it does not say whose it is"}
	case held.Number < anchored.Number && anchorEmpty:
		return course{number: anchored.Number, begin: true, because: "the data is of an earlier life"}, nil
	case held.Number < anchored.Number:
		return course{number: next(anchored.Number), begin: true, because: "the data is of an earlier life"}, nil
	case held.Number > anchored.Number:
		return course{number: held.Number}, &doubt{reason: "the anchor is older than it", number: held.Number}
	}
	return course{number: held.Number}, nil
}

// nextNumber is the number of a life that begins now: the milliseconds since
// 1970, or more if the last one had as many. A node that has lost every memory of
// its lives so takes a number that it never had before.
func (n *Node) nextNumber(after uint64) uint64 { return numberAfter(after, n.now()) }

func numberAfter(last uint64, now time.Time) uint64 {
	return max(last+1, uint64(now.UnixMilli()))
}

// openPast reads anchor and incarnations and begins a new life where that is
// decided without a look into the data.
func (n *Node) openPast() error {
	n.life = incarnation{Network: n.network, Node: n.id, Number: 1}
	anchored, err := n.ownIncarnation("anchor", n.cfg.Anchor)
	held, heldErr := n.ownIncarnation("data", n.cfg.Data)
	if err := errors.Join(err, heldErr); err != nil {
		return err
	}
	if anchored != nil {
		n.life.Number = anchored.Number
	}
	if n.anchor, err = openAnchor(n.cfg.Anchor, n.life); err != nil {
		return &doubt{reason: err.Error()}
	}
	if text, err := os.ReadFile(n.doubtFile()); err == nil {
		return &doubt{reason: strings.TrimSpace(string(text)), need: n.anchor.load().Size}
	}
	hasData, err := holdsData(n.cfg.Data)
	if err != nil {
		return err
	}
	way, err := judge(anchored, held, hasData, n.anchor.empty(), n.nextNumber)
	if err != nil {
		return err
	}
	if n.life.Number = way.number; !way.begin {
		return nil
	}
	n.anchor.reset(n.life)
	if anchored == nil && held == nil && len(n.founding) > 0 {
		if err := n.mayFound(!n.wasFounded()); err != nil {
			return err
		}
		return beginLife(&n.cfg, n.life)
	}
	if way.because != "" {
		n.log.Warn("this node begins a new life", "because", way.because, "server", n.life.server())
		if err := n.mayFound(false); err != nil {
			return err
		}
	}
	return beginLife(&n.cfg, n.life)
}

// ownIncarnation reads one incarnation file; one of another node is refused,
// because somebody has mistaken a directory, and a damaged one is in doubt.
func (n *Node) ownIncarnation(key, dir string) (*incarnation, error) {
	found, err := readIncarnation(dir)
	if err != nil {
		return nil, &doubt{reason: err.Error()}
	}
	if found == nil {
		return nil, nil
	}
	if found.Network != n.network {
		return nil, fmt.Errorf("%s: %s is a directory of network %s, and this is %s; name this network's own", key, dir, found.Network, n.network)
	}
	if found.Node != n.id {
		return nil, fmt.Errorf("%s: %s is the directory of node %s, and this is %s; two nodes' directories may have been swapped, put each back where it was", key, dir, found.Node, n.id)
	}
	return found, nil
}

// What belongs to one life, in the data directory.
var livedIn = []string{"state", "raft"}

func holdsData(data string) (bool, error) {
	for _, name := range livedIn {
		entries, err := os.ReadDir(filepath.Join(data, name))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return false, fmt.Errorf("data: %w", err)
		}
		if len(entries) > 0 {
			return true, nil
		}
	}
	return false, nil
}

func (n *Node) doubtFile() string { return filepath.Join(n.cfg.Data, "doubt") }

const (
	asidePrefix = "aside-"
	keptAside   = 2
)

// beginLife has the node live a new incarnation: the anchor learns of it first,
// then what was is put aside, and last the empty data directory is named.
func beginLife(cfg *Config, life incarnation) error {
	if err := life.write(cfg.Anchor); err != nil {
		return err
	}
	// If we crash here, the data is of an earlier life than the anchor and is put
	// aside at the next start.
	fault.Point("node: new life anchored")
	if err := forgetHead(cfg.Anchor); err != nil {
		return err
	}
	if err := putAside(cfg.Data, life.Number); err != nil {
		return err
	}
	// If we crash here, there is no data and the anchor is empty: the same life
	// begins again.
	fault.Point("node: old life put aside")
	if err := os.Remove(filepath.Join(cfg.Data, "doubt")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return life.write(cfg.Data)
}

// putAside moves what an earlier life left into a directory of its own, for
// people to look at, and removes the oldest of those.
func putAside(data string, number uint64) error {
	hasData, err := holdsData(data)
	if err != nil || !hasData {
		return err
	}
	var before []string
	entries, err := os.ReadDir(data)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), asidePrefix) {
			before = append(before, e.Name())
		}
	}
	slices.Sort(before) // their numbers have one length, -again comes behind
	for len(before) >= keptAside {
		if err := os.RemoveAll(filepath.Join(data, before[0])); err != nil {
			return err
		}
		before = before[1:]
	}
	aside := filepath.Join(data, fmt.Sprintf("%s%013d", asidePrefix, number))
	for there, _ := holdsData(aside); there; there, _ = holdsData(aside) {
		aside += "-again"
	}
	if err := os.MkdirAll(aside, 0o700); err != nil {
		return err
	}
	for _, name := range livedIn {
		err := os.Rename(filepath.Join(data, name), filepath.Join(aside, name))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		fault.Point("node: a directory was put aside")
	}
	return syncDir(data)
}
