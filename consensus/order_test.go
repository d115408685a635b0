package consensus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestEveryServerAppliesTheSameOrder(t *testing.T) {
	for _, count := range []int{1, 3, 5} {
		t.Run(fmt.Sprint(count), func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *network) {
				servers := n.found(count)
				leader := n.leader()
				var all sync.WaitGroup
				for i := range 100 {
					all.Go(func() { n.publish(leader, fmt.Sprint("entry ", i)) })
				}
				all.Wait()
				n.allEqual(servers...)
				texts := leader.machine.texts()
				if len(texts) != 100 {
					t.Fatalf("%d entries are applied, want 100", len(texts))
				}
				slices.Sort(texts)
				if len(slices.Compact(texts)) != 100 {
					t.Fatal("an entry is applied twice")
				}
			})
		})
	}
}

func TestResultAndIndexBelongToTheProposal(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.found(1)
		leader := n.leader()
		for _, text := range []string{"a", "b", "c"} {
			index := n.publish(leader, text)
			seen := leader.machine.entries()
			if last := seen[len(seen)-1]; last.Text != text || last.Index != index {
				t.Fatalf("proposed %q and got index %d; the machine has %+v", text, index, last)
			}
		}
	})
}

func TestStampsNeverFall(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		var mu sync.Mutex
		skew := map[string]time.Duration{}
		n.tune = func(c *Config) {
			id := c.ID
			c.Now = func() time.Time {
				mu.Lock()
				defer mu.Unlock()
				return time.Now().Add(skew[id])
			}
		}
		servers := n.found(3)
		leader := n.leader()
		set := func(id string, d time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			skew[id] = d
		}
		for i, d := range []time.Duration{0, time.Hour, -time.Hour, 0} {
			set(leader.ID, d)
			n.publish(leader, fmt.Sprint(i))
		}
		// The next leader's clock is an hour behind the stamps it inherits.
		if err := leader.TransferLeadership(n.within(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		next := n.leader()
		n.publish(next, "by the next leader")
		n.allEqual(servers...)

		seen := next.machine.entries()
		rise := func(a, b testEntry) int { return int(a.At - b.At) }
		if len(seen) != 5 || !slices.IsSortedFunc(seen, rise) {
			t.Fatalf("stamps fall: %+v", seen)
		}
		if seen[4].At != seen[1].At {
			t.Fatalf("the new leader stamped %d, not the %d it inherited", seen[4].At, seen[1].At)
		}
	})
}

func TestKilledLeaderLosesNothingAcknowledged(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		servers := n.found(5)
		var want []string
		for round := range 2 {
			leader := n.leader()
			for i := range 10 {
				text := fmt.Sprintf("round %d entry %d", round, i)
				n.publish(leader, text)
				want = append(want, text)
			}
			leader.gate.Cut() // no hand-over, as when the process is killed
			leader.stop()
			servers = without(servers, leader)
			n.leader(servers...)
		}
		n.allEqual(servers...)
		if got := servers[0].machine.texts(); !slices.Equal(got, want) {
			t.Fatalf("applied %v, want %v", got, want)
		}
	})
}

func TestIsolatedLeader(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		servers := n.found(3)
		old := n.leader()
		old.gate.Cut()
		if _, err := old.propose(n.within(10*time.Second), "lost"); !errors.Is(err, ErrUnknownOutcome) {
			t.Fatalf("a proposal without a majority answers %v, want ErrUnknownOutcome", err)
		}
		n.until("the old leader knows", func() bool { return !old.Ready() })
		if _, err := old.propose(n.within(time.Second), "refused"); !errors.Is(err, ErrNotLeader) {
			t.Fatalf("a server that does not lead answers %v, want ErrNotLeader", err)
		}
		others := without(servers, old)
		next := n.leader(others...)
		n.publish(next, "kept")
		old.gate.Heal()
		n.allEqual(servers...)
		if got := old.machine.texts(); !slices.Equal(got, []string{"kept"}) {
			t.Fatalf("the old leader has %v after it came back", got)
		}
		if id, address := old.Leader(); id != next.ID || address != next.Address {
			t.Fatalf("it follows %q at %q, want %q at %q", id, address, next.ID, next.Address)
		}
	})
}

