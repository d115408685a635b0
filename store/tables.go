package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"sync"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
	"github.com/dgraph-io/ristretto/v2/z"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"
)

// tableWriter writes a directory for badger to open: tables of keys that come in order,
// all in badger's last level, and the manifest that names them. Badger's own stream
// writer does the same on the way through a message for each key, which it takes apart
// again: that was a quarter of what an image costs; it also ends the process where keys
// are not in order.
type tableWriter struct {
	dir     string
	options table.Options
	level   uint32
	version uint64

	builder *table.Builder // nil between two tables
	key     []byte         // the last one, with its version
	changes []*pb.ManifestChange
	writing errgroup.Group // of tables that are full
	buffers sync.Pool      // a table as it goes to the disk
}

// Tables on their way to the disk are held in twice their room each, and written beside
// the one that fills.
const (
	loadedTableBytes = 8 << 20
	loadedAtOnce     = 2
)

func newTableWriter(dir string, o badger.Options, version uint64) *tableWriter {
	w := &tableWriter{dir: dir, level: uint32(o.MaxLevels - 1), version: version, options: table.Options{
		TableSize: loadedTableBytes, BlockSize: o.BlockSize, BloomFalsePositive: o.BloomFalsePositive,
		Compression: o.Compression, ZSTDCompressionLevel: o.ZSTDCompressionLevel,
		AllocPool: z.NewAllocatorPool(loadedAtOnce + 1)}}
	w.writing.SetLimit(loadedAtOnce)
	return w
}

var errNotInOrder = errors.New("its keys are not in order")

// add puts a key into the table that fills. It keeps neither key nor value.
func (w *tableWriter) add(key, value []byte) error {
	if last := len(w.key) - 8; last >= 0 && bytes.Compare(key, w.key[:last]) <= 0 {
		return errNotInOrder
	}
	if w.builder != nil && w.builder.ReachedCapacity() {
		w.full()
	}
	if w.builder == nil {
		w.builder = table.NewTableBuilder(w.options)
	}
	w.key = binary.BigEndian.AppendUint64(append(w.key[:0], key...), ^w.version) // as badger has it
	w.builder.Add(w.key, y.ValueStruct{Value: value}, 0)
	return nil
}

// full has the table written, and waits for others if there are too many.
func (w *tableWriter) full() {
	builder, id := w.builder, uint64(len(w.changes)+1)
	w.builder = nil
	w.changes = append(w.changes, &pb.ManifestChange{Id: id, Op: pb.ManifestChange_CREATE,
		Level: w.level, Compression: uint32(w.options.Compression)})
	w.writing.Go(func() error {
		defer builder.Close()
		done := builder.Done()
		buffer, _ := w.buffers.Get().(*[]byte)
		if buffer == nil || cap(*buffer) < done.Size {
			buffer = new(make([]byte, done.Size+done.Size/8))
		}
		defer w.buffers.Put(buffer)
		data := (*buffer)[:done.Size]
		if n := done.Copy(data); n != len(data) {
			return fmt.Errorf("table %d has %d bytes, not %d", id, n, len(data))
		}
		return writeNew(table.NewFilename(id, w.dir), data)
	})
}

// close ends what is under way, and gives its error; what was written is of no use
// without a manifest.
func (w *tableWriter) close() error {
	if w.builder != nil {
		w.builder.Finish() // its goroutines end
		w.builder.Close()
		w.builder = nil
	}
	err := w.writing.Wait()
	w.options.AllocPool.Release()
	return err
}

// finish has everything on disk, the manifest last.
func (w *tableWriter) finish() error {
	if w.builder != nil {
		w.full()
	}
	if err := w.close(); err != nil {
		return err
	}
	set, err := proto.Marshal(&pb.ManifestChangeSet{Changes: w.changes})
	if err != nil {
		return err
	}
	// "Bdgr" | u16 of ours, 0 | u16 version 8 | u32 length | CRC-32C | changes
	manifest := append([]byte("Bdgr"), 0, 0, 0, 8)
	manifest = binary.BigEndian.AppendUint32(manifest, uint32(len(set)))
	manifest = binary.BigEndian.AppendUint32(manifest, crc32.Checksum(set, y.CastagnoliCrcTable))
	if err := replaceFile(filepath.Join(w.dir, badger.ManifestFilename), append(manifest, set...)); err != nil {
		return fmt.Errorf("name the tables: %w", err)
	}
	return nil
}

// writeNew writes a file that is not there, durably; its name is made durable by who
// writes the next one beside it.
func writeNew(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}
