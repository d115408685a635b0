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

// streamLayer carries what raft sends. What comes in goes through doors.
type streamLayer struct {
	dial      Dialer
	advertise string
	closed    chan struct{}
	once      *sync.Once
	peer      func(ctx context.Context, conn net.Conn) (Peer, error)
}

// Addr is the address that peers use, not the one we listen on.
func (s streamLayer) Addr() net.Addr { return address(s.advertise) }

// Accept gives nothing.
func (s streamLayer) Accept() (net.Conn, error) {
	<-s.closed
	return nil, net.ErrClosed
}

func (s streamLayer) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// Dial gets a target of meantFor's making. Who answers there must be who is meant.
func (s streamLayer) Dial(to raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	id, at := apart(to)
	conn, err := s.dial(ctx, at)
	if err != nil {
		return nil, err
	}
	peer, err := s.peer(ctx, conn)
	if err == nil {
		err = peer.SpeaksFor(id)
	}
	if err == nil {
		err = writePreface(ctx, conn, id)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &calledConn{Conn: conn, scanner: scanner{limits: ofAnswers}}, nil
}

type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

// transport is raft's own, with a guard before what comes in and an eye on who
// answers. Embedding keeps pre-vote, which raft looks for by type.
type transport struct {
	*raft.NetworkTransport
	id       string
	log      *bridge
	peers    *peers
	terms    *terms
	unseated unseated
	hints    hints
	admit    func(proposer string, payload []byte) error
	held     func() error // why this server takes nothing new
	room     func(bytes uint64) error
	checked  chan raft.RPC
	done     chan struct{}
	once     sync.Once
	conns    *Gate // every connection, so that Close can end them
	aside    Gate  // cut while this server lets others lead
	work     sync.WaitGroup
	refused  atomic.Uint64 // connections that were meant for another server

	misdirected func(id string)

	doors     *doors
	beat      atomic.Pointer[func(raft.RPC)] // raft's way for heartbeats, past its queue
	claims    *claims
	servers   atomic.Pointer[func() []Server] // the newest configuration that raft knows
	replica   atomic.Pointer[Replica]         // once raft runs
	ioTimeout time.Duration
}

var _ raft.WithPreVote = (*transport)(nil)

// newTransport takes a gate of the replica's own, beside the caller's.
func newTransport(r *Replica, logger *bridge) *transport {
	cfg, own, conns := &r.cfg, &r.disk.gate, new(Gate)
	t := &transport{
		id:          cfg.ID,
		log:         logger,
		peers:       r.peers,
		terms:       r.terms,
		admit:       cfg.Admit,
		held:        cfg.held,
		room:        cfg.Room,
		misdirected: cfg.OnMisdirected,
		checked:     make(chan raft.RPC),
		done:        make(chan struct{}),
		conns:       conns,
		ioTimeout:   cfg.IOTimeout,
	}
	t.claims = &claims{vouch: cfg.Vouch, mine: t.terms.known.Load, quit: t.done, work: &t.work, asking: map[string]bool{}, asked: map[string]time.Time{}}
	stream := streamLayer{
		dial:      conns.Dialer(t.aside.Dialer(own.Dialer(cfg.Gate.Dialer(cfg.Dial)))),
		advertise: cfg.Advertise,
		closed:    make(chan struct{}),
		once:      new(sync.Once),
		peer:      cfg.Peer,
	}
	t.NetworkTransport = raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream:                  stream,
		MaxPool:                 3,
		MaxRPCsInFlight:         rpcsInFlight,
		Timeout:                 cfg.IOTimeout,
		Logger:                  logger,
		MsgpackUseNewTimeFormat: true,
	})
	t.doors = &doors{t: t, peer: cfg.Peer, patience: cfg.IOTimeout, open: map[string]*door{},
		listener: conns.Listener(t.aside.Listener(own.Listener(cfg.Gate.Listener(cfg.Listener))))}
	t.work.Go(t.doors.accept)
	return t
}

// checkAddressee refuses what is meant for another server, most likely for the
// one that this server was before it lost its disk.
func (t *transport) checkAddressee(id string) error {
	if id == t.id {
		return nil
	}
	t.refused.Add(1)
	if t.misdirected != nil {
		t.misdirected(id)
	}
	t.log.Warn("a connection is meant for another server and is refused", "meant", id)
	return errMisdirected
}

// Consumer gives raft only what the guard let pass.
func (t *transport) Consumer() <-chan raft.RPC { return t.checked }

// SetHeartbeatHandler takes raft's handler; the doors call it behind the guard.
func (t *transport) SetHeartbeatHandler(handle func(raft.RPC)) { t.beat.Store(&handle) }

// heartbeat goes past raft's queue, as raft wishes: a leader that is busy writing is
// still heard.
func (t *transport) heartbeat(from *door, rpc raft.RPC) {
	if err := t.pass(from, rpc.Command); err != nil {
		rpc.Respond(nil, err)
		return
	}
	if handle := t.beat.Load(); handle != nil && *handle != nil {
		(*handle)(rpc)
		return
	}
	t.hand(rpc)
}

func (t *transport) guard(from *door) {
	incoming := from.raft.Consumer()
	for {
		select {
		case rpc := <-incoming:
			if err := t.pass(from, rpc.Command); err != nil {
				t.refuse(rpc, err)
				continue
			}
			if !t.forward(rpc) {
				return
			}
		case <-from.shut:
			return
		case <-t.done:
			return
		}
	}
}

