//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package consensus

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// lockDir keeps a second process from the log. The system frees the lock when the
// process ends, however it ends.
func lockDir(dir string) (io.Closer, error) {
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		err = fmt.Errorf("another process has it open; stop that one first: %w", err)
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}
