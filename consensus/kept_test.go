package consensus

import (
	"testing"
	"time"
)

// Without it the log is cut above each image while it is on its way, and the next
// one fares no better.
func TestEntriesBehindAnImageWaitForIt(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.tune = cutOften
		n.found(3)
		leader := n.leader()
		publishMany(n, leader, 50)
		n.until("the log is cut", func() bool { return leader.Stats().First > 20 })

		late := n.add("late")
		late.machine.slow = 3 * time.Second
		go n.reconcile(leader, n.wanted()...)
		for range 200 { // ten seconds of writes, against four entries that are kept
			publishMany(n, leader, 1)
			n.pass(50 * time.Millisecond)
		}
		n.allEqual(n.servers...)
		// A first one may find no connection yet and be opened again at once.
		if images := leader.machine.opened(); images > 2 {
			t.Errorf("%d images were sent, want 1", images)
		}
		n.until("the log is cut again", func() bool {
			publishMany(n, leader, 1)
			st := leader.Stats()
			return st.Last-st.First < 20
		})
	})
}

func TestKept(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		k := new(kept)
		limit := func(to, want uint64) {
			t.Helper()
			if got := k.limit(to, to); got != want {
				t.Errorf("a cut up to %d goes to %d, want %d", to, got, want)
			}
		}
		limit(100, 100)
		releaseOld, releaseNew := k.hold(40), k.hold(60)
		limit(100, 39)
		limit(20, 20)
		limit(50000, 50000-maxKept)
		releaseOld()
		limit(100, 39)
		n.pass(keptAfter + 1)
		limit(100, 59)
		releaseNew()
		n.pass(keptAfter + 1)
		limit(100, 100)
	})
}
