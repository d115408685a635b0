package node

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/consensus"
	"github.com/risknet/risknet/risk"
)

// peers keeps one connection to each other node that was asked for.
type peers struct {
	creds *Credentials
	reach consensus.Dialer

	mu    sync.Mutex
	conns map[place]*grpc.ClientConn
}

func newPeers(creds *Credentials, reach consensus.Dialer) *peers {
	return &peers{creds: creds, reach: reach, conns: map[place]*grpc.ClientConn{}}
}

// place is where a node is, and which one it is.
type place struct{ institution, name, api string }

// dial connects to one node: another that answers at its address is refused.
func (p *peers) dial(to place) (*grpc.ClientConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if conn, ok := p.conns[to]; ok {
		return conn, nil
	}
	meant := Identity{Network: p.creds.Identity.Network, Institution: to.institution, Role: RoleNode, Name: to.name}
	conn, err := grpc.NewClient("passthrough:///"+to.api,
		grpc.WithContextDialer(p.reach),
		grpc.WithTransportCredentials(&nodeCredentials{TransportCredentials: credentials.NewTLS(&tls.Config{}), own: p.creds, meant: meant}),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(newWireCodec()), grpc.MaxCallRecvMsgSize(16<<20)),
		grpc.WithStaticStreamWindowSize(apiv1.AnswerWindow), grpc.WithStaticConnWindowSize(apiv1.ConnWindow),
		grpc.WithConnectParams(grpc.ConnectParams{MinConnectTimeout: 2 * time.Second,
			Backoff: backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second}}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 3 * time.Second}))
	if err != nil {
		return nil, err
	}
	p.conns[to] = conn
	return conn, nil
}

func placeOf(record *risk.PutNode) place { return place{record.Institution, record.Name, record.API} }

func (p *peers) closeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for to, conn := range p.conns {
		conn.Close()
		delete(p.conns, to)
	}
}

// nodeCredentials meet each connection with the certificate files as they are then.
type nodeCredentials struct {
	credentials.TransportCredentials // for all that is no handshake
	own                              *Credentials
	meant                            Identity
}

func (c *nodeCredentials) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn := c.own.lines.dialled(raw)
	secure, info, err := credentials.NewTLS(c.own.ClientTLS(conn, c.meant)).ClientHandshake(ctx, authority, conn)
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	return secure, info, nil
}

// Clone shares everything: nothing in it changes.
func (c *nodeCredentials) Clone() credentials.TransportCredentials { return c }

// leader gives a connection to the leader's node.
func (n *Node) leader() (apiv1.PeersClient, error) {
	server, _ := n.order.Leader()
	if server == "" {
		return nil, status.Error(codes.Unavailable, "no leader is known right now: one is being elected, or fewer than half of the voters are in touch; send the same bytes again in a moment")
	}
	id, _, err := splitServer(server)
	if err != nil {
		return nil, internal(err)
	}
	if id == n.id {
		return nil, status.Error(codes.Unavailable, "this node has just come to lead; send the same bytes again in a moment")
	}
	nodes, err := n.store.Nodes()
	if err != nil {
		return nil, internal(err)
	}
	for _, other := range nodes {
		if other.Node == id {
			conn, err := n.peers.dial(placeOf(other))
			if err != nil {
				return nil, err
			}
			return apiv1.NewPeersClient(conn), nil
		}
	}
	return nil, status.Error(codes.Unavailable, "the leader's record has not reached this node yet; send the same bytes again in a moment")
}

// peerService is what nodes ask each other.
type peerService struct {
	apiv1.UnimplementedPeersServer
	node *Node
}

func (s *peerService) Forward(req *apiv1.SubmitRequest, stream grpc.ServerStreamingServer[apiv1.ForwardAnswer]) error {
	if err := knownFieldsOnly(req); err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	receipt, err := s.node.submit(stream.Context(), req, false, func(note []byte) {
		_ = stream.Send(&apiv1.ForwardAnswer{Promise: note}) // who has gone away does not miss it
	})
	if errors.Is(err, consensus.ErrNotLeader) {
		return status.Error(codes.Unavailable, "leadership has moved; send the same bytes again in a moment")
	}
	if err != nil {
		return err
	}
	return stream.Send(&apiv1.ForwardAnswer{Receipt: receipt})
}

func (s *peerService) ReadIndex(ctx context.Context, _ *apiv1.ReadIndexRequest) (*apiv1.ReadIndexResponse, error) {
	index, err := s.node.order.ReadIndex(ctx)
	if err != nil {
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	return &apiv1.ReadIndexResponse{Index: index}, nil
}

// freshen keeps the age of the view: it asks the leader for the index that a
// quorum has committed and, once that is applied here, knows that the view was
// complete when it asked.
func (n *Node) freshen(ctx context.Context) error {
	for {
		asked := n.now()
		index, err := n.readIndex(ctx)
		if err == nil && n.checkpoints.diverged.Load() == nil && n.awaitApplied(ctx, index) {
			if err := n.lacksKey(); err != nil {
				n.end(err) // it has arrived in the present, and the epoch is in use
			} else {
				n.checker.SetFresh(asked)
			}
		}
		if !pause(ctx, n.cfg.Stale.AskEvery) {
			return nil
		}
	}
}

func (n *Node) readIndex(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	index, err := n.order.ReadIndex(ctx)
	if !errors.Is(err, consensus.ErrNotLeader) {
		return index, err
	}
	peer, err := n.leader()
	if err != nil {
		return 0, err
	}
	resp, err := peer.ReadIndex(ctx, &apiv1.ReadIndexRequest{})
	return resp.GetIndex(), err
}

// awaitApplied waits a little until the index is in the view.
func (n *Node) awaitApplied(ctx context.Context, index uint64) bool {
	for i := range 100 {
		// Applied reads the log, and what it reads under load is a whole report.
		if n.inView(index) || i%10 == 0 && n.order.Applied() >= index {
			return true
		}
		if !pause(ctx, 10*time.Millisecond) {
			return false
		}
	}
	return false
}

// inView reports whether checks are answered from a view that has the index. The state
// is there before: an image by as long as its filter takes, and until then checks are
// answered from the view of the old state.
func (n *Node) inView(index uint64) bool { return n.checker.Load().Version >= index }
