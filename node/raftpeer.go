package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/consensus"
	"github.com/risknet/risknet/risk"
)

// raftPeer is the other end of a raft connection, by its certificate.
type raftPeer struct {
	node *Node
	who  Identity
}

// peerOf finishes the handshake and reads the certificate. Consensus calls it for
// each connection, whoever opened it.
func (n *Node) peerOf(ctx context.Context, conn net.Conn) (consensus.Peer, error) {
	for {
		if secure, ok := conn.(*tls.Conn); ok {
			if err := secure.HandshakeContext(ctx); err != nil {
				return nil, err
			}
			who, err := IdentityOf(secure.ConnectionState().PeerCertificates[0])
			if err != nil {
				return nil, err
			}
			return raftPeer{n, who}, nil
		}
		inner, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return nil, errors.New("raft: a connection without TLS")
		}
		conn = inner.NetConn()
	}
}

func (p raftPeer) Key() string { return p.who.URI().String() }

// SpeaksFor holds a server's id to the node records: a node speaks as its own lives
// and as nobody else's. A node without a state knows no records yet, and verifies
// what it gets by other means.
func (p raftPeer) SpeaksFor(server string) error {
	id, _, err := splitServer(server)
	if err != nil {
		return err
	}
	nodes, err := p.node.store.Nodes()
	if err != nil || len(nodes) == 0 {
		return err
	}
	known := false
	for _, record := range nodes {
		if record.Node == id && record.Name == p.who.Name && record.Institution == p.who.Institution {
			return nil
		}
		known = known || record.Node == id
	}
	// What others say is for who has no record here: it must not give a voice that
	// somebody has to another.
	if !known && p.node.learned.holds(newcomer{id, p.who.Institution, p.who.Name}) {
		return nil
	}
	p.node.learnSoon()
	return fmt.Errorf("raft: the certificate of %s of %s is not that of server %s", p.who.Name, p.who.Institution, server)
}

// newcomer is what the other nodes say about one that our own records do not have yet,
// because they are older.
type newcomer struct {
	node              risk.ID
	institution, name string
}

// learned is what a node that was away hears of those that came meanwhile. Without
// it, a newcomer that leads could not bring it the entry that tells of it.
type learned struct {
	mu    sync.Mutex
	nodes map[newcomer]bool
	last  time.Time
	busy  bool
}

func (l *learned) holds(k newcomer) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.nodes[k]
}

const learnEvery = 200 * time.Millisecond

// learnSoon asks the others, now and then.
func (n *Node) learnSoon() {
	l := &n.learned
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.busy || time.Since(l.last) < learnEvery {
		return
	}
	l.busy = true
	go func() {
		found := n.learn()
		l.mu.Lock()
		defer l.mu.Unlock()
		l.nodes, l.last, l.busy = found, time.Now(), false
	}()
}

// learn believes what half of the voters that this node knows agree on.
func (n *Node) learn() map[newcomer]bool {
	voters := n.knownVoters()
	said := make([][]*apiv1.Node, len(voters))
	n.askVoters(voters, func(ctx context.Context, i int, conn *grpc.ClientConn) error {
		var at peer.Peer
		answer, err := apiv1.NewRegistryClient(conn).Network(ctx, &apiv1.NetworkRequest{}, grpc.Peer(&at))
		if err == nil && voters[i].is(certified(&at)) {
			said[i] = answer.Nodes
		}
		return err
	})
	count := map[newcomer]int{}
	for _, nodes := range said {
		named := map[newcomer]bool{} // each voter speaks once, however often it says so
		for _, one := range nodes {
			if id, err := risk.ParseID(one.Id); err == nil {
				named[newcomer{id, one.Institution, one.Name}] = true
			}
		}
		for k := range named {
			count[k]++
		}
	}
	believed := map[newcomer]bool{}
	for k, votes := range count {
		if votes >= max(1, (len(voters)+1)/2) {
			believed[k] = true
		}
	}
	return believed
}

// knownVoter is a voter of the configuration that this node knows, other than itself.
type knownVoter struct {
	server string
	record *risk.PutNode
}

func (v *knownVoter) is(who Identity) bool {
	return who.Name == v.record.Name && who.Institution == v.record.Institution
}

func (n *Node) knownVoters() (others []knownVoter) {
	select {
	case <-n.ordering:
	default:
		return nil // raft is only just starting
	}
	nodes, err := n.store.Nodes()
	if err != nil {
		return nil
	}
	for _, server := range n.order.Servers() {
		id, _, err := splitServer(server.ID)
		if err != nil || !server.Voter || id == n.id {
			continue
		}
		at := slices.IndexFunc(nodes, func(r *risk.PutNode) bool { return r.Node == id })
		if at >= 0 {
			others = append(others, knownVoter{server.ID, nodes[at]})
		}
	}
	return others
}

// askVoters asks all of them at once; what does not answer in time does not count.
func (n *Node) askVoters(voters []knownVoter, ask func(ctx context.Context, i int, conn *grpc.ClientConn) error) {
	ctx, cancel := context.WithTimeout(context.Background(), serverPatience)
	defer cancel()
	var wait sync.WaitGroup
	for i, v := range voters {
		wait.Go(func() {
			if conn, err := n.peers.dial(placeOf(v.record)); err == nil {
				_ = ask(ctx, i, conn) // silence counts for nothing
			}
		})
	}
	wait.Wait()
}

// vouch asks the other voters whether they follow a server in a term. A leader has a
// majority's votes, its own among them; so many of the others must say so that with
// it they are one.
func (n *Node) vouch(ctx context.Context, server string, term uint64) bool {
	select {
	case <-n.ordering:
	case <-ctx.Done():
		return false
	}
	if nodes, err := n.store.Nodes(); err != nil || len(nodes) == 0 {
		return err == nil // there is a log and no state yet: there is nobody to ask, and nothing to lose
	}
	voters, need := n.knownVoters(), n.majority()
	candidates := slices.DeleteFunc(slices.Clone(voters), func(v knownVoter) bool { return v.server == server })
	if len(candidates) < len(voters) {
		need-- // its own
	}
	if need <= 0 {
		return true
	}
	follow := make([]bool, len(candidates))
	n.askVoters(candidates, func(ctx context.Context, i int, conn *grpc.ClientConn) error {
		var at peer.Peer
		says, err := apiv1.NewClusterClient(conn).NodeStatus(ctx, &apiv1.NodeStatusRequest{}, grpc.Peer(&at))
		follow[i] = err == nil && candidates[i].is(certified(&at)) && says.Leader == server && says.Term == term
		return err
	})
	count := 0
	for _, yes := range follow {
		if yes {
			count++
		}
	}
	if count < need {
		n.log.Debug("a leader is not confirmed", "server", server, "term", term, "confirmed by", count, "of", need)
	}
	return count >= need
}

// majority of the voters of the configuration that this node knows.
func (n *Node) majority() int {
	voters := 0
	for _, server := range n.order.Servers() {
		if server.Voter {
			voters++
		}
	}
	return voters/2 + 1
}
