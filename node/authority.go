package node

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/risknet/risknet/ledger"
)

// Authority is a network's certificate authority. It is made once, by whoever
// founds the network, and is needed again only to let somebody in.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes a CA for a network.
func NewAuthority(network string, now time.Time) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: network + " CA", Organization: []string{network}},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.AddDate(10, 0, 0),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &Authority{cert: cert, key: key}, err
}

func serial() *big.Int {
	n, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)) // never fails since Go 1.24
	return n
}

// Issue makes a certificate and its key, both PEM. Hosts are the names and
// addresses at which the holder listens; a client needs none.
func (a *Authority) Issue(id Identity, hosts []string, now time.Time) (certPEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	if certPEM, err = a.Certify(key.Public(), id, hosts, now); err != nil {
		return nil, nil, err
	}
	keyPEM, err = pemKey(key)
	return certPEM, keyPEM, err
}

// Certify makes a certificate (PEM) for a key that its holder keeps to itself.
func (a *Authority) Certify(public crypto.PublicKey, id Identity, hosts []string, now time.Time) ([]byte, error) {
	template := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: id.Name, Organization: []string{id.Institution}},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.AddDate(1, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		URIs:         []*url.URL{id.URI()},
	}
	if len(hosts) > 0 {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, public, a.key)
	return pemBlock("CERTIFICATE", der), err
}

// Network is the name of the network that the authority vouches for.
func (a *Authority) Network() string { return strings.Join(a.cert.Subject.Organization, " ") }

// CertificatePEM is what everybody in the network trusts.
func (a *Authority) CertificatePEM() []byte { return pemBlock("CERTIFICATE", a.cert.Raw) }

// KeyPEM is the authority's secret.
func (a *Authority) KeyPEM() ([]byte, error) { return pemKey(a.key) }

// LoadAuthority reads what CertificatePEM and KeyPEM gave.
func LoadAuthority(certPEM, keyPEM []byte) (*Authority, error) {
	block, _ := pem.Decode(certPEM)
	if block == nil {
		return nil, errors.New("CA certificate: is not PEM")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("CA certificate: %w", err)
	}
	key, err := parseKey(keyPEM)
	if err != nil {
		return nil, fmt.Errorf("CA key: %w", err)
	}
	signer, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, errors.New("CA key: is not an ECDSA key")
	}
	return &Authority{cert: cert, key: signer}, nil
}

func pemBlock(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func pemKey(key any) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pemBlock("PRIVATE KEY", der), nil
}

func parseKey(text []byte) (any, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, errors.New("is not a PEM PKCS#8 private key")
	}
	return x509.ParsePKCS8PrivateKey(block.Bytes)
}

// KeyPEM writes a private key as PEM PKCS#8.
func KeyPEM(key crypto.Signer) ([]byte, error) { return pemKey(key) }

// SigningKeyPEM writes an Ed25519 key as PEM PKCS#8.
func SigningKeyPEM(key ed25519.PrivateKey) ([]byte, error) { return pemKey(key) }

// LoadSigningKey reads an Ed25519 key from a PEM PKCS#8 file.
func LoadSigningKey(file string) (ed25519.PrivateKey, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	key, err := parseKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	signer, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s: is not an Ed25519 key; make one with openssl genpkey -algorithm ed25519", file)
	}
	return signer, nil
}

// LogVerifier gives the note verifier key of a node's checkpoints, as a profile
// names it. All nodes of a network sign under the name of its one ledger.
func LogVerifier(origin string, key ed25519.PrivateKey) string {
	text, err := ledger.VerifierKey(origin, key.Public().(ed25519.PublicKey))
	if err != nil {
		return ""
	}
	return text
}
