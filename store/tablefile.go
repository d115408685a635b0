package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/dgraph-io/badger/v4/fb"
	"github.com/dgraph-io/badger/v4/options"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
	"google.golang.org/protobuf/proto"

	"github.com/risknet/risknet/risk"
)

// tableFile reads tables, one after the other, into room that it uses again. It
// reads and does not map: what the disk cannot give is an error then, and not the
// end of the process.
//
// A table is blocks | index | u32 index | checksum | u32 checksum.
type tableFile struct {
	f    *os.File
	data []byte
}

// tableTail is read at once: checksum, and mostly the index.
const tableTail = 64 << 10

// open makes room for a table.
func (t *tableFile) open(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	t.f, t.data = f, slices.Grow(t.data[:0], int(info.Size()))[:info.Size()]
	return nil
}

func (t *tableFile) read(from, to int) error {
	if from < 0 || to > len(t.data) || from > to {
		return errors.New("its parts do not fit")
	}
	_, err := io.ReadFull(io.NewSectionReader(t.f, int64(from), int64(to-from)), t.data[from:to])
	return err
}

// whole holds every block of a table to its checksum.
func (t *tableFile) whole(path string, compression options.CompressionType) (err error) {
	if err := t.open(path); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.f.Close()) }()
	defer caughtIn(&err)
	if err := t.read(0, len(t.data)); err != nil {
		return err
	}
	if err := checkFooter(t.data); err != nil {
		return err
	}
	opened, err := t.table(compression)
	if err != nil {
		return err
	}
	return opened.VerifyChecksum()
}

// ends holds to their checksums what badger reads of a table when it opens it, its
// index and its last block, and the first block: where a compaction cannot read that,
// badger takes all tables that it merges behind this one for read, sound ones of links
// too. It tells whether the table holds nothing but what lies in bulk.
func (t *tableFile) ends(path string, compression options.CompressionType) (bulk bool, err error) {
	if err := t.open(path); err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, t.f.Close()) }()
	defer caughtIn(&err)
	size := len(t.data)
	tail := max(0, size-tableTail)
	if err := t.read(tail, size); err != nil {
		return false, err
	}
	index, length, err := indexIn(t.data, tail)
	if err != nil {
		return false, err
	}
	if index < tail {
		if err := t.read(index, tail); err != nil {
			return false, err
		}
	}
	if err := checkFooter(t.data); err != nil {
		return false, err
	}
	root := fb.GetRootAsTableIndex(t.data[index:index+length], 0)
	for _, i := range []int{0, root.OffsetsLength() - 1} {
		var block fb.BlockOffset
		if !root.Offsets(&block, i) {
			return false, errors.New("it has no blocks")
		}
		if err := t.read(int(block.Offset()), int(block.Offset())+int(block.Len())); err != nil {
			return false, err
		}
	}
	opened, err := t.table(compression) // reads the last block
	if err != nil {
		return false, err
	}
	it := opened.NewIterator(table.NOCACHE)
	defer it.Close()
	if it.Rewind(); !it.Valid() {
		return false, errors.New("its first block cannot be read")
	}
	return isBulk(opened.Smallest(), opened.Biggest()), nil
}

func (t *tableFile) table(compression options.CompressionType) (*table.Table, error) {
	return table.OpenInMemoryTable(t.data, 0, &table.Options{ChkMode: options.OnBlockRead, Compression: compression})
}

// caughtIn makes an error of badger's panic at bytes that it cannot take apart.
func caughtIn(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%v", p)
	}
}

// indexIn finds the index of a table, of which the bytes from tail on are there.
func indexIn(data []byte, tail int) (from, length int, err error) {
	at := len(data)
	for _, part := range []*int{new(int), &length} { // checksum, index
		if at -= 4; at < tail {
			return 0, 0, errors.New("it is cut short")
		}
		size := binary.BigEndian.Uint32(data[at:])
		if uint64(size) > uint64(at) {
			return 0, 0, errors.New("it is cut short")
		}
		*part = int(size)
		at -= *part
	}
	return at, length, nil
}

// checkFooter holds the index of a table to its checksum, because badger ends the
// process where the lengths are wrong.
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
	size := binary.BigEndian.Uint32(b[n:])
	if uint64(size) > uint64(n) {
		return nil, nil, false
	}
	return b[:n-int(size)], b[n-int(size) : n], true
}

// bulk are the prefixes of what a check does not read, or misses when it is not
// there, because a link or the ledger's size says that it must be: listings, their
// bodies, when they are due, leaves, and hashes. It is nearly all of a large state.
var bulk = map[byte]bool{risk.TableListings: true, prefixBody: true, prefixDue: true, prefixLeaf: true, prefixHash: true}

// isBulk reports whether all keys between two are in bulk.
func isBulk(smallest, biggest []byte) bool {
	if len(smallest) == 0 || len(biggest) == 0 {
		return false
	}
	for prefix := int(smallest[0]); prefix <= int(biggest[0]); prefix++ {
		if !bulk[byte(prefix)] {
			return false
		}
	}
	return true
}
