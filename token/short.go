package token

import (
	"bytes"
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"hash"

	"github.com/risknet/risknet/risk"
)

// short is the keyed hash of a value that fits one block of SHA-256 together with what
// stands around it, as nearly all do. Both of its blocks are laid out here and hashed
// from the keyed states that were made before: the general way keeps blocks that are
// half full and copies its states several times, which is half of its cost.
//
// A state is what SHA-256 marshals: four bytes and the eight words of the hash first.
// That is no promise of the library, so it is tried once for each key, beside the
// general way, and left alone where it gives anything else.
type short struct {
	digest       hash.Hash
	from         encoding.BinaryUnmarshaler
	to           encoding.BinaryAppender
	inner, outer []byte // states that have hashed the key
	now          []byte // the state at hand
	block        [sha256.BlockSize]byte
}

const (
	head     = 4 // version, kind and length
	lengthAt = sha256.BlockSize - 8
	// maxShort leaves room for the byte that ends a message, and for its length.
	maxShort = lengthAt - 1 - head
	// words of the hash in a marshalled state
	wordsFrom, wordsTo = 4, 4 + sha256.Size
)

// newShort gives nil if it does not agree with the HMAC of the same key.
func newShort(secret [32]byte, mac hash.Hash) *short {
	s := &short{digest: sha256.New()}
	var ok, can bool
	s.from, ok = s.digest.(encoding.BinaryUnmarshaler)
	if s.to, can = s.digest.(encoding.BinaryAppender); !ok || !can {
		return nil
	}
	s.inner, s.outer = s.keyed(secret, 0x36), s.keyed(secret, 0x5c)
	if len(s.inner) < wordsTo || len(s.outer) < wordsTo {
		return nil
	}
	for _, probe := range []string{"", "probe", string(bytes.Repeat([]byte{0xa5}, maxShort))} {
		s.begin(risk.KindDevice, len(probe))
		copy(s.block[head:], probe)
		got := s.token(head + len(probe))
		mac.Reset()
		mac.Write(append([]byte{Version, byte(risk.KindDevice), 0, byte(len(probe))}, probe...))
		if !bytes.Equal(got[:], mac.Sum(nil)[:len(got)]) {
			s = nil
			break
		}
	}
	mac.Reset()
	return s
}

// keyed gives the state behind the key's block (RFC 2104).
func (s *short) keyed(secret [32]byte, pad byte) []byte {
	copy(s.block[:], secret[:])
	clear(s.block[len(secret):])
	for i := range s.block {
		s.block[i] ^= pad
	}
	s.digest.Reset()
	s.digest.Write(s.block[:])
	clear(s.block[:])
	state, err := s.to.AppendBinary(nil)
	if err != nil {
		return nil
	}
	return state
}

// begin writes what stands before the value.
func (s *short) begin(kind risk.Kind, length int) {
	s.block[0], s.block[1], s.block[2], s.block[3] = Version, byte(kind), 0, byte(length)
}

// token hashes the n bytes of the block, and leaves nothing of them behind.
func (s *short) token(n int) risk.Token {
	s.hash(s.inner, n)
	copy(s.block[:], s.now[wordsFrom:wordsTo])
	s.hash(s.outer, sha256.Size)
	clear(s.block[:])
	return risk.Token(s.now[wordsFrom:])
}

// hash takes n bytes of a block as the end of a message whose first block is in a state.
func (s *short) hash(state []byte, n int) {
	s.block[n] = 0x80
	clear(s.block[n+1 : lengthAt])
	binary.BigEndian.PutUint64(s.block[lengthAt:], uint64(sha256.BlockSize+n)*8)
	_ = s.from.UnmarshalBinary(state) // one that it has marshalled
	s.digest.Write(s.block[:])
	s.now, _ = s.to.AppendBinary(s.now[:0])
}
