package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/risknet/risknet/consensus"
	"github.com/risknet/risknet/risk"
)

// startOrder runs raft over mutual TLS: only certificates of role node connect.
func (n *Node) startOrder() error {
	cfg := consensus.Config{
		ID:                n.life.server(),
		Advertise:         n.cfg.Listen.Raft,
		Dir:               filepath.Join(n.cfg.Data, "raft"),
		Listener:          tls.NewListener(n.listeners.raft, n.creds.ServerTLS(atRaft)),
		Dial:              n.dialRaft,
		Gate:              &n.gate,
		Now:               n.now,
		Logger:            n.log,
		Heartbeat:         n.cfg.Raft.Heartbeat,
		Election:          n.cfg.Raft.Election,
		Lease:             n.cfg.Raft.Lease,
		CommitTimeout:     n.cfg.Raft.CommitTimeout,
		TrailingLogs:      n.cfg.Raft.TrailingLogs,
		TrailingBytes:     n.cfg.Raft.TrailingBytes,
		SnapshotThreshold: n.cfg.Raft.SnapshotThreshold,
		SnapshotInterval:  n.cfg.Raft.SnapshotInterval,
		Admit:             n.admitEntry,
		Permit:            n.permitStep,
		OnDropped:         n.takeBack,
		Peer:              n.peerOf,
		Vouch:             n.vouch,
		OnMisdirected:     n.called,
		OnTerm:            n.anchorTerm,
		Hold:              n.disk.hold,
		Room:              n.disk.roomForState,
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return fmt.Errorf("data: %w", err)
	}
	order, err := consensus.Start(cfg, &machine{node: n})
	if err != nil {
		return err
	}
	n.order = order
	close(n.ordering)
	return nil
}

// dataReach is how far log and state go, before raft runs. Whether all of the log is
// sound, its start tells.
func (n *Node) dataReach() (reach, error) {
	held, err := consensus.Glance(filepath.Join(n.cfg.Data, "raft"))
	if err != nil {
		return reach{}, err
	}
	at := n.store.Position()
	return reach{index: max(held.Last, at.Index), term: max(held.Term, at.Term)}, nil
}

// dialRaft connects to another node's raft listener, whose certificate must name
// the host that was dialled. Whether it is the node that was meant, consensus asks
// of peerOf: it knows the server, here there is only an address.
func (n *Node) dialRaft(ctx context.Context, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	conn, err := n.env.Dial(ctx, address)
	if err != nil {
		return nil, err
	}
	conn = n.creds.lines.dialled(conn)
	config := n.creds.ClientTLS(conn)
	config.ServerName = host
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return secure, nil
}

// maxStampAhead is how far ahead of its own clock a voter lets a leader stamp.
const maxStampAhead = 30 * time.Second

// admitEntry refuses what is no entry at all, which no leader of ours proposes, and a
// leader's stamp that is too far ahead, which time cures. Signatures are the law's
// affair: what is not signed leaves nothing, on every replica alike. Who has stamped an
// entry stands in the leaf, and is accused of what is wrong with the stamp: so a leader
// names itself.
func (n *Node) admitEntry(proposer string, payload []byte) error {
	entry, err := risk.DecodeEntry(payload)
	if err != nil {
		return err
	}
	if proposer != "" {
		if id, _, err := splitServer(proposer); err != nil || id != entry.Proposer {
			return fmt.Errorf("the entry says that node %s has stamped it, and %s leads", entry.Proposer, proposer)
		}
	}
	if ahead := time.UnixMilli(entry.At).Sub(n.now()); ahead > maxStampAhead {
		return fmt.Errorf("the leader's stamp is %s ahead of this node's clock; at most %s are taken", ahead, maxStampAhead)
	}
	return nil
}

// keepMembers makes raft's configuration follow the node records, while this
// node leads: the records drive raft, never the other way round.
func (n *Node) keepMembers(ctx context.Context) error {
	for {
		wait := time.Second
		if n.order.Ready() {
			if err := n.reconcile(ctx); err != nil && ctx.Err() == nil {
				n.log.Info("membership is not as the records say yet", "error", err)
				wait = 100 * time.Millisecond
			}
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-n.order.Changes():
		case <-n.nodesChanged:
		case <-timer.C:
		}
		timer.Stop()
	}
}

func (n *Node) reconcile(ctx context.Context) error {
	nodes, err := n.store.Nodes()
	if err != nil {
		return err
	}
	want := n.wantedServers(ctx, nodes)
	if len(want) == 0 {
		return nil // the network is being founded
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return n.order.Reconcile(ctx, want)
}