// forward hands on what passed.
func (t *transport) forward(rpc raft.RPC) bool {
	switch c := rpc.Command.(type) {
	case *raft.RequestVoteRequest:
		rpc = t.noteVote(c, rpc)
	case *raft.AppendEntriesRequest:
		if hasStep(c) {
			return t.takeSteps(rpc, c)
		}
	}
	return t.hand(rpc)
}

// hand gives raft a message; false if there is nobody any more to take it.
func (t *transport) hand(rpc raft.RPC) bool {
	select {
	case t.checked <- rpc:
		return true
	case <-t.done:
		rpc.Respond(nil, raft.ErrTransportShutdown)
		return false
	}
}

// noteVote reads raft's answer on its way.
func (t *transport) noteVote(c *raft.RequestVoteRequest, rpc raft.RPC) raft.RPC {
	answer := make(chan raft.RPCResponse, 1)
	onward := rpc
	onward.RespChan = answer
	t.work.Go(func() {
		select {
		case said := <-answer:
			if vote, ok := said.Response.(*raft.RequestVoteResponse); ok && said.Error == nil && vote.Granted {
				t.claims.vote(string(c.ID), c.Term)
			}
			rpc.RespChan <- said
		case <-t.done:
		}
	})
	return onward
}

// pass is all that is asked of a message before raft sees it.
func (t *transport) pass(from *door, command any) error {
	if err := t.checkSender(from.peer, command); err != nil {
		return err
	}
	return t.check(command)
}

// refuse answers with an error, behind an image that is still on its way: what
// is left of it must not be taken for the next message.
func (t *transport) refuse(rpc raft.RPC, err error) {
	if rpc.Reader == nil {
		rpc.Respond(nil, err)
		return
	}
	t.log.Warn("an image is refused", "error", err)
	t.work.Go(func() {
		_, _ = io.Copy(io.Discard, rpc.Reader) // ends with the connection
		rpc.Respond(nil, err)
	})
}

// check refuses what would make raft panic, and entries that the caller does not
// admit. Raft itself trusts whatever decodes.
func (t *transport) check(command any) error {
	if err := t.terms.within(termOf(command)); err != nil {
		return err
	}
	switch c := command.(type) {
	case *raft.AppendEntriesRequest:
		if len(c.Entries) > 0 {
			if err := t.held(); err != nil {
				return err
			}
		}
		for i, entry := range c.Entries {
			if entry == nil || entry.Index != c.PrevLogEntry+uint64(i)+1 {
				return errors.New("append: entries are not consecutive")
			}
			if entry.Term > c.Term {
				return fmt.Errorf("append: entry %d: term %d is above its leader's, %d", entry.Index, entry.Term, c.Term)
			}
			if err := t.checkEntry(c, entry); err != nil {
				return fmt.Errorf("append: entry %d: %w", entry.Index, err)
			}
		}
	case *raft.TimeoutNowRequest:
		return t.held() // it would lead, and hand over at once
	case *raft.InstallSnapshotRequest:
		if err := t.held(); err != nil {
			return err
		}
		if c.SnapshotVersion != raft.SnapshotVersionMax || c.Size <= 0 || c.LastLogIndex == 0 {
			return errors.New("image: version, size or index is out of range")
		}
		if _, err := decodeConfiguration(c.Configuration); err != nil {
			return fmt.Errorf("image: %w", err)
		}
		if err := t.room(uint64(c.Size)); err != nil {
			return fmt.Errorf("image of %d bytes: %w", c.Size, err)
		}
	}
	return nil
}

// notAdmitted is what a leader looks for in a refusal, which comes to it as text.
const notAdmitted = "the entry is not admitted"

func (t *transport) checkEntry(c *raft.AppendEntriesRequest, entry *raft.Log) error {
	switch entry.Type {
	case raft.LogCommand:
		if len(entry.Data) > MaxPayload {
			return errTooLarge(len(entry.Data))
		}
		if t.admit != nil {
			proposer := ""
			if entry.Term == c.Term {
				proposer = string(c.ID)
			}
			if err := t.admit(proposer, entry.Data); err != nil {
				return fmt.Errorf("%s: %w", notAdmitted, err)
			}
		}
		return nil
	case raft.LogConfiguration:
		_, err := decodeConfiguration(entry.Data)
		return err
	case raft.LogNoop, raft.LogBarrier:
		return nil
	}
	return fmt.Errorf("type %d is unknown", entry.Type)
}

// decodeConfiguration is raft's, without its panic.
func decodeConfiguration(data []byte) (c raft.Configuration, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("configuration: %v", r)
		}
	}()
	if err := wellFormed(data, ofServers); err != nil {
		return c, fmt.Errorf("configuration: %w", err)
	}
	c = raft.DecodeConfiguration(data)
	if len(c.Servers) == 0 {
		return c, errors.New("configuration: has no servers")
	}
	return c, nil
}

// Close ends the listener and every connection, so that nothing waits on a peer.
func (t *transport) Close() error {
	t.once.Do(func() { close(t.done) })
	err := errors.Join(t.NetworkTransport.Close(), t.doors.close())
	t.conns.Cut()
	t.work.Wait()
	return err
}
