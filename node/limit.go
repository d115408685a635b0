package node

import (
	"net"
	"slices"
	"sync"
	"time"
)

// handshakePatience is how long a connection may take to say who it is. The raft
// port has the I/O timeout of consensus for it.
const handshakePatience = 5 * time.Second

// limitListener bounds the connections open at a time. When all places are taken,
// the one that has said nothing of itself for the longest makes room; where all
// have, the newcomer is closed at once, so that the others are not held up. One
// goroutine accepts.
type limitListener struct {
	net.Listener
	lines *lines
	slots chan struct{}

	mu        sync.Mutex
	strangers []*line // the oldest first; some have entered or ended since
	kept      int     // strangers when they were last counted
}

func newLimitListener(l net.Listener, lines *lines, limit int) net.Listener {
	return &limitListener{Listener: l, lines: lines, slots: make(chan struct{}, limit)}
}

func (l *limitListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if !l.take() && !(l.makeRoom() && l.take()) {
			conn.Close()
			continue
		}
		accepted := l.lines.accepted(conn, func() { <-l.slots })
		l.follow(accepted)
		return accepted, nil
	}
}

func (l *limitListener) take() bool {
	select {
	case l.slots <- struct{}{}:
		return true
	default:
		return false
	}
}

// follow remembers a newcomer, and forgets from time to time who is none any more.
func (l *limitListener) follow(c *line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.strangers) > 2*l.kept+16 {
		l.strangers = slices.DeleteFunc(l.strangers, func(c *line) bool { return !l.lines.stranger(c) })
		l.kept = len(l.strangers)
	}
	l.strangers = append(l.strangers, c)
}

// makeRoom ends the stranger that has been one for the longest.
func (l *limitListener) makeRoom() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.strangers) > 0 {
		oldest := l.strangers[0]
		l.strangers = l.strangers[1:]
		if l.lines.stranger(oldest) {
			_ = oldest.Close()
			return true
		}
	}
	return false
}

// Close ends the strangers too: whoever waits for the end of what was accepted
// would wait for their patience to run out.
func (l *limitListener) Close() error {
	err := l.Listener.Close()
	for l.makeRoom() {
	}
	return err
}
