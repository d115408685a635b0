package node

import (
	"context"
	"sync"
	"time"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/consensus"
	"github.com/risknet/risknet/risk"
)

// serverPatience is how long the leader waits for a node to say as which server
// it takes part.
const serverPatience = 500 * time.Millisecond

// wantedServers is what raft's configuration should be: a server for each node
// record, under the incarnation that the node lives now. A node that does not
// answer stays as what it was; one that never answered is not wanted yet, for
// nobody knows its server.
func (n *Node) wantedServers(ctx context.Context, nodes []*risk.PutNode) []consensus.Server {
	known := map[risk.ID]uint64{}
	for _, server := range n.order.Servers() {
		if node, number, err := splitServer(server.ID); err == nil {
			known[node] = max(known[node], number)
		}
	}
	said := n.askServers(ctx, nodes)
	var want []consensus.Server
	for i, record := range nodes {
		number := max(known[record.Node], said[i]) // one that says less is not the newest
		if number == 0 {
			continue
		}
		want = append(want, consensus.Server{ID: serverID(record.Node, number), Address: record.Raft, Voter: record.Suffrage == risk.Voter})
	}
	return want
}

// askServers asks each node for its incarnation; 0 for one that does not say.
func (n *Node) askServers(ctx context.Context, nodes []*risk.PutNode) []uint64 {
	ctx, cancel := context.WithTimeout(ctx, serverPatience)
	defer cancel()
	said := make([]uint64, len(nodes))
	var wait sync.WaitGroup
	for i, record := range nodes {
		if record.Node == n.id {
			said[i] = n.life.Number
			continue
		}
		wait.Go(func() {
			conn, err := n.peers.dial(record.API)
			if err != nil {
				return
			}
			status, err := apiv1.NewClusterClient(conn).NodeStatus(ctx, &apiv1.NodeStatusRequest{})
			if err != nil {
				return
			}
			if node, number, err := splitServer(status.Server); err == nil && node == record.Node {
				said[i] = number
			}
		})
	}
	wait.Wait()
	return said
}
