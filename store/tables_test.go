package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/dgraph-io/badger/v4"
)

// What is written as tables is what badger then reads, table by table.
func TestBadgerOpensTheTablesThatWereWritten(t *testing.T) {
	const n, version = 40_000, 7
	dir := t.TempDir()
	o := badgerOptions(dir, MinMemTableBytes, quiet)
	w := newTableWriter(dir, o, version)
	w.options.TableSize = 64 << 10
	key := func(i int) []byte { return fmt.Appendf(nil, "%c%08d", 'b'+i/(n/2), i) }
	value := func(i int) []byte { return bytes.Repeat([]byte{byte(i)}, i%200) }
	for i := range n {
		if err := w.add(key(i), value(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.finish(); err != nil {
		t.Fatal(err)
	}
	gen, err := openGeneration(dir, Options{MemTableBytes: MinMemTableBytes, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer gen.close()
	if err := gen.sound(t.Context()); err != nil {
		t.Fatal(err)
	}
	if tables := gen.db.Tables(); len(tables) < 10 || len(tables) != len(w.changes) {
		t.Errorf("badger has %d tables of %d", len(tables), len(w.changes))
	}
	i := 0
	txn := gen.db.NewTransactionAt(version, false)
	defer txn.Discard()
	err = walk(txn, nil, func(item *badger.Item) error {
		got, err := item.ValueCopy(nil)
		if err == nil && (!bytes.Equal(item.Key(), key(i)) || !bytes.Equal(got, value(i)) || item.Version() != version) {
			err = fmt.Errorf("%q at %d has %d bytes, want %q with %d", item.Key(), item.Version(), len(got), key(i), len(value(i)))
		}
		i++
		return err
	})
	if err != nil || i != n {
		t.Errorf("%d of %d keys: %v", i, n, err)
	}
}

// Badger's stream writer ended the process at that.
func TestKeysThatAreNotInOrderAreRefused(t *testing.T) {
	for _, second := range []string{"b", "a", ""} {
		dir := t.TempDir()
		w := newTableWriter(dir, badgerOptions(dir, MinMemTableBytes, quiet), 1)
		if err := w.add([]byte("b"), nil); err != nil {
			t.Fatal(err)
		}
		if err := w.add([]byte(second), nil); !errors.Is(err, errNotInOrder) {
			t.Errorf("%q behind %q: %v", second, "b", err)
		}
		if err := w.close(); err != nil {
			t.Error(err)
		}
		if left, _ := os.ReadDir(dir); len(left) != 0 {
			t.Errorf("%d files are left", len(left))
		}
	}
}

// A table that cannot be written fails the whole, and nothing names the others.
func TestATableThatCannotBeWrittenFailsTheImage(t *testing.T) {
	dir := t.TempDir()
	w := newTableWriter(dir, badgerOptions(dir, MinMemTableBytes, quiet), 1)
	if err := os.Mkdir(filepath.Join(dir, "000001.sst"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := w.add([]byte("b"), nil); err != nil {
		t.Fatal(err)
	}
	if err := w.finish(); err == nil {
		t.Error("it has finished")
	}
	if _, err := os.Stat(filepath.Join(dir, badger.ManifestFilename)); err == nil {
		t.Error("there is a manifest")
	}
}
