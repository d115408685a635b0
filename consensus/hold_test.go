package consensus

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"
)

// holds lets each server be held by its id.
type holds map[string]*atomic.Bool

var errDiskFull = errors.New("the disk is nearly full")

func (n *network) holding(ids ...string) holds {
	h := holds{}
	for _, id := range ids {
		h[id] = new(atomic.Bool)
	}
	n.tune = func(c *Config) {
		held := h[c.ID]
		c.Hold = func() error {
			if held != nil && held.Load() {
				return errDiskFull
			}
			return nil
		}
	}
	return h
}

func TestHeldFollowerTakesNothingUntilItMay(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		held := n.holding("s1", "s2", "s3")
		n.found(3)
		leader := n.leader()
		n.publish(leader, "before")
		n.allEqual(n.servers...)
		s := without(n.servers, leader)[0]
		held[s.ID].Store(true)
		publishMany(n, leader, 10)
		n.pass(5 * time.Second)
		if got := s.machine.texts(); len(got) != 1 || !s.Stats().Held {
			t.Fatalf("a held server took %v", got)
		}
		if id, _ := s.Leader(); id != leader.ID || n.leader() != leader {
			t.Fatal("the held server lost its leader: heartbeats must pass")
		}
		held[s.ID].Store(false)
		n.allEqual(n.servers...)
	})
}

func TestHeldServerTakesNoImage(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		held := n.holding("late")
		tune := n.tune
		n.tune = func(c *Config) { tune(c); cutOften(c) }
		n.found(1)
		leader := n.leader()
		publishMany(n, leader, 50)
		n.until("the log is cut", func() bool { return leader.Stats().First > 20 })
		held["late"].Store(true)
		late := n.add("late")
		if err := leader.Reconcile(n.within(5*time.Second), n.wanted()); err == nil {
			t.Fatal("a held server is given a vote")
		}
		n.pass(5 * time.Second)
		if st := late.Stats(); st.ImagesReceived+st.ImagesRefused != 0 || st.Applied != 0 {
			t.Fatalf("a held server took an image: %+v", st)
		}
		held["late"].Store(false)
		n.reconcile(leader, n.wanted()...)
		n.allEqual(n.servers...)
		if st := late.Stats(); st.ImagesReceived != 1 {
			t.Fatalf("%d images were installed, want 1", st.ImagesReceived)
		}
		if sent := leader.Stats().ImagesSent; sent == 0 {
			t.Fatal("no image counts as sent")
		}
	})
}

func TestHeldLeaderHandsOver(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		held := n.holding("s1", "s2", "s3")
		n.found(3)
		leader := n.leader()
		n.publish(leader, "before")
		// One more is held: leadership must go to the third, whichever it is.
		also := without(n.servers, leader)[0]
		free := without(n.servers, leader)[1]
		held[also.ID].Store(true)
		held[leader.ID].Store(true)
		_, err := leader.propose(n.within(time.Second), "at the held leader")
		if !errors.Is(err, ErrHeld) || !errors.Is(err, errDiskFull) {
			t.Fatalf("a held leader answers %v", err)
		}
		n.until("the third leads", func() bool { return free.Stats().Role == "leader" })
		held[leader.ID].Store(false)
		n.until("and may propose", free.Ready)
		n.publish(free, "after")
		held[also.ID].Store(false)
		n.allEqual(n.servers...)
	})
}

func TestNobodyLeadsBetterWhenAllAreHeld(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		held := n.holding("s1", "s2", "s3")
		n.found(3)
		for _, h := range held {
			h.Store(true)
		}
		n.pass(10 * time.Second)
		for _, h := range held {
			h.Store(false)
		}
		n.publish(n.leader(), "after")
		n.allEqual(n.servers...)
	})
}
