package consensus

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/types"
)

// An entry on disk, all numbers little endian:
//
//	 0  4  CRC-32C of all that follows
//	 4  8  index
//	12  8  term
//	20  8  when the leader appended it, Unix nanoseconds, 0 if unknown
//	28  1  raft's type
//	29  4  length of the extensions
//	33     extensions, then data to the end
//
// The log itself checks only its last batch, and takes what fails there for a
// write that was torn. Rot in any other entry would be replicated and applied.
const entryHead = 33

// codecID names this layout; lower ids are the library's.
const codecID = wal.FirstExternalCodecID + 0x724e31

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type codec struct{}

var _ wal.Codec = codec{}

func (codec) ID() uint64 { return codecID }

func (codec) Encode(l *raft.Log, w io.Writer) error {
	record := make([]byte, entryHead, entryHead+len(l.Extensions)+len(l.Data))
	binary.LittleEndian.PutUint64(record[4:], l.Index)
	binary.LittleEndian.PutUint64(record[12:], l.Term)
	if !l.AppendedAt.IsZero() {
		binary.LittleEndian.PutUint64(record[20:], uint64(l.AppendedAt.UnixNano()))
	}
	record[28] = byte(l.Type)
	binary.LittleEndian.PutUint32(record[29:], uint32(len(l.Extensions)))
	record = append(append(record, l.Extensions...), l.Data...)
	binary.LittleEndian.PutUint32(record, crc32.Checksum(record[4:], castagnoli))
	_, err := w.Write(record)
	return err
}

// Decode copies: the record's bytes are used again.
func (codec) Decode(record []byte, l *raft.Log) error {
	if len(record) < entryHead {
		return fmt.Errorf("%w: an entry of %d bytes is shorter than its head", ErrDamaged, len(record))
	}
	if binary.LittleEndian.Uint32(record) != crc32.Checksum(record[4:], castagnoli) {
		return fmt.Errorf("%w: the checksum of an entry does not match", ErrDamaged)
	}
	body, extensions := record[entryHead:], binary.LittleEndian.Uint32(record[29:])
	if uint64(extensions) > uint64(len(body)) {
		return fmt.Errorf("%w: an entry's extensions are longer than the entry", ErrDamaged)
	}
	*l = raft.Log{
		Index:      binary.LittleEndian.Uint64(record[4:]),
		Term:       binary.LittleEndian.Uint64(record[12:]),
		Type:       raft.LogType(record[28]),
		Extensions: clone(body[:extensions]),
		Data:       clone(body[extensions:]),
	}
	if at := int64(binary.LittleEndian.Uint64(record[20:])); at != 0 {
		l.AppendedAt = time.Unix(0, at)
	}
	return nil
}

// clone gives nil for nothing, as raft had it.
func clone(b []byte) []byte { return append([]byte(nil), b...) }

// segments writes our codec's id into new files. The log always announces its own
// codec for them, and would then refuse to open what it wrote with another.
type segments struct{ types.SegmentFiler }

func (s segments) Create(info types.SegmentInfo) (types.SegmentWriter, error) {
	info.Codec = codecID
	return s.SegmentFiler.Create(info)
}
