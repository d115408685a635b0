package store

import (
	"crypto/sha256"
	"encoding/binary"

	"lukechampine.com/blake3"
	"lukechampine.com/blake3/guts"

	"github.com/risknet/risknet/risk"
)

// Lanes are the state of an LtHash: 1,024 lanes of 16 bits, added lane by lane
// modulo 2^16. Equal multisets of records have equal lanes, whatever the order
// in which records came and went.
//
// The construction is of Bellare and Micciancio (A New Paradigm for Collision-
// Free Hashing, 1997), with the parameters of Lewi, Kim, Maykov and Weis
// (Securing Update Propagation with Homomorphic Hashing, 2019), and BLAKE3 as the
// extendable hash of an element:
//
//	element = BLAKE3-XOF(u16 key length | key | value), 2,048 bytes
//	lane i  = bytes 2i and 2i+1, little-endian
//	digest  = SHA-256("risknet/v1 state\0" | lanes)
//
// Four lanes share a word here; their sums are kept from carrying over.
type Lanes [laneWords]uint64

const (
	laneBytes = 2048
	laneWords = laneBytes / 8
	lowBits   = 0x7fff_7fff_7fff_7fff
	highBits  = 0x8000_8000_8000_8000
)

// element expands a record; the buffers are used again.
type element struct {
	record []byte
	bytes  [laneBytes]byte
}

func newElement() *element { return &element{} }

const (
	xofBytes  = guts.MaxSIMD * guts.BlockSize // what one call expands, in the registers side by side
	xofBlocks = guts.MaxSIMD
)

// expand makes the element of a record. Nearly all records fit into one chunk of
// BLAKE3, which is then its own root: its output blocks differ in their number
// alone, and sixteen are made at once.
func (e *element) expand(key, value []byte) {
	defer cleanRegisters()
	e.record = binary.BigEndian.AppendUint16(e.record[:0], uint16(len(key)))
	e.record = append(append(e.record, key...), value...)
	if len(e.record) > guts.ChunkSize {
		h := blake3.New(len(risk.Hash{}), nil)
		_, _ = h.Write(e.record) // a hash takes everything
		_, _ = h.XOF().Read(e.bytes[:])
		return
	}
	root := guts.CompressChunk(e.record, &guts.IV, 0, 0)
	root.Flags |= guts.FlagRoot
	for at := 0; at < laneBytes; at += xofBytes {
		guts.CompressBlocks((*[xofBytes]byte)(e.bytes[at:]), root)
		root.Counter += xofBlocks
	}
}

// add puts a record into the multiset.
func (l *Lanes) add(e *element, key, value []byte) {
	e.expand(key, value)
	for i := range l {
		a, b := l[i], binary.LittleEndian.Uint64(e.bytes[8*i:])
		l[i] = ((a & lowBits) + (b & lowBits)) ^ ((a ^ b) & highBits)
	}
}

// remove takes a record out of the multiset.
func (l *Lanes) remove(e *element, key, value []byte) {
	e.expand(key, value)
	for i := range l {
		a, b := l[i], binary.LittleEndian.Uint64(e.bytes[8*i:])
		l[i] = ((a | highBits) - (b & lowBits)) ^ ((a ^ ^b) & highBits)
	}
}

// digest is what a leaf holds of the state.
func (l *Lanes) digest() risk.Hash {
	h := sha256.New()
	h.Write([]byte("risknet/v1 state\x00"))
	h.Write(l.bytes())
	var sum risk.Hash
	h.Sum(sum[:0])
	return sum
}

func (l *Lanes) bytes() []byte {
	dst := make([]byte, 0, laneBytes)
	for _, word := range l {
		dst = binary.LittleEndian.AppendUint64(dst, word)
	}
	return dst
}

func lanesOf(b []byte) (l Lanes) {
	for i := range l {
		l[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return l
}
