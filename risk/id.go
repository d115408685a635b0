package risk

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// ID names an institution's reporting identity, a key or a node: 16 bytes,
// printed as 32 lower-case hex digits.
type ID [16]byte

// Hash is a SHA-256 digest.
type Hash [sha256.Size]byte

func (id ID) String() string { return hex.EncodeToString(id[:]) }

// IsZero reports whether the identifier was never set.
func (id ID) IsZero() bool { return id == ID{} }

func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// IsZero reports whether the hash was never set.
func (h Hash) IsZero() bool { return h == Hash{} }

// ParseID reads the form that [ID.String] prints.
func ParseID(text string) (ID, error) {
	var id ID
	if err := parseHex(id[:], text); err != nil {
		return ID{}, err
	}
	return id, nil
}

// ParseHash reads the form that [Hash.String] prints.
func ParseHash(text string) (Hash, error) {
	var h Hash
	if err := parseHex(h[:], text); err != nil {
		return Hash{}, err
	}
	return h, nil
}

func parseHex(into []byte, text string) error {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(into) {
		return fmt.Errorf("%q is not %d hex digits", text, 2*len(into))
	}
	copy(into, raw)
	return nil
}

// Each hash in the formats is taken under its own domain, so that no two kinds
// of thing can share a digest. The domain ends in a zero byte and is hashed first.
const (
	domainKey         = "risknet/v1 key\x00"
	domainCommand     = "risknet/v1 command\x00"
	domainItem        = "risknet/v1 item\x00"
	domainInstitution = "risknet/v1 institution\x00"
	domainOrigin      = "risknet/v1 origin\x00"
	domainEpoch       = "risknet/v1 epoch key\x00"
)

// hashUnder hashes what is short in one piece, on the stack: a listing costs a few of
// these on each node.
func hashUnder(domain string, parts ...[]byte) Hash {
	n := len(domain)
	for _, part := range parts {
		n += len(part)
	}
	var short [512]byte
	if n <= len(short) {
		whole := append(short[:0], domain...)
		for _, part := range parts {
			whole = append(whole, part...)
		}
		return sha256.Sum256(whole)
	}
	h := sha256.New()
	h.Write([]byte(domain))
	for _, part := range parts {
		h.Write(part)
	}
	var sum Hash
	h.Sum(sum[:0])
	return sum
}
