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

// streamLayer carries raft over the caller's listener and dialer.
type streamLayer struct {
	net.Listener
	dial      Dialer
	advertise string
	check     func(id string) error // judges whom a caller wants
	patience  time.Duration         // with a caller's preface
}

// Addr is the address that peers use, not the one we listen on.
func (s streamLayer) Addr() net.Addr { return address(s.advertise) }

// Accept never waits for what a caller has to say.
func (s streamLayer) Accept() (net.Conn, error) {
	conn, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &prefacedConn{Conn: conn, check: s.check, patience: s.patience}, nil
}

// Dial gets a target of meantFor's making.
func (s streamLayer) Dial(to raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	id, at := apart(to)
	conn, err := s.dial(ctx, at)
	if err != nil {
		return nil, err
	}
	if err := writePreface(ctx, conn, id); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

// transport is raft's own, with a guard before what comes in and an eye on who
// answers. Embedding keeps pre-vote, which raft looks for by type.
type transport struct {
	*raft.NetworkTransport
	id      string
	log     *bridge
	peers   *peers
	admit   func(payload []byte) error
	held    func() error // why this server takes nothing new
	room    func(bytes uint64) error
	checked chan raft.RPC
	done    chan struct{}
	once    sync.Once
	conns   *Gate // every connection, so that Close can end them
	aside   Gate  // cut while this server lets others lead
	work    sync.WaitGroup
	refused atomic.Uint64 // connections that were meant for another server
}

var _ raft.WithPreVote = (*transport)(nil)

// newTransport takes a gate of the replica's own, beside the caller's.
func newTransport(cfg *Config, own *Gate, seen *peers, logger *bridge) *transport {
	conns := new(Gate)
	t := &transport{
		id:      cfg.ID,
		log:     logger,
		peers:   seen,
		admit:   cfg.Admit,
		held:    cfg.held,
		room:    cfg.Room,
		checked: make(chan raft.RPC),
		done:    make(chan struct{}),
		conns:   conns,
	}
	stream := streamLayer{
		Listener:  conns.Listener(t.aside.Listener(own.Listener(cfg.Gate.Listener(cfg.Listener)))),
		dial:      conns.Dialer(t.aside.Dialer(own.Dialer(cfg.Gate.Dialer(cfg.Dial)))),
		advertise: cfg.Advertise,
		check:     t.checkAddressee,
		patience:  cfg.IOTimeout,
	}
	t.NetworkTransport = raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream:                  stream,
		MaxPool:                 3,
		Timeout:                 cfg.IOTimeout,
		Logger:                  logger,
		MsgpackUseNewTimeFormat: true,
	})
	t.work.Go(t.guard)
	return t
}

// checkAddressee refuses what is meant for another server, most likely for the
// one that this server was before it lost its disk.
func (t *transport) checkAddressee(id string) error {
	if id == t.id {
		return nil
	}
	t.refused.Add(1)
	t.log.Warn("a connection is meant for another server and is refused", "meant", id)
	return errMisdirected
}

// Consumer gives raft only what the guard let pass.
func (t *transport) Consumer() <-chan raft.RPC { return t.checked }

func (t *transport) guard() {
	incoming := t.NetworkTransport.Consumer()
	for {
		select {
		case rpc := <-incoming:
			if err := t.check(rpc.Command); err != nil {
				t.refuse(rpc, err)
				continue
			}
			select {
			case t.checked <- rpc:
			case <-t.done:
				return
			}
		case <-t.done:
			return
		}
	}
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
			if err := t.checkEntry(entry); err != nil {
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

func (t *transport) checkEntry(entry *raft.Log) error {
	switch entry.Type {
	case raft.LogCommand:
		if len(entry.Data) > MaxPayload {
			return errTooLarge(len(entry.Data))
		}
		if t.admit != nil {
			if err := t.admit(entry.Data); err != nil {
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
	c = raft.DecodeConfiguration(data)
	if len(c.Servers) == 0 {
		return c, errors.New("configuration: has no servers")
	}
	return c, nil
}

// Close ends the listener and every connection, so that nothing waits on a peer.
func (t *transport) Close() error {
	t.once.Do(func() { close(t.done) })
	err := t.NetworkTransport.Close()
	t.conns.Cut()
	t.work.Wait()
	return err
}
