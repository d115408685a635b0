package consensus

import (
	"errors"
	"sync"
	"testing"
	"time"
)

func TestReadIndexCoversWhatWasAcknowledged(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		servers := n.found(3)
		leader := n.leader()
		follower := without(servers, leader)[0]
		for range 5 {
			index := n.publish(leader, "x")
			read, err := leader.ReadIndex(n.within(time.Second))
			if err != nil || read < index {
				t.Fatalf("read index %d, %v; want %d or more", read, err, index)
			}
			n.until("the follower has it", func() bool { return follower.Applied() >= read })
		}
		if _, err := follower.ReadIndex(t.Context()); !errors.Is(err, ErrNotLeader) {
			t.Fatalf("a follower answers %v, want ErrNotLeader", err)
		}
	})
}

// After an election the newest entries are raft's own; nobody's machine sees them.
func TestIdleFollowerCoversTheReadIndex(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		servers := n.found(3)
		n.publish(n.leader(), "x")
		if err := n.leader().TransferLeadership(n.within(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		leader := n.leader()
		read, err := leader.ReadIndex(n.within(time.Second))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range servers {
			n.until(s.ID+" covers it", func() bool { return s.Applied() >= read })
			at := s.machine.Position().Index
			if at >= read {
				t.Fatalf("the machine is at %d; the case wants it before %d", at, read)
			}
			if covered := s.Covered(at - 1); covered >= at {
				t.Fatalf("a state at %d, one entry short, is said to cover %d", at-1, covered)
			}
		}
	})
}

func TestReadersShareOneRound(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.found(3)
		leader := n.leader()
		var all sync.WaitGroup
		for range 200 {
			all.Go(func() {
				if _, err := leader.ReadIndex(n.within(time.Second)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	})
}

// Raft alone would count the spares, and confirm a leader that no voter follows.
func TestReadIndexIsRefusedWithoutVoters(t *testing.T) {
	for _, spares := range []int{0, 4} {
		inBubble(t, func(t *testing.T, n *network) {
			n.found(3)
			for i := range spares {
				n.add(string(rune('a' + i))).Voter = false
			}
			old := n.leader()
			n.reconcile(old, n.wanted()...)
			if _, err := old.ReadIndex(n.within(time.Second)); err != nil {
				t.Fatal(err)
			}
			for _, s := range without(n.servers[:3], old) {
				s.gate.Cut()
			}
			// At once: the lease has not run out, and old still thinks that it leads.
			if index, err := old.ReadIndex(n.within(5 * time.Second)); !errors.Is(err, ErrNotLeader) {
				t.Fatalf("with %d spares and no voter it answers %d, %v", spares, index, err)
			}
		})
	}
}
