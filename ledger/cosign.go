package ledger

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// A cosignature says that somebody else than the log has seen a checkpoint, and
// when (c2sp.org/tlog-cosignature, cosignature/v1). What is signed is
//
//	cosignature/v1
//	time <seconds since 1970>
//	<the checkpoint's text>
//
// and the signature on the note's line is u32 key hash | u64 time | 64 bytes.

// algCosignature is the signature type of a cosignature in key hashes.
const algCosignature = 4

const cosignatureBytes = 8 + ed25519.SignatureSize

// Cosigner signs checkpoints of others' making.
type Cosigner struct {
	name string
	hash uint32
	key  ed25519.PrivateKey
}

// NewCosigner makes an Ed25519 key cosign under a name, which must not be the
// origin of a log.
func NewCosigner(name string, key ed25519.PrivateKey) (*Cosigner, error) {
	plain, err := NewSigner(name, key) // holds name and key to their shape
	if err != nil {
		return nil, err
	}
	hash := cosignerHash(name, key.Public().(ed25519.PublicKey))
	return &Cosigner{name: plain.Name(), hash: hash, key: key}, nil
}

func cosignerHash(name string, key ed25519.PublicKey) uint32 {
	h := sha256.New()
	h.Write([]byte(name))
	h.Write([]byte{'\n', algCosignature})
	h.Write(key)
	return binary.BigEndian.Uint32(h.Sum(nil))
}

func cosigned(text []byte, seconds uint64) []byte {
	return fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", seconds, text)
}

// Line gives the line that joins a checkpoint's note. Whoever calls it has found
// this very root at this size in a ledger of its own.
func (c *Cosigner) Line(checkpoint Checkpoint, at time.Time) (string, error) {
	if err := checkpoint.check(); err != nil {
		return "", err
	}
	if at.Unix() <= 0 {
		return "", errors.New("a cosignature needs the time of day")
	}
	seconds := uint64(at.Unix())
	raw := binary.BigEndian.AppendUint32(nil, c.hash)
	raw = binary.BigEndian.AppendUint64(raw, seconds)
	raw = append(raw, ed25519.Sign(c.key, cosigned([]byte(checkpoint.Text()), seconds))...)
	return "— " + c.name + " " + base64.StdEncoding.EncodeToString(raw) + "\n", nil
}

// cosignatures verifies the cosignatures of one key.
type cosignatures struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

// NewCosignatureVerifier checks the cosignatures of an Ed25519 key under a name.
func NewCosignatureVerifier(name string, key ed25519.PublicKey) (Verifier, error) {
	plain, err := NewVerifier(name, key)
	if err != nil {
		return nil, err
	}
	return &cosignatures{name: plain.Name(), hash: cosignerHash(name, key), key: bytes.Clone(key)}, nil
}

func (v *cosignatures) Name() string    { return v.name }
func (v *cosignatures) KeyHash() uint32 { return v.hash }

func (v *cosignatures) Verify(text, signature []byte) bool {
	return len(signature) == cosignatureBytes &&
		ed25519.Verify(v.key, cosigned(text, binary.BigEndian.Uint64(signature)), signature[8:])
}

// timeOf gives the time in a verified signature, zero if its kind has none.
func timeOf(sig note.Signature) time.Time {
	raw, err := base64.StdEncoding.DecodeString(sig.Base64)
	if err != nil || len(raw) != 4+cosignatureBytes {
		return time.Time{}
	}
	return time.Unix(int64(binary.BigEndian.Uint64(raw[4:])), 0)
}
