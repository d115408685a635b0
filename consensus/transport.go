package consensus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// streamLayer carries raft over the caller's listener and dialer.
type streamLayer struct {
	net.Listener
	dial      Dialer
	advertise string
}

// Addr is the address that peers use, not the one we listen on.
func (s streamLayer) Addr() net.Addr { return address(s.advertise) }

func (s streamLayer) Dial(to raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return s.dial(ctx, string(to))
}

type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

// transport is raft's own, with a guard before what comes in and an eye on who
// answers. Embedding keeps pre-vote, which raft looks for by type.
type transport struct {
	*raft.NetworkTransport
	peers   *peers
	admit   func(payload []byte) error
	checked chan raft.RPC
	done    chan struct{}
	once    sync.Once
	conns   *Gate // every connection, so that Close can end them
	work    sync.WaitGroup
}

var _ raft.WithPreVote = (*transport)(nil)

func newTransport(cfg *Config, seen *peers, logger *bridge) *transport {
	conns := new(Gate)
	stream := streamLayer{
		Listener:  conns.Listener(cfg.Gate.Listener(cfg.Listener)),
		dial:      conns.Dialer(cfg.Gate.Dialer(cfg.Dial)),
		advertise: cfg.Advertise,
	}
	t := &transport{
		NetworkTransport: raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
			Stream:                  stream,
			MaxPool:                 3,
			Timeout:                 cfg.IOTimeout,
			Logger:                  logger,
			MsgpackUseNewTimeFormat: true,
		}),
		peers:   seen,
		admit:   cfg.Admit,
		checked: make(chan raft.RPC),
		done:    make(chan struct{}),
		conns:   conns,
	}
	t.work.Go(t.guard)
	return t
}

// Consumer gives raft only what the guard let pass.
func (t *transport) Consumer() <-chan raft.RPC { return t.checked }

func (t *transport) guard() {
	incoming := t.NetworkTransport.Consumer()
	for {
		select {
		case rpc := <-incoming:
			if err := t.check(rpc.Command); err != nil {
				rpc.Respond(nil, err)
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

// check refuses what would make raft panic, and entries that the caller does not
// admit. Raft itself trusts whatever decodes.
func (t *transport) check(command any) error {
	switch c := command.(type) {
	case *raft.AppendEntriesRequest:
		for i, entry := range c.Entries {
			if entry == nil || entry.Index != c.PrevLogEntry+uint64(i)+1 {
				return errors.New("append: entries are not consecutive")
			}
			if err := t.checkEntry(entry); err != nil {
				return fmt.Errorf("append: entry %d: %w", entry.Index, err)
			}
		}
	case *raft.InstallSnapshotRequest:
		if c.SnapshotVersion != raft.SnapshotVersionMax || c.Size <= 0 || c.LastLogIndex == 0 {
			return errors.New("image: version, size or index is out of range")
		}
		if _, err := decodeConfiguration(c.Configuration); err != nil {
			return fmt.Errorf("image: %w", err)
		}
	}
	return nil
}

func (t *transport) checkEntry(entry *raft.Log) error {
	switch entry.Type {
	case raft.LogCommand:
		if len(entry.Data) > MaxPayload {
			return errTooLarge(len(entry.Data))
		}
		if t.admit != nil {
			return t.admit(entry.Data)
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

// AppendEntries also notes who answered. Heartbeats come this way.
func (t *transport) AppendEntries(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	asked := contact{asked: time.Now(), number: t.peers.next(), term: args.Term}
	*resp = raft.AppendEntriesResponse{} // raft reuses it; an answer must not survive its question
	err := t.NetworkTransport.AppendEntries(id, target, args, resp)
	if err == nil && resp.Term == args.Term {
		asked.last, asked.agreed = resp.LastLog, resp.Success
		t.peers.note(string(id), asked)
	}
	return err
}

// Close ends the listener and every connection, so that nothing waits on a peer.
func (t *transport) Close() error {
	t.once.Do(func() { close(t.done) })
	err := t.NetworkTransport.Close()
	t.conns.Cut()
	t.work.Wait()
	return err
}
