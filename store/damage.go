package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/dgraph-io/badger/v4"
)

// ErrDamaged says that something which must be there is not: the disk, or what
// wrote to it, has failed. Never answer "not listed" after it.
var ErrDamaged = errors.New("the store is damaged")

// cure is what a person does about damage.
const cure = "let this node join anew with an empty data directory, or restore a backup"

// caught makes an error of badger's panic at what it reads. Our own mistakes
// stay panics: a node that quarantined itself for one would hide it.
func (g *generation) caught(err *error) {
	p := recover()
	if p == nil {
		return
	}
	if !panickedInBadger() {
		panic(p)
	}
	g.log.Error("badger has panicked", "panic", p, "dir", g.dir)
	*err = fmt.Errorf("%w: badger cannot read what it wrote: %v", ErrDamaged, p)
}

// panickedInBadger reports whether the innermost of badger's or our own
// functions on the panicking stack is one of badger's.
func panickedInBadger() bool {
	var pcs [128]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs[:])]) // behind recover's caller
	for {
		frame, more := frames.Next()
		switch {
		case strings.HasPrefix(frame.Function, "github.com/dgraph-io/"):
			return true
		case strings.HasPrefix(frame.Function, "github.com/risknet/"):
			return false
		case !more:
			return false
		}
	}
}

// openError tells damage from what else can stop badger: a full disk, another
// process in the directory, a right that is missing.
func openError(dir string, err error) error {
	what := fmt.Errorf("open the state in %s: %w", dir, err)
	if errors.Is(err, fs.ErrPermission) || strings.Contains(err.Error(), "Another process is using") {
		return what
	}
	for _, cause := range []error{syscall.ENOSPC, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EROFS, syscall.EAGAIN, syscall.EWOULDBLOCK} {
		if errors.Is(err, cause) {
			return what
		}
	}
	return fmt.Errorf("%w: %w; %s", ErrDamaged, what, cure)
}

// checkFiles reads every table of an open state, beside badger, which verifies a
// block when it first reads it. Tables that the manifest does not name are what a
// crash left, or what was merged meanwhile.
func checkFiles(dir string, options badger.Options) error {
	manifest, err := readManifest(dir, options)
	if err != nil {
		return err
	}
	return checkTables(dir, manifest, func(id uint64) bool {
		manifest, err := readManifest(dir, options)
		_, named := manifest.Tables[id]
		return err != nil || named
	})
}

func readManifest(dir string, options badger.Options) (badger.Manifest, error) {
	f, err := os.Open(filepath.Join(dir, badger.ManifestFilename))
	if err != nil {
		return badger.Manifest{}, err
	}
	defer f.Close()
	manifest, _, err := badger.ReplayManifestFile(f, 0, options)
	if err != nil {
		return badger.Manifest{}, fmt.Errorf("%w: %s: %w; %s", ErrDamaged, f.Name(), err, cure)
	}
	return manifest, nil
}

// checkTables passes over a table that is not named any more: badger has merged
// it into others, and cuts a file to nothing before it removes it.
func checkTables(dir string, manifest badger.Manifest, named func(id uint64) bool) error {
	return inParallel(refsOf(dir, manifest), func(t *tableFile, ref tableRef) error {
		if err := t.whole(ref.path, ref.compression); err != nil && named(ref.id) {
			return ref.damaged(err)
		}
		return nil
	})
}

// checkNew: the manifest is the first file of a state. Badger would remove every
// table that a lost one named.
func checkNew(dir string) error {
	for _, pattern := range []string{"*.sst", "*.mem", "KEYREGISTRY"} {
		if there, _ := filepath.Glob(filepath.Join(dir, pattern)); len(there) > 0 {
			return fmt.Errorf("%w: %s holds a state and no file %s; %s", ErrDamaged, dir, badger.ManifestFilename, cure)
		}
	}
	return nil
}
