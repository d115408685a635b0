package store

import (
	"encoding/binary"
	"testing"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/skl"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
	"github.com/dgraph-io/ristretto/v2/z"
)

// The buffer in which badger makes a table of what it has in memory doubles when it is
// full, and eight of them stay that large: a little more in memory, or in a record,
// and a node takes half a gigabyte more.
func TestTheBufferOfATableStaysAt60MiB(t *testing.T) {
	w := newWorld()
	for i := range 8 {
		w.publish(w.acq, "", subjects(512*i, 512)...)
	}
	s := open(t, t.TempDir(), Options{})
	defer s.Close()
	mustApply(t, s, w.entries)
	var o Options
	if err := o.complete(); err != nil {
		t.Fatal(err)
	}
	list := skl.NewSkiplist(2 * o.MemTableBytes)
	for round := uint64(1); list.MemSize() < o.MemTableBytes; round++ {
		err := s.newest(func(_ *meta, txn *badger.Txn) error {
			return walk(txn, nil, func(item *badger.Item) error {
				value, err := item.ValueCopy(nil)
				if list.MemSize() < o.MemTableBytes {
					key := binary.BigEndian.AppendUint64(item.KeyCopy(nil)[:1:1], round) // another of its kind
					list.Put(y.KeyWithTs(append(key, item.Key()[1:]...), round), y.ValueStruct{Value: value})
				}
				return err
			})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	made := badgerOptions("", o.MemTableBytes, quiet)
	if made.TableSizeMultiplier != 1 || made.NumCompactors != compactors {
		t.Errorf("tables grow %d times a level, and %d compactors have them in the works", made.TableSizeMultiplier, made.NumCompactors)
	}
	pool := z.NewAllocatorPool(1)
	defer pool.Release()
	b := table.NewTableBuilder(table.Options{TableSize: uint64(made.BaseTableSize), BlockSize: made.BlockSize,
		BloomFalsePositive: made.BloomFalsePositive, Compression: options.Snappy, AllocPool: pool})
	it := list.NewIterator()
	defer it.Close()
	for it.SeekToFirst(); it.Valid(); it.Next() {
		b.Add(it.Key(), it.Value(), 0)
	}
	b.Done()
	b.Close()
	buffer := pool.Get(0, "test")
	defer buffer.Release()
	if took := buffer.Allocated(); took > 60<<20 {
		t.Errorf("it takes %d MiB", took>>20)
	}
}
