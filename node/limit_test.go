package node

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"testing"
	"time"
)

// silent opens connections that say nothing.
func silent(t *testing.T, address string, count int) []net.Conn {
	t.Helper()
	var conns []net.Conn
	for range count {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	t.Cleanup(func() {
		for _, conn := range conns {
			conn.Close()
		}
	})
	return conns
}

func TestSilentStrangersKeepNobodyOut(t *testing.T) {
	n := newCompany(t)
	there, here := n.credentials("n2"), n.credentials("n1")
	p := newPost(t, there, atRaft) // 64 places
	old, _, _ := p.let(here)
	silent(t, p.at, 200)
	p.let(here)
	if err := echoes(old); err != nil {
		t.Errorf("who was there has lost its place to a stranger: %v", err)
	}
}

func TestWhenAllAreKnownTheNewcomerIsClosed(t *testing.T) {
	n := newCompany(t)
	there, here := n.credentials("n2"), n.credentials("n1")
	p := newPost(t, there, atRaft)
	var first *tls.Conn
	for range 64 {
		conn, _, _ := p.let(here)
		if first == nil {
			first = conn
		}
	}
	if _, err := p.dials(here); err == nil {
		t.Error("there is a place more than there should be")
	}
	if err := echoes(first); err != nil {
		t.Errorf("who was there has lost its place: %v", err)
	}
}

// Ten thousand connections that only stay cost little, half of them at each port,
// and end where they say nothing. One certificate has as many as one may have.
func TestTenThousandIdleConnectionsCostLittle(t *testing.T) {
	n := newCompany(t)
	n.cfg, n.health, n.closing = DefaultConfig(), newHealth(), make(chan struct{})
	n.metrics = newMetrics(n.Node)
	n.creds.lines.each = n.cfg.Limits.ConnectionsEach
	guest := n.credentials("n2")
	var silenced []net.Conn
	for _, c := range []struct {
		name  string
		at    *net.Listener
		serve func(context.Context) error
		hello string
	}{
		{"api", &n.listeners.api, n.serveAPI, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"},
		{"http", &n.listeners.http, n.serveHTTP, "GET /livez HTTP/1.1\r\nHost: n1\r\n\r\n"},
	} {
		tcp, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		*c.at = newLimitListener(tcp, &n.creds.lines, n.cfg.Limits.Connections)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- c.serve(ctx) }()
		before := heap()
		strangers := silent(t, tcp.Addr().String(), 5000)
		known := settled(t, guest, tcp.Addr().String(), c.hello)
		grown := heap() - before
		t.Logf("%s: %d silent and %d known connections take %d KiB, both ends together", c.name, len(strangers), len(known), grown>>10)
		if grown > 64<<20 || len(known) != n.cfg.Limits.ConnectionsEach {
			t.Errorf("%s: the heap has grown by %d MiB; one certificate has %d connections", c.name, grown>>20, len(known))
		}
		silenced = append(silenced, strangers[len(strangers)-1])
		for _, conn := range append(known, strangers[:len(strangers)-1]...) {
			conn.Close()
		}
		defer func() {
			stop()
			if err := <-done; err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		}()
	}
	for _, conn := range silenced {
		_ = conn.SetReadDeadline(time.Now().Add(4 * handshakePatience))
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: a connection that says nothing stays", conn.RemoteAddr())
		}
	}
}

// settled opens connections that say hello and then nothing, until one is refused.
func settled(t *testing.T, creds *Credentials, address, hello string) (conns []net.Conn) {
	t.Helper()
	for range 1000 {
		raw, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		config := creds.ClientTLS(raw)
		config.ServerName, config.NextProtos = "127.0.0.1", []string{"h2"}
		conn := tls.Client(raw, config)
		_ = conn.SetDeadline(time.Now().Add(handshakePatience)) // who is refused hears it at once
		_, err = conn.Write([]byte(hello))
		if err == nil {
			_, err = conn.Read(make([]byte, 9))
		}
		if err != nil {
			conn.Close()
			return conns
		}
		conns = append(conns, conn)
	}
	return conns
}

func heap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
