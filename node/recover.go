package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/risknet/risknet/consensus"
	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/store"
)

// RecoverInfo says what a recovered node goes on with. Of several nodes the one
// whose Last has the highest term, and among those the highest index, holds
// everything that was ever acknowledged and is left.
type RecoverInfo struct {
	Server string
	consensus.Prospect
	Size     uint64
	Root     risk.Hash
	Listings uint64
	Asked    Asked
}

// Asked says of how many other nodes somebody knew, and what they answered.
type Asked struct {
	Nodes, Answered int
	Refused         int    // how many of these have no record of this node
	Live            bool   // a majority follows one that answered
	Size            uint64 // of the longest such
}

// Inspect says what Recover would go on with, and changes nothing.
func Inspect(ctx context.Context, cfg Config) (RecoverInfo, error) {
	lock, err := lockData(cfg.Data)
	if err != nil {
		return RecoverInfo{}, err
	}
	defer lock.Close()
	return withState(&cfg, func(s *store.Store, info *RecoverInfo) error { return info.look(ctx, &cfg, s) })
}

// look reads the log and asks the others.
func (info *RecoverInfo) look(ctx context.Context, cfg *Config, s *store.Store) (err error) {
	if info.Prospect, err = consensus.Foresee(filepath.Join(cfg.Data, "raft"), positionOf(s.Position())); err != nil {
		return fmt.Errorf("data: %w", err)
	}
	info.Asked, err = askEverybody(ctx, cfg, s)
	return err
}

// askEverybody asks all nodes that the state, the founding and the lists of
// addresses name whether a majority follows them.
func askEverybody(ctx context.Context, cfg *Config, s *store.Store) (asked Asked, err error) {
	creds, err := LoadCredentials(cfg.TLS.CA, cfg.TLS.Certificate, cfg.TLS.Key)
	if err != nil {
		return asked, err
	}
	n := &Node{cfg: *cfg, env: Environment{}.withDefaults(), store: s}
	if n.id, err = risk.ParseID(cfg.ID); err != nil {
		return asked, err
	}
	if n.network, err = risk.ParseHash(cfg.Network); err != nil {
		return asked, err
	}
	if cfg.Founding != "" {
		if n.founding, err = loadFounding(cfg.Founding, n.network); err != nil {
			return asked, err
		}
	}
	if _, err := n.recordedOthers(); err != nil {
		return asked, err // a memory less is somebody who is not asked
	}
	places := n.otherPlaces()
	peers := newPeers(creds, n.env.Dial)
	defer peers.closeAll()
	answers, refused := askWitnesses(ctx, peers, n.id, places)
	asked = Asked{Nodes: len(places), Answered: len(answers) + refused, Refused: refused}
	for _, seen := range answers {
		if seen.Ready {
			asked.Live, asked.Size = true, max(asked.Size, seen.Size)
		}
	}
	return asked, nil
}

// Recover makes this node, which does not run, the only voter of its network.
// It is for a majority that is lost for good: what only the lost ones had is
// gone, and a majority that comes back after all is another network. Everything
// in this node's log is taken for committed. While another node answers that a
// majority follows it, Recover refuses: there would be a second network.
func Recover(ctx context.Context, cfg Config, log *slog.Logger) (RecoverInfo, error) {
	lock, err := lockData(cfg.Data)
	if err != nil {
		return RecoverInfo{}, err
	}
	defer lock.Close()
	life, err := nextLife(&cfg)
	if err != nil {
		return RecoverInfo{}, err
	}
	info, err := withState(&cfg, func(s *store.Store, info *RecoverInfo) error {
		if err := info.look(ctx, &cfg, s); err != nil {
			return err
		}
		if info.Asked.Live {
			return fmt.Errorf("yes: a node with %d leaves is up, and a majority with it: the network lives, start this node instead", info.Asked.Size)
		}
		if info.Asked.Refused > 0 {
			return fmt.Errorf("yes: %d nodes of the network are up and have no record of this one: it has left, and cannot go on with the network; have the hub invite a new one", info.Asked.Refused)
		}
		return goOnAlone(&cfg, life, s, log)
	})
	if err != nil {
		return info, err
	}
	info.Server = life.server()
	if err := os.Remove(filepath.Join(cfg.Data, "doubt")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return info, err
	}
	if err := forgetHead(cfg.Anchor); err != nil {
		return info, err
	}
	return info, life.write(cfg.Anchor)
}

func goOnAlone(cfg *Config, life incarnation, s *store.Store, log *slog.Logger) error {
	// The data is named first: if we crash from here on, the anchor is behind and
	// the node does not start until it is recovered again.
	if err := life.write(cfg.Data); err != nil {
		return err
	}
	raftDir := filepath.Join(cfg.Data, "raft")
	if err := os.MkdirAll(raftDir, 0o700); err != nil { // a restored backup brings no log
		return fmt.Errorf("data: %w", err)
	}
	return consensus.Recover(consensus.RecoverConfig{
		Dir:    raftDir,
		Term:   anchoredTerm(cfg, life),
		Server: consensus.Server{ID: life.server(), Address: cfg.Listen.Raft, Voter: true},
		Logger: log,
	}, &machine{node: &Node{store: s, env: Environment{}.withDefaults(), disk: &disk{}}})
}

// anchoredTerm is the highest term that the anchor knows; 0 if it cannot be read.
func anchoredTerm(cfg *Config, life incarnation) uint64 {
	a, err := openAnchor(cfg.Anchor, life)
	if err != nil {
		return 0
	}
	return a.load().Term
}

// withState opens the state of a node that does not run.
func withState(cfg *Config, use func(*store.Store, *RecoverInfo) error) (info RecoverInfo, err error) {
	there, err := holdsData(cfg.Data)
	if err != nil || !there {
		return info, errors.Join(err, fmt.Errorf("data: %s holds no state; restore a backup first", cfg.Data))
	}
	network, err := risk.ParseHash(cfg.Network)
	if err != nil {
		return info, err
	}
	s, err := store.Open(filepath.Join(cfg.Data, "state"), store.Options{Network: network, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return info, fmt.Errorf("data: %w", err)
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := use(s, &info); err != nil {
		return info, err
	}
	head := s.Head()
	info.Size, info.Root, info.Listings = head.Size, head.Root, s.Count()
	return info, nil
}
