package sim

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// pair is one connection: a stream each way.
type pair struct {
	there, back *stream
	closed      atomic.Int32 // ends
	once        sync.Once
}

// fail breaks the connection for both ends.
func (p *pair) fail(err error) {
	p.there.fail(err)
	p.back.fail(err)
	p.forget()
}

func (p *pair) forget() {
	p.once.Do(func() {
		p.there.link.remove(p)
		p.back.link.remove(p)
	})
}

// conn is one end of a connection.
type conn struct {
	pair             *pair
	in, out          *stream
	local, remote    address
	reading, writing *deadline
	done             atomic.Bool
}

func (p *pair) ends(caller, called address) (ours, theirs *conn) {
	ours = &conn{pair: p, in: p.back, out: p.there, local: caller, remote: called, reading: newDeadline(), writing: newDeadline()}
	theirs = &conn{pair: p, in: p.there, out: p.back, local: called, remote: caller, reading: newDeadline(), writing: newDeadline()}
	return ours, theirs
}

func (c *conn) Read(p []byte) (int, error) { return c.in.read(p, c.reading) }

func (c *conn) Write(p []byte) (int, error) {
	fate := c.out.link.send(time.Now(), len(p))
	switch fate.end {
	case breaks:
		c.pair.fail(errBroken)
		return 0, errBroken
	case unanswered:
		c.in.silence()
		time.AfterFunc(time.Until(fate.at)+time.Millisecond, func() { c.pair.fail(errBroken) })
	}
	return c.out.write(p, fate.at, c.writing)
}

// Close says goodbye: the other end reads what is under way and then the end.
func (c *conn) Close() error {
	if c.done.CompareAndSwap(false, true) {
		c.out.end()
		c.in.abandon()
		if c.pair.closed.Add(1) == 2 {
			c.pair.forget()
		}
	}
	return nil
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) SetDeadline(t time.Time) error {
	c.reading.set(t)
	c.writing.set(t)
	return nil
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.reading.set(t)
	return nil
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.writing.set(t)
	return nil
}

type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

// deadline is a point in time that can be moved while somebody waits for it.
type deadline struct {
	mu    sync.Mutex
	at    time.Time
	moved chan struct{}
}

func newDeadline() *deadline { return &deadline{moved: make(chan struct{})} }

func (d *deadline) set(at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at = at
	close(d.moved)
	d.moved = make(chan struct{})
}

func (d *deadline) passed(now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.at.IsZero() && !d.at.After(now)
}

// wait returns when something woke us, at a time unless it is zero, when the
// deadline passes or when it is moved.
func (d *deadline) wait(wake <-chan struct{}, until time.Time) {
	d.mu.Lock()
	moved, at := d.moved, d.at
	d.mu.Unlock()
	if until.IsZero() || (!at.IsZero() && at.Before(until)) {
		until = at
	}
	if until.IsZero() {
		select {
		case <-wake:
		case <-moved:
		}
		return
	}
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-wake:
	case <-moved:
	case <-timer.C:
	}
}
