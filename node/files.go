package node

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/risknet/risknet/fault"
)

// writeFileSync replaces a file so that a crash leaves the old one or the new.
func writeFileSync(path string, data []byte) error {
	temp := path + ".new"
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	fault.Point("node: file written, not renamed")
	// If we crash here, the old file stands and the new one is overwritten some day.
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	fault.Point("node: file renamed, not synced")
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
