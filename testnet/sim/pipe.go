package sim

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// errBroken is what both ends of a connection see when the network breaks it.
var errBroken = errors.New("connection reset by peer")

// windowBytes is how much a sender may have under way, as a socket's buffer.
const windowBytes = 1 << 20

// stream is one direction of a connection: bytes in order, each segment with
// the time at which it arrives. Readers and writers block on channels alone, so
// that a bubble's clock can move.
type stream struct {
	link *link

	mu       sync.Mutex
	segments []segment
	under    int       // bytes in segments
	last     time.Time // the arrival of the newest segment
	ended    bool      // the writer closed
	err      error     // the connection is broken, or the reader closed
	wake     chan struct{}
}

type segment struct {
	at   time.Time
	data []byte
}

func newStream(l *link) *stream { return &stream{link: l, wake: make(chan struct{})} }

// change wakes everybody who waits; the lock is held.
func (s *stream) change() {
	close(s.wake)
	s.wake = make(chan struct{})
}

// read gives the bytes that have arrived; it waits for the first.
func (s *stream) read(p []byte, deadline *deadline) (int, error) {
	for {
		s.mu.Lock()
		wake, until := s.wake, time.Time{}
		now := time.Now()
		switch {
		case s.err != nil:
			s.mu.Unlock()
			return 0, s.err
		case deadline.passed(now):
			s.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		case len(s.segments) > 0 && s.link.held():
			// it waits for the link
		case len(s.segments) > 0:
			if until = s.segments[0].at; !until.After(now) {
				n := s.take(p, now)
				s.mu.Unlock()
				return n, nil
			}
		case s.ended:
			s.mu.Unlock()
			return 0, io.EOF
		}
		s.mu.Unlock()
		deadline.wait(wake, until)
	}
}

// take copies what has arrived; the lock is held.
func (s *stream) take(p []byte, now time.Time) int {
	n := 0
	for n < len(p) && len(s.segments) > 0 && !s.segments[0].at.After(now) {
		k := copy(p[n:], s.segments[0].data)
		n += k
		if s.segments[0].data = s.segments[0].data[k:]; len(s.segments[0].data) == 0 {
			s.segments = s.segments[1:]
		}
	}
	full := s.under >= windowBytes
	if s.under -= n; full {
		s.change()
	}
	return n
}

// write sends bytes on their way; it waits while too many are under way.
func (s *stream) write(p []byte, deadline *deadline) (int, error) {
	for {
		s.mu.Lock()
		wake := s.wake
		switch {
		case s.err != nil:
			s.mu.Unlock()
			return 0, s.err
		case s.ended:
			s.mu.Unlock()
			return 0, net.ErrClosed
		case deadline.passed(time.Now()):
			s.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		case s.under < windowBytes:
			at := s.link.arrival(time.Now(), len(p))
			if at.Before(s.last) {
				at = s.last // a stream keeps its order
			}
			s.last = at
			s.under += len(p)
			s.segments = append(s.segments, segment{at, append([]byte(nil), p...)})
			s.change()
			s.mu.Unlock()
			return len(p), nil
		}
		s.mu.Unlock()
		deadline.wait(wake, time.Time{})
	}
}

// end is the writer's close: what is under way still arrives.
func (s *stream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.ended = true
		s.change()
	}
}

// fail breaks the stream: what is under way is lost.
func (s *stream) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err, s.segments, s.under = err, nil, 0
		s.change()
	}
}

// delayed makes what is under way arrive no sooner than at a time.
func (s *stream) delayed(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.segments {
		if s.segments[i].at.Before(at) {
			s.segments[i].at = at
		}
	}
	if s.last.Before(at) {
		s.last = at
	}
	s.change()
}

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

// conn is one end of a connection.
type conn struct {
	in, out       *stream
	local, remote address
	reading       *deadline
	writing       *deadline
	closed        func()
}

func (c *conn) Read(p []byte) (int, error)  { return c.in.read(p, c.reading) }
func (c *conn) Write(p []byte) (int, error) { return c.out.write(p, c.writing) }

// Close says goodbye: the other end reads what is under way and then the end.
func (c *conn) Close() error {
	c.out.end()
	c.in.fail(net.ErrClosed)
	c.closed()
	return nil
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) SetDeadline(t time.Time) error {
	c.reading.set(t)
	c.writing.set(t)
	return nil
}

func (c *conn) SetReadDeadline(t time.Time) error  { c.reading.set(t); return nil }
func (c *conn) SetWriteDeadline(t time.Time) error { c.writing.set(t); return nil }

type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }
