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
	link *link // that carries it
	back *link // that carries what the reader says of it

	mu       sync.Mutex
	segments []segment
	under    int       // bytes in segments
	last     time.Time // the arrival of the newest segment
	ended    bool      // the writer closed
	err      error     // the connection is broken
	gone     bool      // the reader closed
	mute     bool      // what is written from now on gets lost
	wake     chan struct{}
}

type segment struct {
	at   time.Time
	data []byte
}

func newStream(l, back *link) *stream {
	return &stream{link: l, back: back, wake: make(chan struct{})}
}

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
		case s.gone:
			s.mu.Unlock()
			return 0, net.ErrClosed
		case deadline.passed(now):
			s.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		case s.link.held():
			// nothing arrives, not even the end
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

// write sends bytes on their way, to arrive at a time; it waits while too many
// are under way.
func (s *stream) write(p []byte, at time.Time, deadline *deadline) (int, error) {
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
		case s.gone && !s.back.held():
			s.mu.Unlock()
			return 0, errBroken
		case s.gone || s.mute:
			s.mu.Unlock()
			return len(p), nil
		case s.under < windowBytes:
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

// abandon is the reader's close: what is under way is lost, and the writer hears
// of it when it writes again.
func (s *stream) abandon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.gone {
		s.gone, s.segments, s.under = true, nil, 0
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

// silence loses everything that is written from now on.
func (s *stream) silence() {
	s.mu.Lock()
	s.mute = true
	s.mu.Unlock()
}
