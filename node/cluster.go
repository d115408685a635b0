package node

import (
	"context"
	"slices"
	"sync"
	"time"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/consensus"
	"github.com/risknet/risknet/risk"
)

// clusterService says how the network's nodes are.
type clusterService struct {
	apiv1.UnimplementedClusterServer
	node *Node
}

func (s *clusterService) NodeStatus(context.Context, *apiv1.NodeStatusRequest) (*apiv1.NodeStatusResponse, error) {
	return s.node.status(), nil
}

func (n *Node) status() *apiv1.NodeStatusResponse {
	view, stats, position := n.checker.Load(), n.order.Stats(), n.store.Position()
	digest := n.store.Digest()
	var epochs []uint32
	for _, k := range n.secrets {
		epochs = append(epochs, uint32(k.Epoch))
	}
	return &apiv1.NodeStatusResponse{
		Name: n.cfg.Name, Id: n.id.String(), Role: roleOf(&stats),
		Size: view.Head.Size, Root: view.Head.Root[:], Digest: digest[:],
		Applied: position.Index, Committed: stats.Committed, AgeMs: n.checker.Age().Milliseconds(),
		Listings: n.store.Count(), RulesVersion: view.ProgramVersion, Leader: stats.LeaderID,
		Ready: n.ready() == nil, Server: n.life.server(), LedgerFrom: n.store.LedgerFrom(),
		TokenEpochs: epochs, Term: stats.Term, CertificateExpiresAtMs: n.creds.Expires().UnixMilli(),
	}
}

func roleOf(stats *consensus.Stats) string {
	switch {
	case stats.Role == "leader":
		return "leader"
	case votes(stats):
		return "voter"
	default:
		return "follower"
	}
}

func votes(stats *consensus.Stats) bool {
	return slices.ContainsFunc(stats.Servers, func(s consensus.Server) bool { return s.ID == stats.ID && s.Voter })
}

// Status asks every configured node, all at once, and gives a row for each.
func (s *clusterService) Status(ctx context.Context, _ *apiv1.StatusRequest) (*apiv1.StatusResponse, error) {
	nodes, err := s.node.store.Nodes()
	if err != nil {
		return nil, internal(err)
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	resp := &apiv1.StatusResponse{Rows: make([]*apiv1.StatusRow, len(nodes))}
	var wait sync.WaitGroup
	for i, n := range nodes {
		wait.Go(func() { resp.Rows[i] = s.row(ctx, n) })
	}
	wait.Wait()
	longest := uint64(0)
	for _, row := range resp.Rows {
		longest = max(longest, row.Size)
	}
	for _, row := range resp.Rows {
		row.Lag = longest - row.Size
	}
	return resp, nil
}

func (s *clusterService) row(ctx context.Context, n *risk.PutNode) *apiv1.StatusRow {
	row := &apiv1.StatusRow{Name: n.Name, Role: "down", Institution: n.Institution}
	answer := s.node.status()
	if n.Node != s.node.id {
		conn, err := s.node.peers.dial(placeOf(n))
		if err != nil {
			return row
		}
		if answer, err = apiv1.NewClusterClient(conn).NodeStatus(ctx, &apiv1.NodeStatusRequest{}); err != nil {
			return row
		}
	}
	row.Role, row.Size, row.Root, row.Digest = answer.Role, answer.Size, answer.Root, answer.Digest
	row.AgeMs, row.Listings, row.RulesVersion = answer.AgeMs, answer.Listings, answer.RulesVersion
	row.LedgerFrom, row.TokenEpochs = answer.LedgerFrom, answer.TokenEpochs
	row.CertificateExpiresAtMs = answer.CertificateExpiresAtMs
	return row
}

// Status is what this node says of itself, for who runs it in the same process.
func (n *Node) Status() *apiv1.NodeStatusResponse { return n.status() }
