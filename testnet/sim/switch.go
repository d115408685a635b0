package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// Switch is a network in memory between named hosts. Its connections are byte
// streams as TCP gives them: within one, nothing is lost, comes twice or changes
// its place. What packets suffer shows as it shows above TCP:
//
//   - a lost packet delays everything behind it in its stream;
//   - packets that overtake each other show between connections alone;
//   - a message comes twice when its connection broke before the answer, and its
//     sender sends it again over another;
//   - a cut link holds what was sent; it arrives after the heal.
type Switch struct {
	mu        sync.Mutex
	random    *rand.Rand
	listeners map[string]*listener // by address
	owners    map[string]string    // host by address, also after its listener
	links     map[[2]string]*link  // by who sends and who receives
	hosts     map[string]*host
}

// host is a machine. A dark one neither sends nor receives, and says so to
// nobody: it is paused, or without power.
type host struct {
	name string
	dark bool
}

// NewSwitch makes a network whose faults come from a seed.
func NewSwitch(seed uint64) *Switch {
	return &Switch{random: rand.New(rand.NewPCG(seed, 1)), listeners: map[string]*listener{}, owners: map[string]string{},
		links: map[[2]string]*link{}, hosts: map[string]*host{}}
}

// link gives one direction between two hosts.
func (s *Switch) link(from, to string) *link {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := [2]string{from, to}
	if s.links[key] == nil {
		s.links[key] = &link{net: s, from: s.host(from), to: s.host(to), pairs: map[*pair]struct{}{}}
	}
	return s.links[key]
}

func (s *Switch) host(name string) *host {
	if s.hosts[name] == nil {
		s.hosts[name] = &host{name: name}
	}
	return s.hosts[name]
}

// Set gives a link other faults; what it held goes on its way.
func (s *Switch) Set(from, to string, change func(*Faults)) {
	l := s.link(from, to)
	s.mu.Lock()
	before := l.faults.Cut
	change(&l.faults)
	healed := before && !l.faults.Cut
	s.mu.Unlock()
	if healed {
		// TCP has waited longer and longer between two attempts.
		l.hurry(time.Now().Add(firstResend + s.upTo(time.Second)))
	}
}

// Dark makes a host hang, or go on.
func (s *Switch) Dark(name string, dark bool) {
	s.mu.Lock()
	s.host(name).dark = dark
	touching := s.touching(name)
	s.mu.Unlock()
	for _, l := range touching {
		l.hurry(time.Time{})
	}
}

// Reset breaks every connection of a host, as its kernel does when a process
// dies or the machine starts again.
func (s *Switch) Reset(name string) {
	s.mu.Lock()
	touching := s.touching(name)
	s.mu.Unlock()
	for _, l := range touching {
		for _, p := range l.open() {
			p.fail(errBroken)
		}
	}
}

// touching gives the links of a host; the lock is held.
func (s *Switch) touching(name string) []*link {
	var list []*link
	for key, l := range s.links {
		if key[0] == name || key[1] == name {
			list = append(list, l)
		}
	}
	return list
}

// Heal makes every link perfect. A dark host stays dark.
func (s *Switch) Heal() {
	s.mu.Lock()
	var all [][2]string
	for key := range s.links {
		all = append(all, key)
	}
	s.mu.Unlock()
	for _, key := range all {
		s.Set(key[0], key[1], func(f *Faults) { *f = Faults{} })
	}
}

// upTo draws a duration from the switch's seed.
func (s *Switch) upTo(d time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draw(d)
}

func (s *Switch) draw(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(s.random.Int64N(int64(d)))
}

// Listen opens an address on a host.
func (s *Switch) Listen(host, at string) (net.Listener, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listeners[at] != nil {
		return nil, fmt.Errorf("listen %s: address already in use", at)
	}
	l := &listener{net: s, host: host, at: address(at), backlog: make(chan *conn, 128), done: make(chan struct{})}
	s.listeners[at], s.owners[at] = l, host
	return l, nil
}

// Refuse closes every listener of a host; those who waited in them are reset.
func (s *Switch) Refuse(name string) {
	s.mu.Lock()
	var list []*listener
	for _, l := range s.listeners {
		if l.host == name {
			list = append(list, l)
		}
	}
	s.mu.Unlock()
	for _, l := range list {
		l.Close()
	}
}

// knockEvery is how often a call goes out again while the way is cut.
const knockEvery = 500 * time.Millisecond

// Dial connects a host to an address. While the way is cut, it hangs.
func (s *Switch) Dial(ctx context.Context, from, to string) (net.Conn, error) {
	for {
		s.mu.Lock()
		l, owner := s.listeners[to], s.owners[to]
		s.mu.Unlock()
		there, back := s.link(from, owner), s.link(owner, from)
		if there.held() || back.held() {
			if err := pause(ctx, knockEvery); err != nil {
				return nil, err
			}
			continue
		}
		now := time.Now()
		asked := there.send(now, 64)
		answered := back.send(asked.at, 64)
		if err := pause(ctx, answered.at.Sub(now)); err != nil {
			return nil, err
		}
		if l == nil {
			return nil, fmt.Errorf("dial %s: connection refused", to)
		}
		return l.connect(ctx, from)
	}
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

type listener struct {
	net     *Switch
	host    string
	at      address
	backlog chan *conn
	done    chan struct{}
	once    sync.Once
}

func (l *listener) connect(ctx context.Context, from string) (net.Conn, error) {
	there, back := l.net.link(from, l.host), l.net.link(l.host, from)
	p := &pair{there: newStream(there, back), back: newStream(back, there)}
	there.add(p)
	back.add(p)
	ours, theirs := p.ends(address(from+":0"), l.at)
	select {
	case l.backlog <- theirs:
		select {
		case <-l.done:
			l.drain() // nobody will
		default:
		}
		return ours, nil
	case <-l.done:
		p.fail(errBroken)
		return nil, fmt.Errorf("dial %s: connection refused", l.at)
	case <-ctx.Done():
		p.fail(errBroken)
		return nil, ctx.Err()
	}
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
	err := net.ErrClosed
	l.once.Do(func() {
		l.net.mu.Lock()
		delete(l.net.listeners, string(l.at))
		l.net.mu.Unlock()
		close(l.done)
		l.drain()
		err = nil
	})
	return err
}

// drain resets those who waited.
func (l *listener) drain() {
	for {
		select {
		case c := <-l.backlog:
			c.pair.fail(errBroken)
		default:
			return
		}
	}
}

func (l *listener) Addr() net.Addr { return l.at }
