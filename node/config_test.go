package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/risknet/risknet/risk"
)

const soundConfig = `
name: n1
id: 00112233445566778899aabbccddeeff
network: 00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff
token_keys: token.keys
log_key: log.key
listen: {raft: "127.0.0.1:1", api: "127.0.0.1:2", http: "127.0.0.1:3"}
tls: {ca: ca.pem, certificate: tls.pem, key: tls.key}
`

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "node.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestConfigPathsAreRelativeToTheFile(t *testing.T) {
	path := writeConfig(t, soundConfig)
	cfg, err := LoadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(filepath.Dir(path), "tls.pem"); cfg.TLS.Certificate != want {
		t.Errorf("certificate is %s, not %s", cfg.TLS.Certificate, want)
	}
	if cfg.Raft.CommitTimeout != 20*time.Millisecond {
		t.Errorf("a default was lost: %v", cfg.Raft.CommitTimeout)
	}
}

func TestTheEnvironmentOverridesTheFile(t *testing.T) {
	t.Setenv("RISKNET_NODE_STALE_MAX_AGE", "7s")
	t.Setenv("RISKNET_NODE_RAFT_TRAILING_LOGS", "64")
	cfg, err := LoadConfig(writeConfig(t, soundConfig))
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Stale.MaxAge != 7*time.Second || cfg.Raft.TrailingLogs != 64 {
		t.Errorf("max_age %v, trailing_logs %d", cfg.Stale.MaxAge, cfg.Raft.TrailingLogs)
	}
}

func TestBadConfigIsRefusedByTheKey(t *testing.T) {
	for name, c := range map[string]struct{ add, env, want string }{
		"unknown key":       {add: "stael: {}\n", want: "stael is not a key"},
		"unknown inner key": {add: "stale: {maxage: 3s}\n", want: "stale.maxage is not a key"},
		"silent allow":      {add: "stale: {advice: allow}\n", want: "stale.advice"},
		"too short":         {add: "stale: {max_age: 1ms}\n", want: "stale.max_age"},
		"bad log format":    {add: "log: {format: xml}\n", want: "log.format"},
		"bad log level":     {add: "log: {level: loud}\n", want: "log.level"},
		"no unit":           {add: "stale: {max_age: soon}\n", want: "'stale.max_age' time: invalid duration"},
		"not a number":      {add: "limits: {streams: x, message: y}\n", want: "'limits.streams'"},
		"negative streams":  {add: "limits: {streams: -1}\n", want: "limits.streams"},
		"no connection":     {add: "limits: {connections: 0}\n", want: "limits.connections"},
		"no turn":           {add: "limits: {check_wait: 0s}\n", want: "limits.check_wait"},
		"no wait":           {add: "limits: {size_wait: -1s}\n", want: "limits.size_wait"},
		"short message":     {add: "limits: {message: 1000}\n", want: "limits.message"},
		"unknown variable":  {env: "RISKNET_NODE_NONSENSE", want: "RISKNET_NODE_NONSENSE"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.env != "" {
				t.Setenv(c.env, "1")
			}
			_, err := LoadConfig(writeConfig(t, soundConfig+c.add))
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error is %v; it should name %q", err, c.want)
			}
		})
	}
}

func TestConfigSurvivesItsOwnText(t *testing.T) {
	cfg, err := LoadConfig(writeConfig(t, soundConfig))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Serves, cfg.Stale.MaxAge = []string{"a", "b"}, 9*time.Second
	text, err := cfg.YAML()
	if err != nil {
		t.Fatal(err)
	}
	again, err := LoadConfig(writeConfig(t, string(text)))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if again.Stale != cfg.Stale || len(again.Serves) != 2 || again.Raft != cfg.Raft || again.TLS != cfg.TLS {
		t.Errorf("read back %+v, wrote %+v", again, cfg)
	}
}

func TestCertificatesCarryWhoTheySpeakFor(t *testing.T) {
	now := time.Now()
	ca, err := NewAuthority("net", now)
	if err != nil {
		t.Fatal(err)
	}
	id := Identity{Network: "net", Institution: "member-1", Role: RoleNode, Name: "n1"}
	cert, key, err := ca.Issue(id, []string{"127.0.0.1", "localhost"}, now)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := map[string][]byte{"ca.pem": ca.CertificatePEM(), "c.pem": cert, "k.pem": key}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	creds, err := LoadCredentials(filepath.Join(dir, "ca.pem"), filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if creds.Identity != id {
		t.Errorf("the certificate speaks for %+v, not %+v", creds.Identity, id)
	}
}

func TestTokenKeyFileIsReadStrictly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token.keys")
	want := []TokenKey{{Epoch: 1, Secret: [32]byte{1}}, {Epoch: 2, Secret: [32]byte{2}}}
	if err := os.WriteFile(path, FormatTokenKeys(want), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := LoadTokenKeys(path)
	if err != nil || len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("read back %v, %v", got, err)
	}
	for name, text := range map[string]string{"empty": "", "short": "1 abcd\n", "no number": "x " + strings.Repeat("0", 64) + "\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadTokenKeys(path); err == nil || strings.Contains(err.Error(), "abcd") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestFoundingFileMustFoundTheNamedNetwork(t *testing.T) {
	path := filepath.Join(t.TempDir(), "founding.bin")
	signed := &risk.Signed{Header: []byte("header"), Signatures: nil}
	file := FormatFounding([]*risk.Signed{signed, signed})
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	if list, err := loadFounding(path, signed.ID()); err != nil || len(list) != 2 {
		t.Errorf("read %d commands, %v", len(list), err)
	}
	if _, err := loadFounding(path, risk.Hash{1}); err == nil {
		t.Error("a founding of another network was taken")
	}
	for cut := 1; cut < len(file); cut += 7 {
		if err := os.WriteFile(path, file[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		if list, err := loadFounding(path, signed.ID()); err == nil && len(list) != 1 {
			t.Errorf("cut at %d was taken as %d commands", cut, len(list))
		}
	}
}
