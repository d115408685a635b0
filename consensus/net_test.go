package consensus

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

// network is a set of servers in one process and one bubble of fake time. They
// speak raft's real transport over pipes.
type network struct {
	t         *testing.T
	mu        sync.Mutex
	listeners map[string]*pipeListener
	servers   []*testServer
	tune      func(*Config)
}

type testServer struct {
	Server
	net     *network
	machine *testMachine
	store   *memStore
	gate    *Gate
	*Replica
}

// inBubble runs a test in fake time and stops whatever it left running.
func inBubble(t *testing.T, test func(t *testing.T, n *network)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := &network{t: t, listeners: make(map[string]*pipeListener)}
		defer n.stopAll() // also after a failure, or the bubble would never end
		test(t, n)
	})
}

func (n *network) stopAll() {
	for _, s := range n.servers {
		s.gate.Heal()
	}
	for _, s := range n.servers {
		if s.Replica != nil {
			s.Replica.Stop()
		}
	}
}

// add starts an empty server that belongs to nothing yet.
func (n *network) add(id string) *testServer {
	n.t.Helper()
	s := &testServer{
		Server:  Server{ID: id, Address: id + ":1", Voter: true},
		net:     n,
		machine: &testMachine{},
		store:   newMemStore(),
		gate:    new(Gate),
	}
	n.servers = append(n.servers, s)
	s.start()
	return s
}

// found makes a network of voters, of which the first founded it.
func (n *network) found(count int) []*testServer {
	n.t.Helper()
	for i := range count {
		n.add(fmt.Sprintf("s%d", i+1))
	}
	first := n.servers[0]
	if err := first.Bootstrap(); err != nil {
		n.t.Fatal(err)
	}
	n.until("the founder leads", first.Ready)
	n.reconcile(first, n.wanted()...)
	return n.servers
}

func without(servers []*testServer, gone *testServer) []*testServer {
	return slices.DeleteFunc(slices.Clone(servers), func(s *testServer) bool { return s == gone })
}

func (n *network) wanted() []Server {
	var want []Server
	for _, s := range n.servers {
		want = append(want, s.Server)
	}
	return want
}

// reconcile calls until nothing has to wait, as a node does.
func (n *network) reconcile(leader *testServer, want ...Server) {
	n.t.Helper()
	n.until("the configuration is as wanted", func() bool {
		return leader.Reconcile(n.within(5*time.Second), want) == nil
	})
}

func (n *network) within(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(n.t.Context(), d)
	n.t.Cleanup(cancel)
	return ctx
}

// until lets fake time pass until the condition holds.
func (n *network) until(what string, ok func() bool) {
	n.t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); n.pass(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			n.t.Fatalf("a minute has passed and still not: %s", what)
		}
	}
}

func (n *network) pass(d time.Duration) { <-time.After(d) }

func (n *network) leader(among ...*testServer) *testServer {
	n.t.Helper()
	if len(among) == 0 {
		among = n.servers
	}
	var leader *testServer
	n.until("one of them leads", func() bool {
		for _, s := range among {
			if s.Replica != nil && s.Ready() {
				leader = s
			}
		}
		return leader != nil
	})
	return leader
}

// publish proposes a text on a server and fails the test if it is not applied.
func (n *network) publish(s *testServer, text string) uint64 {
	n.t.Helper()
	index, err := s.propose(n.within(5*time.Second), text)
	if err != nil {
		n.t.Fatalf("propose %q on %s: %v", text, s.ID, err)
	}
	return index
}

func (n *network) allEqual(servers ...*testServer) {
	n.t.Helper()
	n.until("all hold the same", func() bool {
		for _, s := range servers {
			if !slices.Equal(s.machine.texts(), servers[0].machine.texts()) {
				return false
			}
		}
		return true
	})
}

