package enrol

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Token is what the inviter's operator hands to the joiner's, over a channel
// that both trust. It can be used once and for a short time.
type Token struct {
	CA      [sha256.Size]byte // hash of the CA certificate (DER)
	Secret  [32]byte
	Expires time.Time // to the millisecond
	Address string    // where the invitation listens, host:port
}

// tokenPrefix names the layout of the token behind it:
//
//	CA 32 | secret 32 | i64 expiry, milliseconds since 1970 | address, 1 to 255
//	bytes | the first 4 bytes of the SHA-256 of all before
//
// in base64url without padding. The check bytes only tell a slip of the hand.
const tokenPrefix = "risknet-join-1."

const (
	tokenFixed = 32 + 32 + 8
	tokenCheck = 4
)

func newToken(ca [sha256.Size]byte, address string, expires time.Time) Token {
	t := Token{CA: ca, Expires: time.UnixMilli(expires.UnixMilli()), Address: address}
	_, _ = rand.Read(t.Secret[:]) // never fails since Go 1.24
	return t
}

// String gives the text to paste.
func (t Token) String() string {
	raw := append(append([]byte{}, t.CA[:]...), t.Secret[:]...)
	raw = binary.BigEndian.AppendUint64(raw, uint64(t.Expires.UnixMilli()))
	raw = append(raw, t.Address...)
	sum := sha256.Sum256(raw)
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(append(raw, sum[:tokenCheck]...))
}

// ParseToken reads a pasted token; white space around it is let go.
func ParseToken(text string) (Token, error) {
	encoded, ok := strings.CutPrefix(strings.TrimSpace(text), tokenPrefix)
	if !ok {
		return Token{}, fmt.Errorf("token: does not begin with %s; paste the whole line that `risknet node invite` printed", tokenPrefix)
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil || len(raw) <= tokenFixed+tokenCheck || len(raw) > tokenFixed+maxAddressBytes+tokenCheck {
		return Token{}, errSpoiled
	}
	body, check := raw[:len(raw)-tokenCheck], raw[len(raw)-tokenCheck:]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:tokenCheck], check) {
		return Token{}, errSpoiled
	}
	t := Token{CA: [32]byte(body[:32]), Secret: [32]byte(body[32:64]), Address: string(body[tokenFixed:])}
	t.Expires = time.UnixMilli(int64(binary.BigEndian.Uint64(body[64:tokenFixed])))
	if err := checkAddress("token", t.Address); err != nil {
		return Token{}, err
	}
	return t, nil
}

var errSpoiled = errors.New("token: is cut short or altered; paste the whole line that `risknet node invite` printed")
