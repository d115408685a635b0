//go:build chaos

package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/risknet/risknet/node"
)

// canMount says why this machine cannot mount a file as a disk.
func canMount() error {
	if os.Getuid() != 0 {
		return errors.New("a loop mount needs root")
	}
	dir, err := os.MkdirTemp("", "rn")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	undo, err := mountDisk(dir, 32)
	if err != nil {
		return fmt.Errorf("a file cannot be mounted as a disk: %w", err)
	}
	undo()
	return nil
}

// mountDisk makes a file of so many MiB and mounts it as DIR/disk.
func mountDisk(dir string, mib int) (func(), error) {
	image, at := filepath.Join(dir, "disk.ext4"), filepath.Join(dir, "disk")
	if err := os.MkdirAll(at, 0o700); err != nil {
		return nil, err
	}
	if err := tools("truncate -s "+strconv.Itoa(mib)+"M "+image, "mkfs.ext4 -q -F -m 0 "+image, "mount -o loop "+image+" "+at); err != nil {
		return nil, err
	}
	return func() {
		_ = tool("umount", at)
		_ = os.Remove(image)
	}, nil
}

const (
	smallDisk    = 640 // MiB
	smallReserve = 192
)

// onSmallDisk puts the data of the second node on a disk of its own.
func onSmallDisk(_ context.Context, r *rig, s *setting) (func(), error) {
	undo, err := mountDisk(r.dir, smallDisk)
	if err != nil {
		return nil, err
	}
	s.tune = func(c *node.Config) {
		if c.Name == smallDiskNode {
			c.Data = filepath.Join(r.dir, "disk", fmt.Sprintf("data-%d", r.run))
			c.Disk.Reserve = smallReserve << 20
		}
	}
	return undo, nil
}

const smallDiskNode = "n2"

// fullDisk fills the disk of a node while everybody writes until half of its
// reserve is left, and frees it after a while. Checks on that node must go on,
// and it must not fall: it is not spared.
func fullDisk(ctx context.Context, r *rig) error {
	if err := r.leadInTurn(ctx); err != nil {
		return err
	}
	return r.fill(ctx, smallReserve<<19)
}

// lastByte lets somebody else take the reserve too. The node may end, and is
// started again when there is room; badger may end it by SIGBUS.
func lastByte(ctx context.Context, r *rig) error {
	if err := r.leadInTurn(ctx); err != nil {
		return err
	}
	r.strike(smallDiskNode)
	r.tolerate("fatal error: fault")
	if err := r.fill(ctx, 0); err != nil {
		return err
	}
	if r.gone(ctx, smallDiskNode, time.Second) {
		r.result.note("the node ended: %s", shorten(r.logs[smallDiskNode].errorLine()))
		return r.network.run(smallDiskNode)
	}
	return nil
}

// leadInTurn has the node with the small disk lead in each second run.
func (r *rig) leadInTurn(ctx context.Context) error {
	if r.run%2 == 1 {
		return nil
	}
	return r.lead(ctx, smallDiskNode)
}

// fill takes all but some bytes of the small disk, piece by piece, and gives
// them back after a while.
func (r *rig) fill(ctx context.Context, leave int64) error {
	filler, err := os.Create(filepath.Join(r.dir, "disk", "filler"))
	if err != nil {
		return err
	}
	defer os.Remove(filler.Name())
	defer filler.Close()
	for size := int64(0); ; {
		var fs syscall.Statfs_t
		if err := syscall.Fstatfs(int(filler.Fd()), &fs); err != nil {
			return err
		}
		piece := min(int64(fs.Bavail)*fs.Bsize-leave, 48<<20)
		if piece <= 0 {
			break
		}
		if err := syscall.Fallocate(int(filler.Fd()), 0, size, piece); err != nil {
			break // to the last byte
		}
		size += piece
		wait(ctx, 250*time.Millisecond)
	}
	wait(ctx, r.breath(2*time.Second, 6*time.Second))
	return nil
}

// lead restarts leaders until a node leads: there is no command for it.
func (r *rig) lead(ctx context.Context, want string) error {
	for range 6 {
		leader, err := r.leader(ctx)
		if err != nil || leader == want {
			return err
		}
		r.strike(leader)
		if err := r.Stop(leader); err != nil {
			return err
		}
		if err := r.begin(ctx, leader); err != nil {
			return err
		}
	}
	return nil // it never did; the fault strikes a follower then
}

// canTrace says why this machine cannot make system calls fail.
func canTrace() error {
	if err := tool("strace", "-f", "-e", "trace=none", "true"); err != nil {
		return fmt.Errorf("strace cannot trace here: %w", err)
	}
	return nil
}

// badDisk makes the file system calls of one node's process fail for a while, as
// strace can: EIO or ENOSPC, each call or now and then. The node may end, and
// is started again then. Writes through mapped files are out of its reach.
func badDisk(ctx context.Context, r *rig) error {
	name := r.any()
	if r.run%2 == 0 {
		leader, err := r.leader(ctx)
		if err != nil {
			return err
		}
		name = leader
	}
	calls := []string{"pwrite64", "fsync,fdatasync", "pwrite64,fsync,fdatasync,openat,renameat,ftruncate"}[r.dice.IntN(3)]
	failure := []string{"EIO", "ENOSPC"}[r.dice.IntN(2)]
	when := []string{"1+", "3+7", "10+"}[r.dice.IntN(3)]
	r.strike(name)
	trace := exec.Command("strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace="+calls,
		"-e", fmt.Sprintf("inject=%s:error=%s:when=%s", calls, failure, when), "-p", strconv.Itoa(r.pid(name)))
	if err := trace.Start(); err != nil {
		return err
	}
	r.gone(ctx, name, r.breath(2*time.Second, 5*time.Second))
	_ = trace.Process.Signal(syscall.SIGTERM) // lets the process go
	late := time.AfterFunc(2*time.Second, func() { _ = trace.Process.Kill() })
	defer late.Stop()
	_ = trace.Wait()
	// A node that cannot write tries for some seconds more before it ends.
	if r.gone(ctx, name, 12*time.Second) {
		r.result.note("%s of %s ended the node: %s", failure, calls, shorten(r.logs[name].errorLine()))
		return r.network.run(name)
	}
	return nil
}

func shorten(line string) string {
	if at := strings.Index(line, "err="); at >= 0 {
		line = line[at:]
	}
	return line[:min(len(line), 160)]
}
