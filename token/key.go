package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"sync"

	"github.com/risknet/risknet/risk"
)

// Key is the secret under which the tokens of one epoch are made. The network
// knows its commitment only; a member's node receives the key on admission and
// hands it to its own clients. A key prints its epoch and nothing else.
type Key struct {
	Epoch risk.Epoch

	// A function, because fmt cannot call Format on a key that stands in an
	// unexported field of another struct, and prints the bytes of anything else
	// there; of a pointer too, once the verb does not fit it.
	secret func() [32]byte
}

// NewKey makes the key of an epoch. The secret is 32 random bytes.
func NewKey(epoch risk.Epoch, secret [32]byte) Key {
	return Key{Epoch: epoch, secret: func() [32]byte { return secret }}
}

// Secret gives the 32 bytes, for a node that hands the key to its own clients
// and keeps it on its own disk. All other code passes the Key on.
func (k Key) Secret() [32]byte {
	if k.secret == nil {
		return [32]byte{}
	}
	return k.secret()
}

// Commitment gives what the ledger holds of the key: SHA-256 over
// "risknet/v1 epoch key\x00" and the secret.
func (k Key) Commitment() risk.Hash { return risk.CommitEpochKey(k.Secret()) }

func (k Key) String() string { return fmt.Sprintf("token key of epoch %d (withheld)", k.Epoch) }

// Format prints the key without its secret, whatever the verb.
func (k Key) Format(f fmt.State, _ rune) { io.WriteString(f, k.String()) }

// LogValue keeps the secret out of logs.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// Hasher makes the tokens of one epoch. It is safe for concurrent use and, once
// warm, allocates nothing.
//
// Token = first 16 bytes of HMAC-SHA256(key, version ‖ kind ‖ length ‖ value)
// with [Version] and the kind as one byte each and the length of the value as
// two bytes, big-endian (HMAC: RFC 2104).
type Hasher struct {
	epoch  risk.Epoch
	states sync.Pool // of *state
}

// state is an HMAC that has hashed its key. Keying is two thirds of the cost of
// a short HMAC, and Reset brings the keyed state back without it.
type state struct {
	mac hash.Hash
	msg []byte
	sum [sha256.Size]byte

	short *short // nil where the library does not have what it needs
}

// NewHasher makes the hasher of a key.
func NewHasher(key Key) *Hasher {
	h := &Hasher{epoch: key.Epoch}
	h.states.New = func() any {
		secret := key.Secret()
		s := &state{mac: hmac.New(sha256.New, secret[:]), msg: make([]byte, 0, 128)}
		s.short = newShort(secret, s.mac)
		return s
	}
	return h
}

// Token gives the token of a normal value, as [Normalise] gives it.
func (h *Hasher) Token(kind risk.Kind, value string) risk.Token { return hashed(h, kind, value) }

// hashed also takes a value in a buffer, for prefixes that are written in place.
func hashed[T string | []byte](h *Hasher, kind risk.Kind, value T) risk.Token {
	s := h.states.Get().(*state)
	if len(value) <= maxShort && s.short != nil {
		s.short.begin(kind, len(value))
		copy(s.short.block[head:], value)
		token := s.short.token(head + len(value))
		h.states.Put(s)
		return token
	}
	s.msg = append(s.msg[:0], Version, byte(kind))
	s.msg = binary.BigEndian.AppendUint16(s.msg, uint16(len(value)))
	s.msg = append(s.msg, value...)
	s.mac.Write(s.msg)
	s.mac.Sum(s.sum[:0])
	token := risk.Token(s.sum[:len(risk.Token{})])
	// The pool outlives the request, and the value must not: both buffers that
	// hold it are overwritten, the HMAC's own by the keyed state.
	s.mac.Reset()
	clear(s.msg)
	h.states.Put(s)
	return token
}
