package testnet

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/status"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/risk"
)

// A leader that is cut off gives its word and crashes, the others go on with another
// leader, and the author's key is retired meanwhile. The word is kept all the same: the
// command becomes a leaf, if only one that says so.
func TestALeaderKeepsItsWordOverCrashAndRetirement(t *testing.T) {
	n := start(t, 3, 3)
	leader, one, other := n.roles()
	member := n.author("member-1")
	items, bodies := publication(time.Now().Add(time.Hour), "")
	signed, err := member.Sign(&risk.Listings{}, items, bodies)
	n.must(err)
	n.fault(leader, "cut")
	_, err = n.submit("member-1", leader, signed.Encode())
	var promise []byte
	for _, detail := range status.Convert(err).Details() {
		if promised, ok := detail.(*apiv1.Promised); ok {
			promise = promised.Promise
		}
	}
	if promise == nil {
		t.Fatalf("a leader that is cut off promised nothing: %v", err)
	}
	n.until("another leads", func() bool { return n.Node(one).Leads() || n.Node(other).Leads() })
	hub, err := client.NewAuthor(n.ctx, n.client(hubName, one))
	n.must(err)
	_, err = hub.Do(n.ctx, &risk.RetireKey{Reporter: member.Reporter, Key: publicKey(member.Keys[0]).ID()}, nil, nil)
	n.must(err)
	n.must(n.Kill(leader))
	n.must(n.Start(leader))
	n.until("the promised command is a leaf", func() bool {
		answer, err := apiv1.NewCommandsClient(n.conn(hubName, one)).Absent(n.ctx, &apiv1.AbsentRequest{Promise: promise})
		return err == nil && answer.Leaf != nil
	})
	planned := n.Plan.Nodes[slices.IndexFunc(n.Plan.Nodes, func(p PlannedNode) bool { return p.Name == leader })]
	n.until("nothing is owed any more", func() bool {
		left, _ := os.ReadDir(filepath.Join(planned.Dir, "data", "owed"))
		return len(left) == 0
	})
}
