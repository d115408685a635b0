package client_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/risknet/risknet/client"
)

func write(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const goodProfile = "endpoint: 127.0.0.1:7001\nhttp: 127.0.0.1:7002\nca: ca.pem\ncertificate: me.pem\nkey: me.key\n"

func TestProfilesThatAreRefused(t *testing.T) {
	for _, c := range []struct{ name, text, says string }{
		{"an unknown key", goodProfile + "endpiont: x\n", "endpiont is not a key; use endpoint, http"},
		{"a nested key", goodProfile + "tls: {ca: x}\n", "tls.ca is not a key"},
		{"no endpoint", strings.Replace(goodProfile, "endpoint: 127.0.0.1:7001\n", "", 1), "endpoint: is missing"},
		{"an endpoint without a port", strings.Replace(goodProfile, "127.0.0.1:7001", "localhost", 1), `"localhost" is not host:port`},
		{"no CA", strings.Replace(goodProfile, "ca: ca.pem\n", "", 1), "ca: is missing"},
		{"a bad reporter", goodProfile + "reporter: abc\n", "reporter: "},
		{"a key without a reporter", goodProfile + "signing_key: k.pem\n", "reporter: is missing"},
		{"cosigners without a key", goodProfile + "cosigning_keys: [k.pem]\n", "signing_key: is missing"},
		{"no YAML", "endpoint: [\n", "write it as YAML"},
		{"a list where a text belongs", strings.Replace(goodProfile, "ca.pem", "[a, b]", 1), "ca"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := client.LoadProfile(write(t, t.TempDir(), "p.yaml", c.text))
			if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want %q in one line", err, c.says)
			}
		})
	}
	if _, err := client.LoadProfile(filepath.Join(t.TempDir(), "none.yaml")); err == nil || !strings.Contains(err.Error(), "there is no file") {
		t.Errorf("a missing file: %v", err)
	}
}

func TestAProfilesFilesAreBesideIt(t *testing.T) {
	dir := t.TempDir()
	reporter := strings.Repeat("0a", 16)
	p, err := client.LoadProfile(write(t, dir, "p.yaml", goodProfile+"signing_key: keys/a.pem\ncosigning_keys: [keys/b.pem, /etc/c.pem]\nreporter: "+reporter+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	if p.CA != filepath.Join(dir, "ca.pem") || p.SigningKey != filepath.Join(dir, "keys/a.pem") || p.CosigningKeys[1] != "/etc/c.pem" {
		t.Errorf("got %+v", p)
	}
	if _, _, err := p.Signers(); err == nil || !strings.Contains(err.Error(), "profile: signing_key: ") {
		t.Errorf("a missing key file: %v", err)
	}
}

func TestKeyFilesThatAreRefused(t *testing.T) {
	pki := newPKI(t)
	dir := t.TempDir()
	for name, text := range map[string]string{
		"not PEM": "hello", "a certificate": pki.ca,
		"an ECDSA key": pki.clientKey, "a damaged key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
	} {
		if _, err := client.LoadSigningKey(write(t, dir, "k.pem", text)); err == nil {
			t.Errorf("%s was taken for a signing key", name)
		}
		if _, err := client.LoadPublicKey(write(t, dir, "p.pem", text)); err == nil {
			t.Errorf("%s was taken for a public key", name)
		}
	}
	profile := pki.profile(t, "127.0.0.1:1")
	profile.CA = write(t, dir, "ca.pem", "hello")
	if _, err := client.Dial(profile, ""); err == nil || !strings.Contains(err.Error(), "profile: ca: ") {
		t.Errorf("a CA that is no PEM: %v", err)
	}
	profile = pki.profile(t, "127.0.0.1:1")
	profile.Key = write(t, dir, "other.key", newPKI(t).clientKey)
	if _, err := client.Dial(profile, ""); err == nil || !strings.Contains(err.Error(), "profile: certificate: ") {
		t.Errorf("a key of another certificate: %v", err)
	}
}

func FuzzProfile(f *testing.F) {
	f.Add(goodProfile)
	f.Add("a: &b [*b]\n")
	f.Add("endpoint: 1\nca: {x: y}\n")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		p, err := client.LoadProfile(write(t, dir, "p.yaml", text))
		if err == nil && (p.Endpoint == "" || !filepath.IsAbs(p.CA)) {
			t.Fatalf("took %+v", p)
		}
	})
}
