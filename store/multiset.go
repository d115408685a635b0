package store

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"

	"github.com/zeebo/blake3"
)

// multiset is a count of elements and the sum of their keyed hashes, modulo
// 2^128. Two walks that meet the same elements, in whatever orders, have the same
// multiset, and nothing of what they met is kept. Who does not know the key
// cannot make other elements of the same sum, an image's author neither.
//
// The construction is MSet-Add-Hash of Clarke, Devadas, van Dijk, Gassend and Suh
// (Incremental Multiset Hash Functions and Their Application to Memory Integrity
// Checking, 2003), with keyed BLAKE3 as its function.
type multiset struct{ count, low, high uint64 }

// keyed hashes elements under a key of its own, which nobody keeps.
type keyed struct {
	hasher *blake3.Hasher
	bytes  [16]byte
}

func newKeyed() *keyed {
	key := make([]byte, 0, 32)
	for range 4 {
		key = binary.BigEndian.AppendUint64(key, maphash.Bytes(maphash.MakeSeed(), nil))
	}
	hasher, err := blake3.NewKeyed(key)
	if err != nil {
		panic(err) // the key has not 32 bytes
	}
	return &keyed{hasher: hasher}
}

// add puts an element in.
func (m *multiset) add(k *keyed, element []byte) {
	k.hasher.Reset()
	_, _ = k.hasher.Write(element) // a hash takes everything
	_, _ = k.hasher.Digest().Read(k.bytes[:])
	var carry uint64
	m.low, carry = bits.Add64(m.low, binary.LittleEndian.Uint64(k.bytes[:]), 0)
	m.high, _ = bits.Add64(m.high, binary.LittleEndian.Uint64(k.bytes[8:]), carry)
	m.count++
}

// join puts in what is in another one under the same key.
func (m *multiset) join(o *multiset) {
	var carry uint64
	m.low, carry = bits.Add64(m.low, o.low, 0)
	m.high, _ = bits.Add64(m.high, o.high, carry)
	m.count += o.count
}
