package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
	"google.golang.org/protobuf/proto"
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

// checkFiles reads every table of a state, before badger does or, when it is
// open, beside it. Badger verifies
// a block when it first reads it, takes a damaged one for "not found", opens
// tables on goroutines of its own where a panic ends the process, and ends the
// process itself where a table is cut short. Tables that the manifest does not
// name are what a crash left; badger removes them.
func checkFiles(dir string, options badger.Options, open bool) error {
	manifest, err := readManifest(dir, options)
	if errors.Is(err, os.ErrNotExist) {
		return checkNew(dir)
	}
	if err != nil {
		return err
	}
	return checkTables(dir, manifest, func(id uint64) bool {
		if !open {
			return true
		}
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
	for id, one := range manifest.Tables {
		path := table.NewFilename(id, dir)
		if err := checkTable(path, one.Compression); err != nil && named(id) {
			return fmt.Errorf("%w: table %s: %w; %s", ErrDamaged, path, err, cure)
		}
	}
	return nil
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

// checkTable verifies the checksums of one table: of its index here, because
// badger ends the process where the lengths are wrong, and of its blocks.
func checkTable(path string, compression options.CompressionType) (err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := checkFooter(data); err != nil {
		return err
	}
	defer func() {
		if p := recover(); p != nil { // badger's, at a block that it cannot take apart
			err = fmt.Errorf("%v", p)
		}
	}()
	t, err := table.OpenInMemoryTable(data, 0, &table.Options{ChkMode: options.OnBlockRead, Compression: compression})
	if err != nil {
		return err
	}
	return t.VerifyChecksum()
}

// checkFooter: blocks | index | u32 index | checksum | u32 checksum.
func checkFooter(data []byte) error {
	rest, sum, ok := behind(data)
	if !ok {
		return errors.New("it is cut short")
	}
	index, ok := []byte(nil), false
	if rest, index, ok = behind(rest); !ok || len(rest) == 0 {
		return errors.New("it is cut short")
	}
	var want pb.Checksum
	if err := proto.Unmarshal(sum, &want); err != nil {
		return err
	}
	return y.VerifyChecksum(index, &want)
}

// behind takes bytes before a u32 length at the end.
func behind(b []byte) (rest, part []byte, ok bool) {
	n := len(b) - 4
	if n < 0 {
		return nil, nil, false
	}
	size := uint64(binary.BigEndian.Uint32(b[n:]))
	if size > uint64(n) {
		return nil, nil, false
	}
	return b[:n-int(size)], b[n-int(size) : n], true
}
