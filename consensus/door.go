package consensus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// Peer is who is at the other end of a connection, as its certificate says.
type Peer interface {
	// Key is equal for connections of one peer.
	Key() string
	// SpeaksFor says why the peer may not speak as a server; nil if it may.
	SpeaksFor(server string) error
}

// anybody is the peer where the caller does not tell them apart.
type anybody struct{}

func (anybody) Key() string            { return "" }
func (anybody) SpeaksFor(string) error { return nil }

// What strangers can take: connections that have not yet said who they are, peers,
// and connections of each.
const (
	maxUnknown = 64
	maxDoors   = 256
	maxPerDoor = 16
)

var errTooMany = errors.New("too many connections")

// doors accepts connections and leads each to its peer's own door, so that of every
// message it is known whose connection it came on: raft's transport does not tell.
type doors struct {
	t        *transport
	listener net.Listener
	peer     func(ctx context.Context, conn net.Conn) (Peer, error)
	patience time.Duration // with a caller that does not say who it is
	unknown  chan struct{}

	mu   sync.Mutex
	open map[string]*door
}

// accept runs until the listener is closed.
func (d *doors) accept() {
	for {
		conn, err := d.listener.Accept()
		if err != nil {
			return
		}
		select {
		case d.unknown <- struct{}{}:
			d.t.work.Go(func() {
				defer func() { <-d.unknown }()
				if err := d.admit(conn); err != nil {
					d.t.log.Debug("a connection is refused", "error", err)
					_ = conn.Close() // the caller learns as much as there is to learn
				}
			})
		default:
			_ = conn.Close()
		}
	}
}

// admit learns who calls and whom it wants. A silent caller holds up nobody but
// itself, and not for long.
func (d *doors) admit(conn net.Conn) error {
	if err := conn.SetDeadline(time.Now().Add(d.patience)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), d.patience)
	defer cancel()
	peer, err := d.peer(ctx, conn)
	if err != nil {
		return err
	}
	wanted, err := readPreface(conn)
	if err == nil {
		err = d.t.checkAddressee(wanted)
	}
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	if err != nil {
		return err
	}
	door, err := d.of(peer)
	if err != nil {
		return err
	}
	return door.let(conn)
}

func (d *doors) of(peer Peer) (*door, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if one := d.open[peer.Key()]; one != nil {
		return one, nil
	}
	if len(d.open) >= maxDoors {
		return nil, errTooMany
	}
	one := newDoor(d.t, peer)
	d.open[peer.Key()] = one
	return one, nil
}

// close ends what the doors' transports run; connections are the transport's.
func (d *doors) close() error {
	err := d.listener.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, one := range d.open {
		err = errors.Join(err, one.raft.Close())
	}
	return err
}

// door receives what one peer sends. It is raft's transport, of which nobody sends.
type door struct {
	peer  Peer
	conns chan net.Conn
	shut  chan struct{}
	once  sync.Once
	raft  *raft.NetworkTransport
	count atomic.Int32
	image atomic.Int64 // bytes of images that may still come
}

func newDoor(t *transport, peer Peer) *door {
	d := &door{peer: peer, conns: make(chan net.Conn), shut: make(chan struct{})}
	d.raft = raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: d, Timeout: t.ioTimeout, Logger: t.log, MsgpackUseNewTimeFormat: true})
	d.raft.SetHeartbeatHandler(func(rpc raft.RPC) { t.heartbeat(d, rpc) })
	t.work.Go(func() { t.guard(d) })
	return d
}

// let hands a connection over, if the peer does not have too many.
func (d *door) let(conn net.Conn) error {
	if d.count.Add(1) > maxPerDoor {
		d.count.Add(-1)
		return fmt.Errorf("%w of one peer", errTooMany)
	}
	select {
	case d.conns <- &budgetConn{Conn: conn, door: d}:
		return nil
	case <-d.shut:
		d.count.Add(-1)
		return net.ErrClosed
	}
}

// Accept, Close, Addr and Dial make a door what raft's transport listens on.
func (d *door) Accept() (net.Conn, error) {
	select {
	case conn := <-d.conns:
		return conn, nil
	case <-d.shut:
		return nil, net.ErrClosed
	}
}

func (d *door) Close() error {
	d.once.Do(func() { close(d.shut) })
	return nil
}

func (d *door) Addr() net.Addr { return address("") }

func (d *door) Dial(raft.ServerAddress, time.Duration) (net.Conn, error) {
	return nil, errors.New("a door leads in")
}

// maxMessage is what one message may have, in bytes: a full batch of the largest
// entries. It is counted before anything is decoded.
const maxMessage = (maxAppendEntries + 1) * (MaxPayload + 4<<10)

// maxReadAhead is how much raft's transport may read of the messages behind one that
// it has not answered.
const maxReadAhead = 256 << 10

// budgetConn counts what a peer sends between two answers. What is more than a
// message ends the connection; an image that was announced has its own allowance.
type budgetConn struct {
	net.Conn
	door *door
	once sync.Once
	used atomic.Int64
}

func (c *budgetConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if used := c.used.Add(int64(n)); used > maxMessage+maxReadAhead {
		if c.door.image.Add(-int64(n)) >= 0 {
			c.used.Add(-int64(n))
			return n, err
		}
		_ = c.Close()
		return 0, fmt.Errorf("message: has more than %d bytes: %w", maxMessage, io.ErrUnexpectedEOF)
	}
	return n, err
}

func (c *budgetConn) Write(p []byte) (int, error) {
	c.used.Store(0)
	return c.Conn.Write(p)
}

func (c *budgetConn) Close() error {
	c.once.Do(func() { c.door.count.Add(-1) })
	return c.Conn.Close()
}
