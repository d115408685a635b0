package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/risknet/risknet/ledger"
)

// Chunk is a run of neighbouring leaves, for a replica that an image has brought
// up without them. It proves itself: its leaves, appended to its edge, must give
// the very edge that the receiver trusts where they end. So chunks go backwards,
// from the newest to the oldest.
//
// Bodies are not in it. They are part of the state and came with the image; one
// that the state does not hold any more was destroyed, and must stay so.
//
//	u8 version=1 | u64 from | u16 edge | u16 leaves { u16 leaf }
type Chunk struct {
	From   uint64   // index of the first leaf
	Edge   []byte   // the tree's right edge at size From; see ledger.Edge
	Leaves [][]byte // at most a tile of them, within one tile
}

// ErrChunk says that a chunk is not what it claims to be.
var ErrChunk = errors.New("the chunk of the ledger is damaged or forged")

func badChunk(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrChunk, fmt.Sprintf(format, args...))
}

const (
	chunkVersion = 1

	// chunkBytes bounds the leaves of a chunk that is read, so that it fits into a
	// message and a transaction. A single leaf is always below it.
	chunkBytes = 1 << 20

	// MaxChunkBytes bounds an encoded chunk.
	MaxChunkBytes = chunkBytes + 8<<10
)

// Encode gives the bytes to send.
func (c *Chunk) Encode() []byte {
	dst := append(make([]byte, 0, c.size()), chunkVersion)
	dst = binary.BigEndian.AppendUint64(dst, c.From)
	dst = append(binary.BigEndian.AppendUint16(dst, uint16(len(c.Edge))), c.Edge...)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(c.Leaves)))
	for _, leaf := range c.Leaves {
		dst = append(binary.BigEndian.AppendUint16(dst, uint16(len(leaf))), leaf...)
	}
	return dst
}

func (c *Chunk) size() int {
	n := 1 + 8 + 2 + len(c.Edge) + 2
	for _, leaf := range c.Leaves {
		n += 2 + len(leaf)
	}
	return n
}

// DecodeChunk reads what [Chunk.Encode] writes and refuses all else.
func DecodeChunk(data []byte) (*Chunk, error) {
	if len(data) > MaxChunkBytes {
		return nil, badChunk("it has %d bytes; at most %d are possible", len(data), MaxChunkBytes)
	}
	if len(data) < 9 || data[0] != chunkVersion {
		return nil, badChunk("it does not begin as one of version %d", chunkVersion)
	}
	c := &Chunk{From: binary.BigEndian.Uint64(data[1:])}
	edge, rest, ok := short(data[9:])
	if !ok || len(rest) < 2 {
		return nil, badChunk("it is cut short")
	}
	c.Edge = bytes.Clone(edge)
	count := int(binary.BigEndian.Uint16(rest))
	if count == 0 || count > ledger.TileWidth {
		return nil, badChunk("it has %d leaves; 1 to %d are possible", count, ledger.TileWidth)
	}
	rest = rest[2:]
	for range count {
		var leaf []byte
		if leaf, rest, ok = short(rest); !ok {
			return nil, badChunk("it is cut short")
		}
		c.Leaves = append(c.Leaves, bytes.Clone(leaf))
	}
	if len(rest) > 0 {
		return nil, badChunk("there is more behind its end")
	}
	return c, nil
}

// short takes bytes behind a u16 length.
func short(b []byte) (part, rest []byte, ok bool) {
	if len(b) < 2 || len(b)-2 < int(binary.BigEndian.Uint16(b)) {
		return nil, nil, false
	}
	n := 2 + int(binary.BigEndian.Uint16(b))
	return b[2:n:n], b[n:], true
}

// grow checks that the leaves end where the trusted edge begins, and gives what
// is to be stored: the edge at From, and the hashes that the leaves complete.
func (c *Chunk) grow(trusted *ledger.Edge) (first ledger.Edge, hashes []ledger.Hash, err error) {
	before, count := trusted.Size(), uint64(len(c.Leaves))
	if count == 0 || count > ledger.TileWidth || c.From >= before || before-c.From != count {
		return first, nil, badChunk("it has %d leaves from %d on; wanted were those before %d", count, c.From, before)
	}
	if n := c.size(); n > MaxChunkBytes {
		return first, nil, badChunk("it has %d bytes; at most %d are possible", n, MaxChunkBytes)
	}
	if first, err = ledger.ParseEdge(c.Edge); err != nil {
		return first, nil, badChunk("its edge: %v", err)
	}
	if first.Size() != c.From {
		return first, nil, badChunk("its edge is of size %d, and its first leaf %d", first.Size(), c.From)
	}
	edge := first
	for _, leaf := range c.Leaves {
		hashes = edge.Append(hashes, ledger.LeafHash(leaf))
	}
	if edge != *trusted {
		return first, nil, badChunk("its leaves do not lead to the root at size %d", before)
	}
	return first, hashes, nil
}
