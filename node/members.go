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
// record, under the incarnation that the node lives now.
func (n *Node) wantedServers(ctx context.Context, nodes []*risk.PutNode) []consensus.Server {
	want, clashes := serversFor(nodes, n.order.Servers(), n.askServers(ctx, nodes))
	for _, record := range clashes {
		n.log.Error("alarm", "error", "a node record has the raft address of another node and is not followed; the hub has to correct it", "node", record.Name, "raft", record.Raft)
	}
	return want
}

// serversFor: a node that does not say who it is stays as what it was; one that
// never said it is not wanted yet, for nobody knows its server. Where a slip of the
// hub gives two nodes one address, which raft refuses as a whole, the server that
// has it keeps it, and the other node stays where it was.
func serversFor(nodes []*risk.PutNode, present []consensus.Server, said []uint64) (want []consensus.Server, clashes []*risk.PutNode) {
	known, place, owner := map[risk.ID]uint64{}, map[risk.ID]string{}, map[string]risk.ID{}
	for _, server := range present {
		if node, number, err := splitServer(server.ID); err == nil {
			known[node] = max(known[node], number)
			place[node], owner[server.Address] = server.Address, node
		}
	}
	for i, record := range nodes {
		number := max(known[record.Node], said[i]) // one that says less is not the newest
		if number == 0 {
			continue
		}
		address := record.Raft
		if other, taken := owner[address]; taken && other != record.Node {
			clashes = append(clashes, record)
			if address = place[record.Node]; address == "" {
				continue
			}
		}
		owner[address] = record.Node
		want = append(want, consensus.Server{ID: serverID(record.Node, number), Address: address, Voter: record.Suffrage == risk.Voter})
	}
	return want, clashes
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
			conn, err := n.peers.dial(placeOf(record))
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
