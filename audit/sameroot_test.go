package audit

import (
	"crypto/ed25519"
	"strings"
	"testing"

	"github.com/risknet/risknet/risk"
)

// The node of an institution that wants to sign must have the hub's history, all of
// it, and must not be the hub's own.
func TestTheRootsOfTwoNodesAreCompared(t *testing.T) {
	w := newWorld(t, 2, 100)
	for i := range maxBehind + 20 { // a leaf each
		w.list("member-1", 1, 1<<20+i)
	}
	w.settle()
	nodes := Network{TLS: w.tls}
	records := map[string]*risk.PutNode{}
	for _, planned := range w.net.Plan.Nodes {
		key, err := nodeKey(planned.Dir)
		w.must(err)
		public := key.Public().(ed25519.PublicKey)
		records[planned.Name] = &risk.PutNode{Name: planned.Name, HTTP: planned.HTTP, LogKey: risk.PublicKey{Algorithm: risk.Ed25519, Bytes: [32]byte(public)}}
	}
	other := *records["n2"]
	other.LogKey.Bytes[0] ^= 1
	records["another key"] = &other
	leaves := w.leaves()
	forked := w.forked(5)
	for _, c := range []struct {
		name, node string
		nodes      Nodes
		wrong      string
	}{
		{"the same history", "n2", nodes, ""},
		{"a little behind", "n2", otherLedger{nodes, "n2", w.forge(1, leaves[:len(leaves)-maxBehind])}, ""},
		{"far behind", "n2", otherLedger{nodes, "n2", w.forge(1, leaves[:len(leaves)-maxBehind-1])}, "wait until it has caught up"},
		{"another history", "n2", otherLedger{nodes, "n2", w.forge(1, forked)}, "has diverged or is forged"},
		{"a history that goes on", "n2", otherLedger{nodes, "n2", w.forge(1, append(leaves[:len(leaves):len(leaves)], leaves[0]))}, "ask again"},
		{"signed with another key", "another key", nodes, "no verifiable signatures"},
		{"itself", "n1", nodes, "compared with itself"},
	} {
		head, err := SameRoot(w.ctx, w.log(), c.nodes, records[c.node])
		if c.wrong == "" && (err != nil || head.Size+maxBehind < uint64(len(leaves)) || head.Root.IsZero()) {
			t.Errorf("%s: %+v, %v", c.name, head, err)
		}
		if c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.wrong)
		}
	}
}
