package client

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"

	"github.com/risknet/risknet/risk"
)

// ProfileEnv names the environment variable that holds a profile's path.
const ProfileEnv = "RISKNET_PROFILE"

// Profile says how to reach a node and who is speaking. It is a YAML file;
// unknown keys are refused, and file paths are relative to the file.
type Profile struct {
	// Endpoint is the gRPC address of the institution's own node, host:port.
	Endpoint string `koanf:"endpoint"`
	// HTTP is the address of that node's health, metrics and ledger, host:port.
	HTTP string `koanf:"http"`
	// CA is the certificate (PEM) that vouches for the network's nodes.
	CA string `koanf:"ca"`
	// Certificate and Key (PEM) are this client's own.
	Certificate string `koanf:"certificate"`
	Key         string `koanf:"key"`
	// SigningKey is the author's Ed25519 key, PEM PKCS#8. Without it the profile
	// asks and does not report.
	SigningKey string `koanf:"signing_key"`
	// CosigningKeys sign with it, under the same reporting id: further hub keys.
	CosigningKeys []string `koanf:"cosigning_keys"`
	// Institution is the name of who is speaking.
	Institution string `koanf:"institution"`
	// Reporter is the institution's reporting id, 32 hex digits.
	Reporter string `koanf:"reporter"`
	// LogKey is the note verifier key of the node at HTTP.
	LogKey string `koanf:"log_key"`
	// Outbox is a file that notes every command sent under this profile, for
	// `risknet audit monitor`. Empty for none.
	Outbox string `koanf:"outbox"`
	// Network is the network's id, 64 hex digits: the id of its founding command.
	// An audit trusts nothing else.
	Network string `koanf:"network"`
}

// LoadProfile reads a profile file. The files that it names are opened when they
// are first needed.
func LoadProfile(path string) (*Profile, error) {
	k := koanf.New(".")
	if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("profile: there is no file %s; name one with --profile or %s", path, ProfileEnv)
		}
		return nil, fmt.Errorf("profile %s: %s; write it as YAML, one key: value a line", path, oneLine(err))
	}
	known := profileKeys()
	for _, key := range k.Keys() {
		if !slices.Contains(known, key) {
			return nil, fmt.Errorf("profile %s: %s is not a key; use %s", path, key, strings.Join(known, ", "))
		}
	}
	p := &Profile{}
	if err := k.Unmarshal("", p); err != nil {
		return nil, fmt.Errorf("profile %s: %s", path, oneLine(err))
	}
	p.resolve(filepath.Dir(path))
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("profile %s: %w", path, err)
	}
	return p, nil
}

func profileKeys() []string {
	var keys []string
	t := reflect.TypeFor[Profile]()
	for i := range t.NumField() {
		keys = append(keys, t.Field(i).Tag.Get("koanf"))
	}
	return keys
}

func (p *Profile) resolve(dir string) {
	paths := []*string{&p.CA, &p.Certificate, &p.Key, &p.SigningKey, &p.Outbox}
	for i := range p.CosigningKeys {
		paths = append(paths, &p.CosigningKeys[i])
	}
	for _, path := range paths {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(dir, *path)
		}
	}
}

func (p *Profile) check() error {
	for _, f := range []struct{ key, value, cure string }{
		{"endpoint", p.Endpoint, "give the node's gRPC address, host:port"},
		{"ca", p.CA, "name the network's CA certificate"},
		{"certificate", p.Certificate, "name this client's certificate"},
		{"key", p.Key, "name the key of the certificate"},
	} {
		if f.value == "" {
			return fmt.Errorf("%s: is missing; %s", f.key, f.cure)
		}
	}
	for key, address := range map[string]string{"endpoint": p.Endpoint, "http": p.HTTP} {
		if _, _, err := net.SplitHostPort(address); address != "" && err != nil {
			return fmt.Errorf("%s: %q is not host:port", key, address)
		}
	}
	if p.Reporter != "" {
		if _, err := risk.ParseID(p.Reporter); err != nil {
			return fmt.Errorf("reporter: %w; give the reporting id that the hub admitted", err)
		}
	}
	if p.Network != "" {
		if _, err := risk.ParseHash(p.Network); err != nil {
			return fmt.Errorf("network: %w; give the id of the founding command", err)
		}
	}
	if p.SigningKey != "" && p.Reporter == "" {
		return errors.New("reporter: is missing; a signing_key signs under a reporting id")
	}
	if p.SigningKey == "" && len(p.CosigningKeys) > 0 {
		return errors.New("signing_key: is missing; cosigning_keys sign beside it")
	}
	return nil
}

// ErrNoSigningKey says that a profile can ask but not report.
var ErrNoSigningKey = errors.New("profile: signing_key: is missing; use the profile of an institution that may sign this")

// Signers reads the reporting id and the keys that sign under it.
func (p *Profile) Signers() (risk.ID, []ed25519.PrivateKey, error) {
	if p.SigningKey == "" {
		return risk.ID{}, nil, ErrNoSigningKey
	}
	reporter, err := risk.ParseID(p.Reporter)
	if err != nil {
		return risk.ID{}, nil, fmt.Errorf("profile: reporter: %w", err)
	}
	var keys []ed25519.PrivateKey
	for i, path := range append([]string{p.SigningKey}, p.CosigningKeys...) {
		field := "signing_key"
		if i > 0 {
			field = fmt.Sprintf("cosigning_keys[%d]", i-1)
		}
		key, err := LoadSigningKey(path)
		if err != nil {
			return risk.ID{}, nil, fmt.Errorf("profile: %s: %w", field, err)
		}
		keys = append(keys, key)
	}
	return reporter, keys, nil
}

// LoadSigningKey reads an Ed25519 private key, PEM PKCS#8.
func LoadSigningKey(path string) (ed25519.PrivateKey, error) {
	der, err := pemFile(path, "PRIVATE KEY")
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	key, ok := parsed.(ed25519.PrivateKey)
	if err != nil || !ok {
		return nil, fmt.Errorf("%s holds no Ed25519 key; make one with: openssl genpkey -algorithm ed25519", path)
	}
	return key, nil
}

// LoadPublicKey reads an Ed25519 public key, PEM PKIX, as openssl pkey -pubout
// writes it.
func LoadPublicKey(path string) (risk.PublicKey, error) {
	der, err := pemFile(path, "PUBLIC KEY")
	if err != nil {
		return risk.PublicKey{}, err
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	key, ok := parsed.(ed25519.PublicKey)
	if err != nil || !ok {
		return risk.PublicKey{}, fmt.Errorf("%s holds no Ed25519 public key; write one with: openssl pkey -pubout", path)
	}
	return publicKey(key), nil
}

func publicKey(key ed25519.PublicKey) risk.PublicKey {
	return risk.PublicKey{Algorithm: risk.Ed25519, Bytes: [ed25519.PublicKeySize]byte(key)}
}

func pemFile(path, kind string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read (%w); name a PEM file", path, errors.Unwrap(err))
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != kind {
		return nil, fmt.Errorf("%s holds no PEM block %q; name the right file", path, kind)
	}
	return block.Bytes, nil
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
