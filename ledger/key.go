package ledger

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"
)

// A Signer signs checkpoints under a name; a Verifier checks such signatures.
type (
	Signer   = note.Signer
	Verifier = note.Verifier
)

// NewSigner makes an Ed25519 key sign notes under a name, which for the log's
// own key is the origin.
func NewSigner(name string, key ed25519.PrivateKey) (Signer, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("log key has %d bytes; an Ed25519 private key has %d", len(key), ed25519.PrivateKeySize)
	}
	// Signing under a public half that is not the key's own gives the key away.
	if !bytes.Equal(key, ed25519.NewKeyFromSeed(key.Seed())) {
		return nil, errors.New("log key is damaged: its public half does not belong to it; restore the key file")
	}
	verifier, err := NewVerifier(name, key.Public().(ed25519.PublicKey))
	if err != nil {
		return nil, err
	}
	return signer{Verifier: verifier, key: key}, nil
}

// signer has its name and key hash from the verifier of the same key.
type signer struct {
	Verifier
	key ed25519.PrivateKey
}

func (s signer) Sign(message []byte) ([]byte, error) { return ed25519.Sign(s.key, message), nil }

// VerifierKey writes a public key in the form that clients configure:
// <name>+<key hash>+<base64 of 0x01 and the key>.
func VerifierKey(name string, key ed25519.PublicKey) (string, error) {
	if err := checkName("key name", name); err != nil {
		return "", err
	}
	text, err := note.NewEd25519VerifierKey(name, key)
	if err != nil {
		return "", fmt.Errorf("log key %s: %w", name, err)
	}
	return text, nil
}

// NewVerifier checks the signatures of an Ed25519 key under a name.
func NewVerifier(name string, key ed25519.PublicKey) (Verifier, error) {
	text, err := VerifierKey(name, key)
	if err != nil {
		return nil, err
	}
	return ParseVerifier(text)
}

// ParseVerifier reads what [VerifierKey] writes.
func ParseVerifier(text string) (Verifier, error) {
	verifier, err := note.NewVerifier(text)
	if err != nil {
		return nil, fmt.Errorf("log key %q: %w; it must be <name>+<hash>+<key>, as the node prints it", text, err)
	}
	return verifier, nil
}

// checkName holds origins and key names to what a signed note can carry.
func checkName(what, name string) error {
	unfit := func(r rune) bool { return r == '+' || unicode.IsSpace(r) || unicode.IsControl(r) }
	if name == "" || !utf8.ValidString(name) || strings.ContainsFunc(name, unfit) {
		return fmt.Errorf("%s %q must be UTF-8 text without spaces, control characters or a plus; use a host and path", what, name)
	}
	return nil
}
