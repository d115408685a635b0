package node

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// post is a listener of a node that says back what it hears, and notes whom it met.
type post struct {
	t     *testing.T
	creds *Credentials
	at    string
	met   chan *x509.Certificate
}

func newPost(t *testing.T, creds *Credentials, at listener) *post {
	t.Helper()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &post{t: t, creds: creds, at: tcp.Addr().String(), met: make(chan *x509.Certificate, 16)}
	l := tls.NewListener(newLimitListener(tcp, &creds.lines, 64), creds.ServerTLS(at))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go p.answer(conn.(*tls.Conn))
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return p
}

func (p *post) answer(conn *tls.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if conn.Handshake() != nil {
		return
	}
	p.met <- conn.ConnectionState().PeerCertificates[0]
	_, _ = io.Copy(conn, conn)
}

// dials connects as a node does.
func (p *post) dials(from *Credentials, meant ...Identity) (*tls.Conn, error) {
	raw, err := net.Dial("tcp", p.at)
	if err != nil {
		return nil, err
	}
	line := from.lines.dialled(raw)
	config := from.ClientTLS(line, meant...)
	config.ServerName = "127.0.0.1"
	conn := tls.Client(line, config)
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if err := echoes(conn); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	p.t.Cleanup(func() { conn.Close() })
	return conn, nil
}

// echoes fails where the other side has not let the connection in, or has ended it.
func echoes(conn net.Conn) error {
	if _, err := conn.Write([]byte("x")); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, make([]byte, 1))
	return err
}

// let dials, and gives the certificate that each side has seen of the other.
func (p *post) let(from *Credentials) (conn *tls.Conn, server, client *x509.Certificate) {
	p.t.Helper()
	conn, err := p.dials(from)
	if err != nil {
		p.t.Fatal(err)
	}
	return conn, conn.ConnectionState().PeerCertificates[0], <-p.met
}

// renew writes a new certificate over the files of the old one.
func (c *company) renew(creds *Credentials, ca *Authority, id Identity, at time.Time) {
	c.t.Helper()
	cert, key, err := ca.Issue(id, []string{"127.0.0.1"}, at)
	err = errors.Join(err, os.WriteFile(creds.files[1], cert, 0o600), os.WriteFile(creds.files[2], key, 0o600))
	if err != nil {
		c.t.Fatal(err)
	}
}

func reloads(t *testing.T, c *Credentials) {
	t.Helper()
	if changed, err := c.Reload(); !changed || err != nil {
		t.Fatalf("read again %v, %v", changed, err)
	}
}

func TestReplacedFilesAreUsedByTheNextConnection(t *testing.T) {
	for _, at := range []listener{atRaft, atAPI, atHTTP} { // of nodes
		n := newCompany(t)
		there, here := n.credentials("n2"), n.credentials("n1")
		p := newPost(t, there, at)
		old, server, client := p.let(here)
		if changed, err := there.Reload(); changed || err != nil {
			t.Errorf("%s: nothing was replaced, and it was read again: %v, %v", at, changed, err)
		}
		n.renew(there, n.ca, there.Identity, time.Now())
		n.renew(here, n.ca, here.Identity, time.Now())
		reloads(t, there)
		reloads(t, here)
		_, nextServer, nextClient := p.let(here)
		if nextServer.Equal(server) || nextClient.Equal(client) {
			t.Errorf("%s: the old certificate is still shown: by the listener %v, by the dialler %v", at, nextServer.Equal(server), nextClient.Equal(client))
		}
		if err := echoes(old); err != nil {
			t.Errorf("%s: the connection that was open has ended: %v", at, err)
		}
	}
}

func TestAReplacedCAIsUsedByTheNextConnection(t *testing.T) {
	n, other := newCompany(t), newCompany(t)
	there, here := n.credentials("n2"), other.credentials("n1") // of two CAs with one network name
	p := newPost(t, there, atAPI)
	trust := func(creds *Credentials, cas ...*Authority) {
		t.Helper()
		var bundle []byte
		for _, ca := range cas {
			bundle = append(bundle, ca.CertificatePEM()...)
		}
		if err := os.WriteFile(creds.files[0], bundle, 0o600); err != nil {
			t.Fatal(err)
		}
		reloads(t, creds)
	}
	if _, err := p.dials(here); err == nil {
		t.Fatal("a stranger was let in")
	}
	trust(there, n.ca, other.ca)
	trust(here, other.ca, n.ca)
	p.let(here)
	n.renew(there, other.ca, there.Identity, time.Now())
	reloads(t, there)
	n.renew(here, other.ca, here.Identity, time.Now().Add(time.Minute))
	reloads(t, here)
	trust(there, other.ca)
	_, _, client := p.let(here)
	if _, err := p.dials(n.credentials("n1")); err == nil {
		t.Errorf("a certificate of the CA that was taken out was let in, beside %s", client.SerialNumber)
	}
}

