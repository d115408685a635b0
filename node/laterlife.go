package node

import (
	"fmt"
	"sync/atomic"
	"time"
)

// A node that has lost every memory takes the moment for its number, so that it is
// not one that it had. If its clock has gone back since, the number is lower than the
// last one: its leader goes on calling the later life, which is gone, and would never
// let this one in. From what it is called, an empty node learns that number.

// heardFor is how long a node is called by a later number before it believes it.
const heardFor = 2 * time.Second

// called hears that a connection was meant for a server that this node is not. Whoever
// has a node's certificate can say so; the worst that comes of it is that a node that
// holds nothing begins again.
func (n *Node) called(server string) {
	later, ok := laterLife(server, n.life, n.now())
	if !ok || n.store.Head().Size > 0 || !n.anchor.empty() {
		return
	}
	now := time.Now()
	if n.calledSince.CompareAndSwap(nil, &now) || now.Sub(*n.calledSince.Load()) < heardFor || n.calledEnough.Swap(true) {
		return
	}
	// If we crash here, the anchor does not know of it yet and the node is called again.
	if err := later.write(n.cfg.Anchor); err != nil {
		n.end(err)
		return
	}
	// If we crash here, the next start finds a later life in the anchor, and nothing that
	// it held: that life begins.
	n.end(fmt.Errorf("%w: it is called as %s, a later life of which it knows nothing; a clock has gone back", errAnotherLife, server))
}

// laterLife is the life after the one that a server id names, if that is a later one of
// this node and can be true.
func laterLife(server string, life incarnation, now time.Time) (incarnation, bool) {
	node, number, err := splitServer(server)
	if err != nil || node != life.Node || number <= life.Number || number > numberAfter(life.Number, now.Add(maxLifeAhead)) {
		return life, false
	}
	life.Number = numberAfter(number, now)
	return life, true
}

// callings is what a node notes of them.
type callings struct {
	calledSince  atomic.Pointer[time.Time]
	calledEnough atomic.Bool
}
