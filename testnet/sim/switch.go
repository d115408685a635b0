package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// Faults are what a link does to what is sent over it, one way. The zero Faults
// is a perfect link.
type Faults struct {
	Delay          time.Duration // each segment takes so long
	Jitter         time.Duration // and up to so much more
	Loss           float64       // of segments, each sent again after a timeout: all behind it wait
	Break          float64       // of segments, at which the connection breaks and what is under way is lost
	Unanswered     float64       // of segments, each of which arrives before the connection breaks: its sender repeats it
	BytesPerSecond int           // 0 is as fast as it goes
	Cut            bool          // nothing arrives; what was sent waits, and breaks the connection after a while
}

// Switch is a network in memory. Every connection is a pair of byte streams, as
// TCP gives them: nothing is lost within a connection, nothing comes twice or out
// of order. What packets suffer shows as a delay (a segment that is sent again),
// as a connection that breaks, or as one that hangs.
type Switch struct {
	mu        sync.Mutex
	random    *rand.Rand
	listeners map[string]*listener // by address
	links     map[[2]string]*link
}

// NewSwitch makes a network whose faults come from a seed.
func NewSwitch(seed uint64) *Switch {
	return &Switch{random: rand.New(rand.NewPCG(seed, 1)), listeners: map[string]*listener{}, links: map[[2]string]*link{}}
}

// link is one direction between two hosts.
type link struct {
	net      *Switch
	from, to string

	mu     sync.Mutex
	faults Faults
	busy   time.Time // until then the wire is taken by what was sent
	conns  map[*pair]struct{}
	healed chan struct{} // closed when the link changes
}

func (s *Switch) link(from, to string) *link {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.links[[2]string{from, to}]
	if l == nil {
		l = &link{net: s, from: from, to: to, conns: map[*pair]struct{}{}, healed: make(chan struct{})}
		s.links[[2]string{from, to}] = l
	}
	return l
}

// chance and upTo draw from the switch's seed.
func (s *Switch) chance(p float64) bool {
	if p == 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.random.Float64() < p
}

func (s *Switch) upTo(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Duration(s.random.Int64N(int64(d)))
}

// firstResend is how long TCP waits before it sends a segment again; it doubles.
const firstResend = 200 * time.Millisecond

// arrival says when a segment that is sent now gets there.
func (l *link) arrival(now time.Time, size int) time.Time {
	l.mu.Lock()
	f := l.faults
	if f.BytesPerSecond > 0 {
		if l.busy.Before(now) {
			l.busy = now
		}
		l.busy = l.busy.Add(time.Duration(size) * time.Second / time.Duration(f.BytesPerSecond))
		now = l.busy
	}
	l.mu.Unlock()
	at := now.Add(f.Delay + l.net.upTo(f.Jitter))
	for resend := firstResend; l.net.chance(f.Loss); resend *= 2 {
		at = at.Add(resend)
	}
	return at
}

func (l *link) held() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.faults.Cut
}

// pair is one connection.
type pair struct {
	there, back *stream
	links       [2]*link
	once        sync.Once
}

func (p *pair) fail(err error) {
	p.there.fail(err)
	p.back.fail(err)
	p.forget()
}

func (p *pair) forget() {
	p.once.Do(func() {
		for _, l := range p.links {
			l.mu.Lock()
			delete(l.conns, p)
			l.mu.Unlock()
		}
	})
}

// Listen opens an address on a host.
func (s *Switch) Listen(host, at string) (net.Listener, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listeners[at] != nil {
		return nil, fmt.Errorf("listen %s: address already in use", at)
	}
	l := &listener{net: s, host: host, at: address(at), backlog: make(chan net.Conn, 128), done: make(chan struct{})}
	s.listeners[at] = l
	return l, nil
}

// Dial connects a host to an address.
func (s *Switch) Dial(ctx context.Context, host, to string) (net.Conn, error) {
	s.mu.Lock()
	l := s.listeners[to]
	s.mu.Unlock()
	if l == nil {
		return nil, fmt.Errorf("dial %s: connection refused", to)
	}
	links := [2]*link{s.link(host, l.host), s.link(l.host, host)}
	p := &pair{there: newStream(links[0]), back: newStream(links[1]), links: links}
	for _, link := range links {
		link.mu.Lock()
		link.conns[p] = struct{}{}
		link.mu.Unlock()
	}
	local := address(host + ":0")
	ours := &conn{in: p.back, out: p.there, local: local, remote: l.at, reading: newDeadline(), writing: newDeadline(), closed: p.forget}
	theirs := &conn{in: p.there, out: p.back, local: l.at, remote: local, reading: newDeadline(), writing: newDeadline(), closed: p.forget}
	select {
	case l.backlog <- theirs:
		return ours, nil
	case <-l.done:
		p.fail(errBroken)
		return nil, fmt.Errorf("dial %s: connection refused", to)
	case <-ctx.Done():
		p.fail(errBroken)
		return nil, ctx.Err()
	}
}

type listener struct {
	net     *Switch
	host    string
	at      address
	backlog chan net.Conn
	done    chan struct{}
	once    sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.backlog:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	err := errors.New("closed twice")
	l.once.Do(func() {
		close(l.done)
		l.net.mu.Lock()
		delete(l.net.listeners, string(l.at))
		l.net.mu.Unlock()
		err = nil
	})
	if err != nil {
		return net.ErrClosed
	}
	return nil
}

func (l *listener) Addr() net.Addr { return l.at }
