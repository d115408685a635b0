package node

import (
	"fmt"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/risknet/risknet/risk"
)

// roster is what the node records say of certificates. The zero roster is that of a
// node that knows nothing yet.
type roster struct {
	nodes map[Identity][]risk.ID // by the identity in a node's certificate
}

// loadRoster reads it anew when records have changed.
func (n *Node) loadRoster() error {
	records, err := n.store.Nodes()
	if err != nil {
		return err
	}
	r := &roster{nodes: map[Identity][]risk.ID{}}
	for _, record := range records {
		o := otherOf(record)
		id := o.identity(n.creds.Identity.Network)
		r.nodes[id] = append(r.nodes[id], record.Node)
	}
	n.roster.Store(r)
	return nil
}

// ids are those of the node records that a certificate is for; known is false while
// there are no records at all.
func (n *Node) ids(of Identity) (ids []risk.ID, known bool) {
	r := n.roster.Load()
	if r == nil || len(r.nodes) == 0 {
		return nil, false
	}
	return r.nodes[of], true
}

// isRecorded keeps out the certificate of a node that has left, or never was in.
// While this node has no records, there is nothing here that one could take.
func (n *Node) isRecorded(who Identity) error {
	if ids, known := n.ids(who); known && len(ids) == 0 {
		return fmt.Errorf("no node record is of %s of %s", who.Name, who.Institution)
	}
	return nil
}

// asksOfItself keeps one node from asking in another's name.
func (n *Node) asksOfItself(who Identity, node string) error {
	ids, known := n.ids(who)
	if known && !slices.ContainsFunc(ids, func(id risk.ID) bool { return id.String() == node }) {
		return status.Errorf(codes.PermissionDenied, "node: %s is not the id of %s of %s; a node asks of itself alone", node, who.Name, who.Institution)
	}
	return nil
}
