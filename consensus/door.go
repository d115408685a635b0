package consensus

import (
	"context"
	"errors"
	"net"
	"slices"
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
	maxUnknown = 1024
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
	unknown  crowd

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
		d.unknown.enter(conn, maxUnknown)
		d.t.work.Go(func() {
			err := d.admit(conn)
			d.unknown.leave(conn)
			if err != nil {
				d.t.log.Debug("a connection is refused", "error", err)
				_ = conn.Close() // the caller learns as much as there is to learn
			}
		})
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
	if len(d.open) >= maxDoors && !d.shutIdle() {
		return nil, errTooMany
	}
	one := newDoor(d.t, peer)
	d.open[peer.Key()] = one
	return one, nil
}

// shutIdle makes room by a door through which nobody is connected. Who comes through it
// at this very moment is turned away, and comes again.
func (d *doors) shutIdle() bool {
	for key, one := range d.open {
		if one.open.empty() {
			delete(d.open, key)
			_ = one.raft.Close() // it only ever says that it is closed
			return true
		}
	}
	return false
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

// crowd is a set of connections in which the newest find room: who holds many and
// says nothing loses them to who comes.
type crowd struct {
	mu   sync.Mutex
	list []net.Conn // the oldest first
}

func (c *crowd) enter(conn net.Conn, most int) {
	c.mu.Lock()
	var oldest net.Conn
	if len(c.list) >= most {
		oldest = c.list[0]
		c.list = slices.Delete(c.list, 0, 1)
	}
	c.list = append(c.list, conn)
	c.mu.Unlock()
	if oldest != nil {
		_ = oldest.Close() // who reads from it hears of it
	}
}

func (c *crowd) empty() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.list) == 0
}

func (c *crowd) leave(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at := slices.Index(c.list, conn); at >= 0 {
		c.list = slices.Delete(c.list, at, at+1)
	}
}

// door receives what one peer sends. It is raft's transport, of which nobody sends.
type door struct {
	t     *transport
	peer  Peer
	conns chan net.Conn
	open  crowd
	held  atomic.Int64 // bytes of messages that were not answered yet
	shut  chan struct{}
	once  sync.Once
	raft  *raft.NetworkTransport
}

func newDoor(t *transport, peer Peer) *door {
	d := &door{t: t, peer: peer, conns: make(chan net.Conn), shut: make(chan struct{})}
	d.raft = raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: d, Timeout: t.ioTimeout, Logger: t.log, MsgpackUseNewTimeFormat: true})
	d.raft.SetHeartbeatHandler(func(rpc raft.RPC) { t.heartbeat(d, rpc) })
	t.work.Go(func() { t.guard(d) })
	return d
}

// let hands a connection over.
func (d *door) let(conn net.Conn) error {
	measured := &callerConn{Conn: conn, door: d, scanner: scanner{limits: ofRequests}}
	d.open.enter(measured, maxPerDoor)
	select {
	case d.conns <- measured:
		return nil
	case <-d.shut:
		d.open.leave(measured)
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
