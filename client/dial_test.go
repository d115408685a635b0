package client_test

import (
	"context"
	"crypto/tls"
	"strings"
	"testing"

	"github.com/risknet/risknet/client"
)

// Of all that the CA has certified, a node of the same network alone answers.
func TestOnlyANodeOfTheNetworkAnswers(t *testing.T) {
	caKey, caCert, caPEM, _ := issue(t, nil, nil, 1, "")
	dir := t.TempDir()
	_, _, certPEM, keyPEM := issue(t, caCert, caKey, 2, "net/acme/member/teller")
	profile := &client.Profile{CA: write(t, dir, "ca.pem", caPEM), Certificate: write(t, dir, "me.pem", certPEM), Key: write(t, dir, "me.key", keyPEM)}
	config, err := profile.TLS()
	if err != nil {
		t.Fatal(err)
	}
	for who, want := range map[string]string{
		"net/hub/node/n1":        "",
		"net/hub/member/n1":      `is of role "member" in network "net"`,
		"net/hub/inviter/hub":    `is of role "inviter"`,
		"other/hub/node/n1":      `in network "other"`,
		"net/too/many/parts/now": `is of role ""`,
	} {
		_, _, serverPEM, serverKey := issue(t, caCert, caKey, 3, who)
		pair, err := tls.X509KeyPair([]byte(serverPEM), []byte(serverKey))
		if err != nil {
			t.Fatal(err)
		}
		err = meets(t.Context(), client.ToNodes(config), &tls.Config{Certificates: []tls.Certificate{pair}})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", who, err, want)
		}
	}
}

// meets is what the client says of a server.
func meets(ctx context.Context, of, server *tls.Config) error {
	l, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		return err
	}
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err == nil {
			_ = conn.(*tls.Conn).HandshakeContext(ctx)
			conn.Close()
		}
	}()
	conn, err := (&tls.Dialer{Config: of}).DialContext(ctx, "tcp", l.Addr().String())
	if err == nil {
		conn.Close()
	}
	return err
}