func (s *testServer) start() {
	s.net.t.Helper()
	l := &pipeListener{address: s.Address, conns: make(chan net.Conn), closed: make(chan struct{}), net: s.net}
	s.net.mu.Lock()
	s.net.listeners[s.Address] = l
	s.net.mu.Unlock()
	cfg := Config{
		ID: s.ID, Advertise: s.Address, Listener: l, Dial: s.net.dial, Gate: s.gate,
		Logger:        slog.New(slog.DiscardHandler),
		CommitTimeout: 20 * time.Millisecond,
		store:         s.store,
	}
	if s.net.tune != nil {
		s.net.tune(&cfg)
	}
	var err error
	if s.Replica, err = Start(cfg, s.machine); err != nil {
		s.net.t.Fatalf("start %s: %v", s.ID, err)
	}
}

// stop ends the server's process; its disk stays.
func (s *testServer) stop() {
	s.net.t.Helper()
	if err := s.Replica.Stop(); err != nil {
		s.net.t.Fatalf("stop %s: %v", s.ID, err)
	}
	s.Replica = nil
}

func (s *testServer) propose(ctx context.Context, text string) (uint64, error) {
	result, index, err := s.Propose(ctx, func(at int64) []byte { return payload(at, text) })
	if err == nil && result != "applied "+text {
		err = fmt.Errorf("the result is %v", result)
	}
	return index, err
}

func payload(at int64, text string) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(at)), text...)
}

type pipeListener struct {
	address string
	conns   chan net.Conn
	closed  chan struct{}
	net     *network
	once    sync.Once
}

func (n *network) dial(ctx context.Context, to string) (net.Conn, error) {
	n.mu.Lock()
	l := n.listeners[to]
	n.mu.Unlock()
	if l == nil {
		return nil, errors.New("connection refused")
	}
	near, far := net.Pipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-l.closed:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *pipeListener) Addr() net.Addr { return address(l.address) }

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// memStore behaves like the log on disk: no gaps, and reads are copies.
type memStore struct {
	*raft.InmemStore
	trouble atomic.Pointer[trouble]
}

// trouble is what a disk does instead of its work: it is asked before each step,
// by name and number, and an error is the step's.
type trouble func(step string, number uint64) error

func newMemStore() *memStore { return &memStore{InmemStore: raft.NewInmemStore()} }

func (m *memStore) suffer(t trouble) { m.trouble.Store(&t) }
func (m *memStore) recovers()        { m.trouble.Store(nil) }

func (m *memStore) step(name string, number uint64) error {
	if t := m.trouble.Load(); t != nil {
		return (*t)(name, number)
	}
	return nil
}

func (m *memStore) GetLog(index uint64, l *raft.Log) error {
	if err := m.step("read", index); err != nil {
		return err
	}
	return m.InmemStore.GetLog(index, l)
}

func (m *memStore) DeleteRange(from, to uint64) error {
	if err := m.step("delete", from); err != nil {
		return err
	}
	first, _ := m.FirstIndex()
	if last, _ := m.LastIndex(); last == 0 || to < first || from > last {
		return nil
	}
	return m.InmemStore.DeleteRange(from, to)
}

func (m *memStore) SetUint64(key []byte, value uint64) error {
	if err := m.step(string(key), value); err != nil {
		return err
	}
	return m.InmemStore.SetUint64(key, value)
}

func (*memStore) Close() error      { return nil }
func (*memStore) IsMonotonic() bool { return true }

// Newest takes each entry for as long as its data.
func (m *memStore) Newest(bytes uint64) uint64 {
	first, _ := m.FirstIndex()
	last, _ := m.LastIndex()
	held := uint64(0)
	for i := last; i >= first && i > 0; i-- {
		var l raft.Log
		if m.InmemStore.GetLog(i, &l) == nil {
			held += uint64(len(l.Data))
		}
		if held >= bytes {
			return i
		}
	}
	return 0
}

func (m *memStore) StoreLogs(logs []*raft.Log) error {
	if err := m.step("append", logs[0].Index); err != nil {
		return err
	}
	last, _ := m.LastIndex()
	for _, l := range logs {
		if last > 0 && l.Index != last+1 {
			return fmt.Errorf("append %d after %d", l.Index, last)
		}
		last = l.Index
	}
	return m.InmemStore.StoreLogs(logs)
}