func TestFullQueueIsBusy(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.found(1)
		leader := n.leader()
		hold := make(chan struct{})
		leader.machine.with(func(m *testMachine) { m.hold = hold })
		var all sync.WaitGroup
		for i := range maxInFlight {
			all.Go(func() { n.publish(leader, fmt.Sprint(i)) })
		}
		synctest.Wait()
		_, err := leader.propose(n.within(100*time.Millisecond), "one too many")
		if !errors.Is(err, ErrBusy) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a full queue answers %v, want ErrBusy and the deadline", err)
		}
		close(hold)
		all.Wait()
		if got := len(leader.machine.texts()); got != maxInFlight {
			t.Errorf("%d entries are applied, want %d", got, maxInFlight)
		}
	})
}

func TestImpatientCallerDoesNotKnow(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.found(1)
		leader := n.leader()
		hold := make(chan struct{})
		leader.machine.with(func(m *testMachine) { m.hold = hold })
		_, err := leader.propose(n.within(10*time.Millisecond), "slow")
		if !errors.Is(err, ErrUnknownOutcome) {
			t.Errorf("the answer is %v, want ErrUnknownOutcome", err)
		}
		close(hold)
		n.until("it is applied after all", func() bool { return len(leader.machine.texts()) == 1 })
	})
}

func TestBrokenMachineStopsDelivery(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.found(1)
		leader := n.leader()
		n.publish(leader, "good")
		broken := errors.New("entry of a later version")
		leader.machine.with(func(m *testMachine) { m.broken = broken })
		if _, err := leader.propose(n.within(time.Second), "bad"); !errors.Is(err, ErrUnknownOutcome) || !errors.Is(err, broken) {
			t.Errorf("the proposal answers %v", err)
		}
		if err := <-leader.Failed(); !errors.Is(err, broken) {
			t.Errorf("the failure is %v", err)
		}
		leader.machine.with(func(m *testMachine) { m.broken = nil })
		if _, err := leader.propose(n.within(time.Second), "after"); !errors.Is(err, ErrUnknownOutcome) {
			t.Errorf("an entry after the missing one answers %v", err)
		}
		if got := leader.machine.texts(); !slices.Equal(got, []string{"good"}) {
			t.Errorf("applied %v, want nothing after the failure", got)
		}
	})
}

func TestStopHandsOver(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		servers := n.found(3)
		leader := n.leader()
		rest := without(servers, leader)
		before := time.Now()
		leader.stop()
		n.leader(rest...)
		if gap := time.Since(before); gap > 500*time.Millisecond {
			t.Errorf("the network had no leader for %v; an election alone takes a second", gap)
		}
	})
}

func TestStoppedReplicaSaysSo(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.found(1)
		r := n.leader().Replica
		if err := r.Stop(); err != nil {
			t.Fatal(err)
		}
		if err := r.Stop(); err != nil {
			t.Errorf("the second Stop answers %v", err)
		}
		_, _, err := r.Propose(t.Context(), func(int64) []byte { return nil })
		if !errors.Is(err, ErrNotLeader) && !errors.Is(err, ErrStopped) {
			t.Errorf("Propose answers %v", err)
		}
		if _, err := r.ReadIndex(t.Context()); err == nil {
			t.Error("ReadIndex answers")
		}
		if err := r.TransferLeadership(t.Context()); err == nil {
			t.Error("TransferLeadership answers")
		}
	})
}

func TestChangesTick(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		s := n.add("s1")
		if s.Ready() {
			t.Fatal("an empty server is ready")
		}
		if err := s.Bootstrap(); err != nil {
			t.Fatal(err)
		}
		for !s.Ready() {
			select {
			case <-s.Changes():
			case <-time.After(time.Minute):
				t.Fatal("no tick tells that the server leads")
			}
		}
		if err := s.Bootstrap(); !errors.Is(err, ErrNotEmpty) {
			t.Errorf("a second Bootstrap answers %v, want ErrNotEmpty", err)
		}
	})
}
