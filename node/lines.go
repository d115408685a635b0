package node

import (
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync"
)

// Fingerprint names a certificate by its key: the SHA-256 of its
// SubjectPublicKeyInfo. So whoever has stolen the key gains nothing from another
// certificate for it.
type Fingerprint [sha256.Size]byte

// FingerprintOf gives a certificate's fingerprint.
func FingerprintOf(cert *x509.Certificate) Fingerprint {
	return sha256.Sum256(cert.RawSubjectPublicKeyInfo)
}

// errRevoked is what a revoked certificate meets at each handshake.
var errRevoked = errors.New("certificate: was revoked by the hub; have a new one issued")

// lines are the open connections that came through a handshake, by the certificate
// at the other end, and the certificates that the network has revoked.
type lines struct {
	mu      sync.Mutex
	each    int // connections that one certificate may have open here; 0 for any number
	revoked map[Fingerprint]bool
	open    map[*line]bool
	callers map[Fingerprint]int
}

// line is one connection, from the moment at which it is there; it enters with its
// handshake and leaves when it is closed.
type line struct {
	net.Conn
	lines   *lines
	release func() // once, when it is closed; nil for nothing
	inbound bool

	by              Fingerprint // these three are under the lock of lines
	entered, closed bool
}

// accepted and dialled begin to follow a connection.
func (l *lines) accepted(conn net.Conn, release func()) *line {
	return &line{Conn: conn, lines: l, release: release, inbound: true}
}

func (l *lines) dialled(conn net.Conn) net.Conn { return &line{Conn: conn, lines: l} }

// enter lets a connection in under the certificate that its other end has shown.
// To look and to enter is one step, so that a revocation meets every connection
// either here or in [lines.revoke].
func (l *lines) enter(conn net.Conn, cert *x509.Certificate) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	by := FingerprintOf(cert)
	if err := l.standing(by); err != nil {
		return err
	}
	c, followed := conn.(*line)
	if !followed || c.closed {
		return nil // whoever closed it sees to the rest
	}
	if l.open == nil {
		l.open, l.callers = map[*line]bool{}, map[Fingerprint]int{}
	}
	if c.inbound {
		if err := l.mayHaveMore(by); err != nil {
			return err
		}
		l.callers[by]++
	}
	c.by, c.entered = by, true
	l.open[c] = true
	return nil
}

// stranger reports whether a connection is open and has not entered.
func (l *lines) stranger(c *line) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !c.entered && !c.closed
}

// standing refuses a certificate that was revoked.
func (l *lines) standing(by Fingerprint) error {
	if l.revoked[by] {
		return errRevoked
	}
	return nil
}

// mayHaveMore keeps one caller from taking the connections of all.
func (l *lines) mayHaveMore(by Fingerprint) error {
	if l.each > 0 && l.callers[by] >= l.each {
		return fmt.Errorf("certificate: has %d connections open here, as many as one may have; close some, or see limits.connections_each", l.each)
	}
	return nil
}

// Close ends the connection; it leaves at the first call.
func (c *line) Close() error {
	c.lines.mu.Lock()
	first := !c.closed
	c.closed = true
	if first && c.entered {
		delete(c.lines.open, c)
		if c.inbound {
			c.lines.forgetCaller(c.by)
		}
	}
	c.lines.mu.Unlock()
	if first && c.release != nil {
		c.release()
	}
	return c.Conn.Close()
}

func (l *lines) forgetCaller(by Fingerprint) {
	if l.callers[by]--; l.callers[by] <= 0 {
		delete(l.callers, by)
	}
}

// revoke puts a set in force, and ends every connection under a certificate in it,
// with the calls and streams on them. It gives how many those were.
func (l *lines) revoke(set map[Fingerprint]bool) int {
	l.mu.Lock()
	l.revoked = set
	var ending []*line
	for c := range l.open {
		if set[c.by] {
			ending = append(ending, c)
		}
	}
	l.mu.Unlock()
	for _, c := range ending {
		_ = c.Close()
	}
	return len(ending)
}
