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
	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/store"
)

// BackupInfo says what a backup holds.
type BackupInfo = store.ArchiveInfo

// Backup streams an archive of state and ledger to the node's own institution.
func (s *clusterService) Backup(_ *apiv1.BackupRequest, stream grpc.ServerStreamingServer[apiv1.BackupPart]) error {
	if !s.node.backingUp.TryLock() {
		return status.Error(codes.ResourceExhausted, "backup: another one is under way, and each takes as much room as the state; wait for its end")
	}
	defer s.node.backingUp.Unlock()
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

// verifyPrefix begins the name of a directory in which a backup is verified.
const verifyPrefix = "risknet-verify-"

// VerifyBackup reads a whole backup as a restore would, in a directory that it
// makes below scratch and removes again.
func VerifyBackup(ctx context.Context, backup *os.File, scratch string) (BackupInfo, error) {
	sweepVerified(scratch)
	if err := roomToUnpack(backup, scratch); err != nil {
		return BackupInfo{}, fmt.Errorf("scratch: %w, or name another directory", err)
	}
	dir, err := os.MkdirTemp(scratch, verifyPrefix+"*")
	if err != nil {
		return BackupInfo{}, fmt.Errorf("scratch: %w; name a directory where you may write", err)
	}
	defer os.RemoveAll(dir)
	lock, err := lockData(dir)
	if err != nil {
		return BackupInfo{}, err
	}
	defer lock.Close()
	return store.ReadArchive(filepath.Join(dir, "state"), stopped{ctx, backup}, store.Options{Logger: slog.New(slog.DiscardHandler)})
}

// sweepVerified removes what a verification that was killed has left. One that is
// under way holds the lock of its directory.
func sweepVerified(scratch string) {
	left, _ := filepath.Glob(filepath.Join(scratch, verifyPrefix+"*")) // the pattern is well-formed
	for _, dir := range left {
		lock, err := lockWithin(0, dir)
		if err != nil {
			continue
		}
		_ = os.RemoveAll(dir) // it is in nobody's way but the disk's, which is asked next
		_ = lock.Close()
	}
}

// roomToUnpack refuses where a backup could fill the disk: badger writes through
// mapped files, so that would end the process. A state takes about as much as its
// backup, and while it is built as much again.
func roomToUnpack(backup *os.File, dir string) error {
	info, err := backup.Stat()
	if err != nil {
		return err
	}
	free, err := freeBytes(dir)
	if err != nil {
		return err
	}
	if need := 2*uint64(info.Size()) + 128<<20; free < need {
		return fmt.Errorf("%s: %d bytes are free there, and %d may be needed to unpack the backup; free some first", dir, free, need)
	}
	return nil
}

// stopped reads until the context ends.
type stopped struct {
	ctx  context.Context
	from io.Reader
}

func (s stopped) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.from.Read(p)
}

// restoring is where a backup is unpacked.
const restoring = "restoring"

// sweep removes what a process that has ended left half done. Who calls it has the
// lock of the data directory.
func sweep(cfg *Config) error {
	return errors.Join(store.Sweep(filepath.Join(cfg.Data, "state")), os.RemoveAll(filepath.Join(cfg.Data, restoring)))
}

// Restore puts a backup into the empty data directory of a node that does not
// run. What comes back is the past, so the node lives a new life with it: it has
// no vote until the network has brought it up to date and given it one.
func Restore(ctx context.Context, cfg Config, backup *os.File) (BackupInfo, error) {
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
	if err := errors.Join(sweep(&cfg), roomToUnpack(backup, cfg.Data)); err != nil {
		return BackupInfo{}, fmt.Errorf("data: %w", err)
	}
	state := filepath.Join(cfg.Data, "state")
	if err := os.Remove(state); err != nil && !errors.Is(err, os.ErrNotExist) { // it is empty
		return BackupInfo{}, fmt.Errorf("data: %w; the restored state takes the place of this directory: it cannot be a mount point", err)
	}
	temp := filepath.Join(cfg.Data, restoring)
	info, err := store.ReadArchive(temp, stopped{ctx, backup}, store.Options{Network: life.Network, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return info, errors.Join(fmt.Errorf("restore: %w", err), os.RemoveAll(temp))
	}
	if err := beginLife(&cfg, life); err != nil {
		return info, err
	}
	// If we crash here, the node begins with nothing; the restore can be repeated.
	if err := os.Rename(temp, state); err != nil {
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