func TestFilesThatMakeNoWholeLeaveTheOldInUse(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(n *company, c *Credentials) error
		want  string
	}{
		"the key is another's": {func(n *company, c *Credentials) error {
			key, err := os.ReadFile(n.credentials("n2").files[2])
			return errors.Join(err, os.WriteFile(c.files[2], key, 0o600))
		}, "certificate and key must be PEM files that belong together"},
		"the key is gone":  {func(n *company, c *Credentials) error { return os.Remove(c.files[2]) }, "certificate and key"},
		"half a file":      {func(n *company, c *Credentials) error { return os.Truncate(c.files[1], 200) }, "certificate and key"},
		"the CA is no PEM": {func(n *company, c *Credentials) error { return os.WriteFile(c.files[0], []byte("x"), 0o600) }, "tls.ca"},
		"another node's": {func(n *company, c *Credentials) error {
			n.renew(c, n.ca, Identity{Network: "net", Institution: "member", Role: RoleNode, Name: "n3"}, time.Now())
			return nil
		}, "have one issued for it"},
		"of another CA": {func(n *company, c *Credentials) error {
			n.renew(c, newCompany(n.t).ca, c.Identity, time.Now())
			return nil
		}, "must hold the CA that issued it"},
		"ended already": {func(n *company, c *Credentials) error {
			n.renew(c, n.ca, c.Identity, time.Now().AddDate(-2, 0, 0))
			return nil
		}, "expired"},
	} {
		t.Run(name, func(t *testing.T) {
			n := newCompany(t)
			there, here := n.credentials("n2"), n.credentials("n1")
			p := newPost(t, there, atAPI)
			_, server, _ := p.let(here)
			if err := c.spoil(n, there); err != nil {
				t.Fatal(err)
			}
			if changed, err := there.Reload(); changed || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("read again %v, %v; want %q", changed, err, c.want)
			}
			if _, now, _ := p.let(here); !now.Equal(server) {
				t.Error("another certificate is shown")
			}
		})
	}
}

// A look that falls between the replacement of two files is no alarm; the second
// that finds the same is one, and the third is silent.
func TestFilesThatStayBrokenAreOneAlarm(t *testing.T) {
	n := newCompany(t)
	log := &bytes.Buffer{}
	n.log = slog.New(slog.NewTextHandler(log, nil))
	if err := os.Truncate(n.creds.files[1], 0); err != nil {
		t.Fatal(err)
	}
	looks := &reloading{}
	for i, want := range []int{0, 1, 1} {
		looks.look(n.Node)
		if got := strings.Count(log.String(), "cannot be used"); got != want {
			t.Errorf("after look %d: %d alarms, want %d:\n%s", i+1, got, want, log)
		}
	}
	n.renew(n.creds, n.ca, n.creds.Identity, time.Now())
	looks.look(n.Node)
	if !strings.Contains(log.String(), "were read again") {
		t.Errorf("mended files are not in use:\n%s", log)
	}
}

func TestACertificateThatEndsSoonIsAnAlarmOnceADay(t *testing.T) {
	n := newCompany(t)
	log := &bytes.Buffer{}
	n.log = slog.New(slog.NewTextHandler(log, nil))
	end := &reminder{}
	for _, c := range []struct {
		before time.Duration
		alarms int
	}{{31 * 24 * time.Hour, 0}, {30*24*time.Hour - time.Minute, 1}, {29*24*time.Hour + time.Hour, 1}, {28 * 24 * time.Hour, 2}, {-time.Hour, 3}} {
		n.now = func() time.Time { return n.creds.Expires().Add(-c.before) }
		end.look(n.Node)
		if got := strings.Count(log.String(), "certificate ends"); got != c.alarms {
			t.Errorf("%s before the end: %d alarms, want %d", c.before, got, c.alarms)
		}
	}
}

// A resumed session would show the certificate of another day.
func TestNoSessionIsResumed(t *testing.T) {
	n := newCompany(t)
	there, here := n.credentials("n2"), n.credentials("n1")
	p := newPost(t, there, atAPI)
	config := here.ClientTLS(nil)
	config.ServerName, config.ClientSessionCache = "127.0.0.1", tls.NewLRUClientSessionCache(4)
	for range 3 {
		conn, err := tls.Dial("tcp", p.at, config)
		if err == nil {
			err = echoes(conn)
		}
		if err != nil {
			t.Fatal(err)
		}
		if conn.ConnectionState().DidResume {
			t.Error("a session is resumed")
		}
		conn.Close()
	}
}
