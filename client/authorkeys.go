package client

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/risk"
)

// NewSigningKey makes an Ed25519 key. The file, which must not be there, holds
// its secret as PEM PKCS#8 and is readable by its owner alone; beside it, with
// .pub behind the name, is the half that others may see.
func NewSigningKey(file string) (risk.PublicKey, error) {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return risk.PublicKey{}, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return risk.PublicKey{}, err
	}
	open, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return risk.PublicKey{}, err
	}
	if err := newFile(file, &pem.Block{Type: "PRIVATE KEY", Bytes: secret}, 0o600); err != nil {
		return risk.PublicKey{}, err
	}
	return publicKey(public), newFile(file+".pub", &pem.Block{Type: "PUBLIC KEY", Bytes: open}, 0o644)
}

func newFile(path string, block *pem.Block, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s is there already; name another file", path)
	}
	if err != nil {
		return err
	}
	return errors.Join(pem.Encode(f, block), f.Sync(), f.Close())
}

// LoadEitherKey reads the public key out of a PEM file of either half.
func LoadEitherKey(path string) (risk.PublicKey, error) {
	if key, err := LoadSigningKey(path); err == nil {
		return publicKey(key.Public().(ed25519.PublicKey)), nil
	}
	return LoadPublicKey(path)
}

// ParsePublicKey reads an Ed25519 public key of 64 hex digits.
func ParsePublicKey(text string) (risk.PublicKey, error) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != ed25519.PublicKeySize {
		return risk.PublicKey{}, fmt.Errorf("%q is not %d hex digits; give what risknet key new has printed", text, 2*ed25519.PublicKeySize)
	}
	return publicKey(raw), nil
}

// AuthorKeys lists the keys of one institution, those that are retired too.
func (c *Client) AuthorKeys(ctx context.Context, reporter risk.ID) ([]*apiv1.AuthorKey, error) {
	all, err := c.Institutions(ctx)
	if err != nil {
		return nil, err
	}
	for _, i := range all {
		if i.Reporter == reporter.String() {
			return i.AuthorKeys, nil
		}
	}
	return nil, fmt.Errorf("reporter: no institution %s was admitted; see institution list", reporter)
}
