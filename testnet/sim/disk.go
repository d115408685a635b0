package sim

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// copyTree copies a directory as it stands. Holes stay holes: badger maps files
// that are much longer than what they hold.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch {
		case entry.IsDir():
			return os.MkdirAll(filepath.Join(to, name), 0o700)
		case entry.Type().IsRegular():
			return copyFile(path, filepath.Join(to, name))
		}
		return nil // a socket
	})
}

const copyBlock = 64 << 10

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if err := out.Truncate(info.Size()); err != nil {
		return err
	}
	block := make([]byte, copyBlock)
	for at := int64(0); at < info.Size(); {
		if at = nextData(in, at); at < 0 {
			return nil
		}
		n, err := in.ReadAt(block, at)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if n == 0 {
			return nil
		}
		if _, err := out.WriteAt(block[:n], at); err != nil {
			return err
		}
		at += int64(n)
	}
	return nil
}

// seekData is lseek's SEEK_DATA on Linux.
const seekData = 3

// nextData finds where the file goes on after a hole; -1 if only a hole is left.
// A system that cannot tell has no holes.
func nextData(f *os.File, at int64) int64 {
	next, err := f.Seek(at, seekData)
	switch {
	case err == nil:
		return next
	case isNoData(err):
		return -1
	default:
		return at
	}
}

// copyState copies the directory of a state that goes on changing: again, until no
// file has come or gone meanwhile. What was synced before is in the copy, and
// perhaps some of what was not, torn: as on a disk that lost its power.
func copyState(from, to string) error {
	for {
		before, err := names(from)
		if errors.Is(err, fs.ErrNotExist) {
			continue // an older state is just being removed
		}
		if err != nil {
			return err
		}
		if err := os.RemoveAll(to); err != nil {
			return err
		}
		err = copyTree(from, to)
		after, again := names(from)
		if again != nil && !errors.Is(again, fs.ErrNotExist) {
			return again
		}
		if slices.Equal(before, after) {
			return err
		}
	}
}

// names lists all files of a directory; a manifest with its length, because it
// says which of the others count.
func names(dir string) ([]string, error) {
	var list []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if filepath.Base(path) == "MANIFEST" {
			info, err := entry.Info()
			if err != nil {
				return err
			}
			path += info.ModTime().String()
		}
		list = append(list, path)
		return nil
	})
	return list, err
}

// replaceTree puts a copy in the place of a directory. A copy that was never made
// leaves nothing.
func replaceTree(dir, copied string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if _, err := os.Stat(copied); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return copyTree(copied, dir)
}
