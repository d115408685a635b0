package consensus

import (
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"
)

// maxHeld is what the messages of one peer may take together until they are answered:
// one of the longest, and what raft's transport reads ahead on the others.
const maxHeld = maxMessage + 4<<20

// callerConn measures what a peer sends before anything is decoded. Raft's transport
// reads from it and writes answers to it on one goroutine, which closes it last.
type callerConn struct {
	net.Conn
	door    *door
	scanner scanner
	held    atomic.Int64 // bytes that the door counts
	since   time.Time    // when we began to wait for the rest of a message
}

func (c *callerConn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(c.deadline()); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(p)
	image := c.scanner.rest > 0
	if wrong := c.scanner.scan(p[:n]); wrong != nil {
		return 0, c.refuse(wrong)
	}
	if image { // it is not held in memory
		c.since = time.Time{}
		return n, err
	}
	c.held.Add(int64(n))
	if c.door.held.Add(int64(n)) > maxHeld {
		return 0, c.refuse(fmt.Errorf("messages: more than %d bytes are under way", maxHeld))
	}
	return n, err
}

// deadline bounds the wait for the rest of a message, and for more of an image. For
// the next message a peer may take its time.
func (c *callerConn) deadline() time.Time {
	patience := 2 * c.door.t.ioTimeout
	switch {
	case c.scanner.rest > 0:
		patience *= 3
	case !c.scanner.begun:
		c.since = time.Time{}
		return time.Time{}
	}
	if c.since.IsZero() {
		c.since = time.Now()
	}
	return c.since.Add(patience)
}

func (c *callerConn) refuse(wrong error) error {
	c.door.t.log.Warn("a connection is closed", "peer", c.door.peer.Key(), "error", wrong)
	_ = c.Close()
	return wrong
}

// Write answers a message: what is held now belongs to the next one. Who does not read
// its answers gets no more of them.
func (c *callerConn) Write(p []byte) (int, error) {
	c.since = time.Time{}
	if err := c.SetWriteDeadline(time.Now().Add(2 * c.door.t.ioTimeout)); err != nil {
		return 0, err
	}
	if ahead := c.scanner.used; ahead < c.held.Load() {
		c.door.held.Add(ahead - c.held.Swap(ahead))
	}
	return c.Conn.Write(p)
}

func (c *callerConn) Close() error {
	c.door.open.leave(c)
	c.door.held.Add(-c.held.Swap(0))
	return c.Conn.Close()
}

// calledConn measures what a called server answers.
type calledConn struct {
	net.Conn
	scanner scanner
}

func (c *calledConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if wrong := c.scanner.scan(p[:n]); wrong != nil {
		return 0, errors.Join(wrong, c.Close())
	}
	return n, err
}
