package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// lockPatience is how long a process that was just killed may still hold its
// files, while its threads end.
const lockPatience = 2 * time.Second

// lockData keeps a second process out of a data directory. The kernel lets go
// when the process ends, however it ends.
func lockData(data string) (*os.File, error) { return lockWithin(lockPatience, data) }

func lockWithin(patience time.Duration, data string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(data, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	for end := time.Now().Add(patience); ; <-time.After(20 * time.Millisecond) {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) || time.Now().After(end) {
			break
		}
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = fmt.Errorf("data: another process runs on %s; end it first, or name another directory", data)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
