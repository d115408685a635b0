package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// alone is what badger by itself takes for so many entries of 100 bytes, in seconds: to
// load them with a WriteBatch, to see all keys after it was opened again, and to bring
// them into another one by backup and load. No law, no ledger, no other node.
type alone struct {
	Entries int     `json:"entries"`
	Load    float64 `json:"load_s"`
	Scan    float64 `json:"scan_s"`
	Copy    float64 `json:"copy_s"`
}

const (
	badgerKey   = 34 // as a link to a listing has
	badgerValue = 66
)

func openBadger(dir string) (*badger.DB, error) {
	return badger.Open(badger.DefaultOptions(dir).WithLogger(nil).WithMemTableSize(32 << 20).WithValueThreshold(1 << 20).
		WithValueLogFileSize(16 << 20).WithBlockCacheSize(64 << 20).WithIndexCacheSize(64 << 20).WithDetectConflicts(false))
}

// badgerAlone measures and prints it.
func badgerAlone(entries int) error {
	a := alone{Entries: entries}
	dir, err := os.MkdirTemp("", "risknet-peers-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	timed := func(into *float64, do func() error) {
		if err == nil {
			began := time.Now()
			err = do()
			*into = time.Since(began).Seconds()
		}
	}
	timed(&a.Load, func() error { return loadBadger(dir, entries) })
	timed(&a.Scan, func() error { return scanBadger(dir, entries) })
	timed(&a.Copy, func() error { return copyBadger(dir, dir+"/copy") })
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(&a)
}

func loadBadger(dir string, entries int) error {
	db, err := openBadger(dir)
	if err != nil {
		return err
	}
	batch := db.NewWriteBatch()
	defer batch.Cancel()
	for i := range entries {
		token, again := tokenOf(uint64(i)), tokenOf(uint64(i)+1<<40)
		key := append(append([]byte{1, 2}, token[:]...), again[:]...)
		value := binary.BigEndian.AppendUint64(make([]byte, 0, badgerValue), uint64(i))
		if err := batch.Set(key[:badgerKey], value[:badgerValue]); err != nil {
			return err
		}
	}
	if err := batch.Flush(); err != nil {
		return err
	}
	return db.Close()
}

// scanBadger opens what was loaded, and goes over its keys.
func scanBadger(dir string, entries int) error {
	db, err := openBadger(dir)
	if err != nil {
		return err
	}
	n := 0
	err = db.View(func(txn *badger.Txn) error {
		o := badger.DefaultIteratorOptions
		o.PrefetchValues = false
		it := txn.NewIterator(o)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			n++
		}
		return nil
	})
	if err == nil && n != entries {
		err = fmt.Errorf("badger has %d of %d keys", n, entries)
	}
	if closing := db.Close(); err == nil {
		err = closing
	}
	return err
}

func copyBadger(from, to string) error {
	source, err := openBadger(from)
	if err != nil {
		return err
	}
	defer source.Close()
	if err := os.Mkdir(to, 0o700); err != nil {
		return err
	}
	target, err := openBadger(to)
	if err != nil {
		return err
	}
	defer target.Close()
	read, write := io.Pipe()
	sent := make(chan error, 1)
	go func() {
		_, err := source.Backup(write, 0)
		_ = write.CloseWithError(err) // nil is the end
		sent <- err
	}()
	if err := target.Load(read, 256); err != nil {
		_ = read.CloseWithError(err)
		<-sent
		return err
	}
	return <-sent
}
