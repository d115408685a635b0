//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package consensus

import (
	"io"
	"os"
	"path/filepath"
)

// lockDir has no lock to take here: the machine's own must do.
func lockDir(dir string) (io.Closer, error) {
	return os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
}
