package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/consensus"
	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/store"
)

// BackupInfo says what a backup holds.
type BackupInfo = store.ArchiveInfo

// Backup streams an archive of state and ledger to the node's own institution.
func (s *clusterService) Backup(_ *apiv1.BackupRequest, stream grpc.ServerStreamingServer[apiv1.BackupPart]) error {
	if err := s.node.ownInstitution(stream.Context(), "backup"); err != nil {
		return err
	}
	_, err := s.node.store.WriteArchive(stream.Context(), backupStream{stream})
	if err != nil {
		return internal(err)
	}
	return nil
}

// backupStream cuts what is written into messages.
type backupStream struct {
	to grpc.ServerStreamingServer[apiv1.BackupPart]
}

const backupPart = 256 << 10

func (b backupStream) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		part := p[:min(len(p), backupPart)]
		if err := b.to.Send(&apiv1.BackupPart{Data: part}); err != nil {
			return written, err
		}
		written, p = written+len(part), p[len(part):]
	}
	return written, nil
}

// VerifyBackup reads a whole backup as a restore would, in a directory that it
// makes below scratch and removes again.
func VerifyBackup(r io.Reader, scratch string) (BackupInfo, error) {
	dir, err := os.MkdirTemp(scratch, "risknet-verify-*")
	if err != nil {
		return BackupInfo{}, err
	}
	defer os.RemoveAll(dir)
	return store.ReadArchive(filepath.Join(dir, "state"), r, store.Options{Logger: slog.New(slog.DiscardHandler)})
}

// Restore puts a backup into the empty data directory of a node that does not
// run. What comes back is the past, so the node lives a new life with it: it has
// no vote until the network has brought it up to date and given it one.
func Restore(cfg Config, r io.Reader) (BackupInfo, error) {
	lock, err := lockData(cfg.Data)
	if err != nil {
		return BackupInfo{}, err
	}
	defer lock.Close()
	life, err := nextLife(&cfg)
	if err != nil {
		return BackupInfo{}, err
	}
	there, err := holdsData(cfg.Data)
	if err != nil {
		return BackupInfo{}, err
	}
	if there {
		return BackupInfo{}, fmt.Errorf("data: %s holds a state already; end the node, move the directories state and raft away, and try again", cfg.Data)
	}
	temp := filepath.Join(cfg.Data, "restoring")
	if err := os.RemoveAll(temp); err != nil {
		return BackupInfo{}, err
	}
	info, err := store.ReadArchive(temp, r, store.Options{Network: life.Network, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return info, errors.Join(fmt.Errorf("restore: %w", err), os.RemoveAll(temp))
	}
	if err := beginLife(&cfg, life); err != nil {
		return info, err
	}
	// If we crash here, the node begins with nothing; the restore can be repeated.
	if err := os.Rename(temp, filepath.Join(cfg.Data, "state")); err != nil {
		return info, err
	}
	return info, syncDir(cfg.Data)
}

// nextLife is the incarnation after all that the directories speak of; never the
// first, because a state without a memory of its life has lived one.
func nextLife(cfg *Config) (incarnation, error) {
	var life incarnation
	var err error
	if life.Node, err = risk.ParseID(cfg.ID); err != nil {
		return life, err
	}
	if life.Network, err = risk.ParseHash(cfg.Network); err != nil {
		return life, err
	}
	life.Number = 1
	for _, dir := range []string{cfg.Anchor, cfg.Data} {
		if found, err := readIncarnation(dir); err == nil && found != nil && found.Node == life.Node {
			life.Number = max(life.Number, found.Number)
		}
	}
	life.Number = numberAfter(life.Number, time.Now())
	return life, nil
}

// RecoverInfo says what a recovered node goes on with.
type RecoverInfo struct {
	Server   string
	Size     uint64
	Root     risk.Hash
	Index    uint64
	Listings uint64
}

// Inspect says what Recover would go on with, and changes nothing.
func Inspect(cfg Config) (RecoverInfo, error) {
	lock, err := lockData(cfg.Data)
	if err != nil {
		return RecoverInfo{}, err
	}
	defer lock.Close()
	return withState(&cfg, func(s *store.Store, info *RecoverInfo) error { return nil })
}

// Outlived gives an error if another node answers that a majority follows: then
// Recover would make a second network.
func Outlived(ctx context.Context, cfg Config) error {
	creds, err := LoadCredentials(cfg.TLS.CA, cfg.TLS.Certificate, cfg.TLS.Key)
	if err != nil {
		return err
	}
	self, err := risk.ParseID(cfg.ID)
	if err != nil {
		return err
	}
	addresses := addressesOf(savedPeers(cfg.Anchor), savedPeers(cfg.Data))
	peers := newPeers(creds, Environment{}.withDefaults().Dial)
	defer peers.closeAll()
	for _, seen := range askWitnesses(ctx, peers, self, addresses) {
		if seen.Ready {
			return fmt.Errorf("yes: a node with %d leaves is up, and a majority with it: the network lives, start this node instead", seen.Size)
		}
	}
	return nil
}

// Recover makes this node, which does not run, the only voter of its network.
// It is for a majority that is lost for good: what only the lost ones had is
// gone, and a majority that comes back after all is another network. Everything
// in this node's log is taken for committed.
func Recover(cfg Config, log *slog.Logger) (RecoverInfo, error) {
	lock, err := lockData(cfg.Data)
	if err != nil {
		return RecoverInfo{}, err
	}
	defer lock.Close()
	life, err := nextLife(&cfg)
	if err != nil {
		return RecoverInfo{}, err
	}
	// The data is named first: if we crash from here on, the anchor is behind and
	// the node does not start until it is recovered again.
	if err := life.write(cfg.Data); err != nil {
		return RecoverInfo{}, err
	}
	raftDir := filepath.Join(cfg.Data, "raft")
	if err := os.MkdirAll(raftDir, 0o700); err != nil { // a restored backup brings no log
		return RecoverInfo{}, fmt.Errorf("data: %w", err)
	}
	info, err := withState(&cfg, func(s *store.Store, info *RecoverInfo) error {
		return consensus.Recover(consensus.RecoverConfig{
			Dir:    raftDir,
			Term:   anchoredTerm(&cfg, life),
			Server: consensus.Server{ID: life.server(), Address: cfg.Listen.Raft, Voter: true},
			Logger: log,
		}, &machine{node: &Node{store: s, env: Environment{}.withDefaults(), disk: &disk{}}})
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
	info.Size, info.Root, info.Index, info.Listings = head.Size, head.Root, s.Position().Index, s.Count()
	return info, nil
}

// ownInstitution lets only the callers of the node's own institution pass.
func (n *Node) ownInstitution(ctx context.Context, what string) error {
	if who := callerOf(ctx); who.Institution != n.creds.Identity.Institution {
		return status.Errorf(codes.PermissionDenied, "%s: belongs to %s alone", what, n.creds.Identity.Institution)
	}
	return nil
}
