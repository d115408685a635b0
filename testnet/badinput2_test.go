package testnet

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A node that is set up wrongly does not start, says which setting it is, and
// leaves what it has as it was.
func TestANodeThatIsSetUpWronglyDoesNotStart(t *testing.T) {
	n := startAlone(t, 2, 1)
	head := n.Node("n2").Head()
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	planned := n.Plan.Nodes[1]
	neighbour := n.Plan.Nodes[0].Dir
	hub := filepath.Join(n.Plan.Dir, "profiles", hubName)
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		env  map[string]string
		want string
	}{
		"taken port":          {map[string]string{"LISTEN_HTTP": taken.Addr().String()}, "listen.http"},
		"no such port":        {map[string]string{"LISTEN_API": "127.0.0.1:99999"}, "listen.api"},
		"a client's papers":   {map[string]string{"TLS_CERTIFICATE": hub + "/tls.pem", "TLS_KEY": hub + "/tls.key"}, `is of role "hub"`},
		"another's papers":    {map[string]string{"TLS_CERTIFICATE": neighbour + "/tls.pem", "TLS_KEY": neighbour + "/tls.key"}, `is of node "n1"`},
		"a key that is not":   {map[string]string{"TLS_KEY": neighbour + "/tls.key"}, "belong together"},
		"no CA":               {map[string]string{"TLS_CA": empty}, "tls.ca"},
		"no token key":        {map[string]string{"TOKEN_KEYS": empty}, "holds no key"},
		"an empty founding":   {map[string]string{"FOUNDING": empty}, "founding"},
		"data that is a file": {map[string]string{"DATA": empty}, "config: data"},
	} {
		t.Run(name, func(t *testing.T) {
			for key, value := range c.env {
				t.Setenv("RISKNET_NODE_"+key, value)
			}
			if err := n.Start("n2"); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("started: %v; the error should say %q", err, c.want)
			}
		})
	}
	for name, text := range map[string]string{
		"binary":       "\x00\xff",
		"unknown kind": `[{"kind":"cat","epoch":1,"token":"00000000000000000000000000000000","advice":"deny","expires_at_ms":1,"comment":"c"}]`,
	} {
		file := filepath.Join(planned.Dir, "data", "overrides.json")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := n.Start("n2"); err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "mend or remove") {
			t.Errorf("started with exceptions that are %s: %v", name, err)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"n1", "n2"} {
		if err := n.Start(name); err != nil {
			t.Fatal(err)
		}
	}
	if got := n.Node("n2").Head(); got.Size < head.Size {
		t.Errorf("head %v, was %v", got, head)
	}
	if err := n.AwaitReady(n.ctx, "n2"); err != nil {
		t.Error(err)
	}
	n.agree()
}
