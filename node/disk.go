package node

import (
	"context"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"
)

// disk watches how much is free where the node writes. Badger writes through
// mapped files, and a full disk ends the process with SIGBUS in the middle of a
// write, so the node stops taking anything new well before.
type disk struct {
	dir     string
	reserve uint64
	free    func(dir string) (uint64, error)
	low     atomic.Uint64 // bytes free, if that is below the reserve; else 0
	left    atomic.Uint64 // bytes free when last looked
}

// startShare of the reserve must be free for a node to start at all: opening the
// state writes.
const startShare = 8

func openDisk(cfg *Config, free func(string) (uint64, error)) (*disk, error) {
	d := &disk{dir: cfg.Data, reserve: uint64(cfg.Disk.Reserve), free: free}
	left, err := d.look()
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	if left < d.reserve/startShare {
		return nil, fmt.Errorf("data: %d bytes are free on the disk of %s; free at least %d (an eighth of disk.reserve) before this node starts", left, d.dir, d.reserve/startShare)
	}
	return d, nil
}

func freeBytes(dir string) (uint64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return s.Bavail * uint64(s.Bsize), nil
}

func (d *disk) look() (uint64, error) {
	left, err := d.free(d.dir)
	if err != nil {
		return 0, err
	}
	d.left.Store(left)
	if left < d.reserve {
		d.low.Store(max(1, left))
	} else {
		d.low.Store(0)
	}
	return left, nil
}

// hold is why this node takes nothing new; nil while it does.
func (d *disk) hold() error {
	if left := d.low.Load(); left > 0 {
		return fmt.Errorf("the disk of this node is nearly full: %d bytes are free, disk.reserve is %d; free some, nothing else has to be done", left, d.reserve)
	}
	return nil
}

// roomFor refuses what would eat into the reserve. It looks at the disk each time:
// an image can fill it within a second.
func (d *disk) roomFor(bytes uint64) error {
	left, err := d.look()
	if err != nil {
		return err
	}
	if left < d.reserve+bytes {
		return fmt.Errorf("the disk of this node is too full: %d bytes are free, %d are needed beside disk.reserve of %d", left, bytes, d.reserve)
	}
	return nil
}

// roomForState refuses an image that comes in if there is no room for it and for
// the state that it becomes, which stands beside the old one.
func (d *disk) roomForState(image uint64) error { return d.roomFor(2 * image) }

const diskEvery = time.Second

// watchDisk looks once a second and tells when things change.
func (n *Node) watchDisk(ctx context.Context) error {
	held := n.disk.hold() != nil
	if held {
		n.log.Error("alarm", "error", n.disk.hold())
	}
	for pause(ctx, diskEvery) {
		if _, err := n.disk.look(); err != nil {
			n.log.Error("alarm", "error", err)
			continue
		}
		err := n.disk.hold()
		if err != nil && !held {
			n.log.Error("alarm", "error", err)
		}
		if err == nil && held {
			n.log.Info("the disk has room again")
		}
		held = err != nil
	}
	return nil
}
