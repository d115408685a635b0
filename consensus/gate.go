package consensus

import (
	"context"
	"errors"
	"net"
	"sync"
)

// Dialer opens a connection to a server's address. It authenticates both ends.
type Dialer func(ctx context.Context, address string) (net.Conn, error)

// errCut is what a dial through a cut gate gives.
var errCut = errors.New("the gate is cut")

// Gate is a switch in a server's connections. While it is cut, accepted
// connections are closed at once, dials fail and none stays open, as if the
// cable had been pulled. The zero Gate is open. One gate may serve several
// listeners and dialers; it may be switched from any goroutine.
type Gate struct {
	mu   sync.Mutex
	cut  bool
	open map[*gatedConn]struct{}
}

// Cut closes every connection that came through the gate, and lets none through.
func (g *Gate) Cut() {
	g.mu.Lock()
	g.cut = true
	g.mu.Unlock()
	g.closeAll()
}

// Heal lets new connections through.
func (g *Gate) Heal() {
	g.mu.Lock()
	g.cut = false
	g.mu.Unlock()
}

// IsCut reports the switch.
func (g *Gate) IsCut() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.cut
}

// Listener puts the gate before a listener.
func (g *Gate) Listener(l net.Listener) net.Listener { return gatedListener{l, g} }

// Dialer puts the gate before a dialer.
func (g *Gate) Dialer(dial Dialer) Dialer {
	return func(ctx context.Context, address string) (net.Conn, error) {
		if g.IsCut() {
			return nil, errCut
		}
		conn, err := dial(ctx, address)
		if err != nil {
			return nil, err
		}
		if gated := g.admit(conn); gated != nil {
			return gated, nil
		}
		return nil, errCut
	}
}

// admit registers a connection, or closes it and answers nil.
func (g *Gate) admit(conn net.Conn) net.Conn {
	gated := &gatedConn{Conn: conn, gate: g}
	g.mu.Lock()
	cut := g.cut
	if !cut {
		if g.open == nil {
			g.open = make(map[*gatedConn]struct{})
		}
		g.open[gated] = struct{}{}
	}
	g.mu.Unlock()
	if cut {
		conn.Close()
		return nil
	}
	return gated
}

func (g *Gate) closeAll() {
	g.mu.Lock()
	open := g.open
	g.open = nil
	g.mu.Unlock()
	for conn := range open {
		conn.Conn.Close()
	}
}

type gatedListener struct {
	net.Listener
	gate *Gate
}

// Accept hides the connections that come while the gate is cut.
func (l gatedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if gated := l.gate.admit(conn); gated != nil {
			return gated, nil
		}
	}
}

type gatedConn struct {
	net.Conn
	gate *Gate
}

// NetConn is the connection behind the gate.
func (c *gatedConn) NetConn() net.Conn { return c.Conn }

func (c *gatedConn) Close() error {
	c.gate.mu.Lock()
	delete(c.gate.open, c)
	c.gate.mu.Unlock()
	return c.Conn.Close()
}
