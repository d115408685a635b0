package consensus

import (
	"encoding/binary"
	"errors"
	"sync/atomic"
	"testing"
	"time"
)

// clocks lets servers' clocks be ahead, and has every server refuse a stamp that
// is more than 30 s ahead of its own, as nodes do.
func (n *network) clocks() map[string]*atomic.Int64 {
	ahead := map[string]*atomic.Int64{}
	for _, id := range []string{"s1", "s2", "s3"} {
		ahead[id] = new(atomic.Int64)
	}
	n.tune = func(c *Config) {
		mine := ahead[c.ID]
		c.Now = func() time.Time { return time.Now().Add(time.Duration(mine.Load())) }
		c.Admit = func(_ string, payload []byte) error {
			if time.UnixMilli(int64(binary.BigEndian.Uint64(payload))).Sub(c.Now()) > 30*time.Second {
				return errors.New("the leader's stamp is ahead")
			}
			return nil
		}
	}
	return ahead
}

// A leader's clock is wrong for the time of one proposal, or for good. The others
// refuse that entry and all behind it, and confirm its heartbeats: another server
// must lead, and the entry goes.
func TestALeaderWhoseEntriesAreRefusedStandsAside(t *testing.T) {
	for name, lasts := range map[string]bool{"for a moment": false, "for good": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *network) {
				ahead := n.clocks()
				servers := n.found(3)
				leader := n.leader()
				n.publish(leader, "before")
				ahead[leader.ID].Store(int64(24 * time.Hour))
				if _, err := leader.propose(n.within(2*time.Second), "from tomorrow"); !errors.Is(err, ErrUnknownOutcome) {
					t.Fatalf("the others took an entry from tomorrow: %v", err)
				}
				if !lasts {
					ahead[leader.ID].Store(0)
				}
				began := time.Now()
				n.until("writes go on", func() bool {
					for _, s := range servers {
						if s.Ready() {
							_, err := s.propose(n.within(time.Second), "after")
							return err == nil
						}
					}
					return false
				})
				if took := time.Since(began); took > 20*time.Second {
					t.Errorf("writes went on after %s", took)
				}
				n.allEqual(servers...)
				for _, text := range leader.machine.texts() {
					if text == "from tomorrow" {
						t.Error("an entry that nobody admitted was applied")
					}
				}
			})
		})
	}
}

// With one voter down nobody can lead in the leader's place: it goes on, and
// takes part again when the third is back.
func TestALeaderThatNobodyCanReplaceWaitsForTheThird(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		ahead := n.clocks()
		servers := n.found(3)
		leader := n.leader()
		n.publish(leader, "before")
		n.allEqual(servers...)
		away := without(servers, leader)[0]
		away.gate.Cut()
		ahead[leader.ID].Store(int64(24 * time.Hour))
		_, _ = leader.propose(n.within(2*time.Second), "from tomorrow") // it stays open
		ahead[leader.ID].Store(0)
		n.pass(time.Minute)
		if !leader.Ready() {
			t.Error("the leader has stood aside for nobody")
		}
		away.gate.Heal()
		n.until("writes go on", func() bool {
			_, err := n.leader().propose(n.within(time.Second), "after")
			return err == nil
		})
		n.allEqual(servers...)
	})
}

// What lies in a server's log behind what it has agreed to may be an older
// leader's, and go. Whoever asks what the server must still have is not told of it.
func TestATailThatNobodyAgreedToIsNotSeen(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		servers := n.found(3)
		old := n.leader()
		n.publish(old, "x")
		n.allEqual(servers...)
		old.gate.Cut()
		for range 20 {
			go old.propose(n.within(200*time.Millisecond), "tail") //nolint:errcheck // nobody takes it
		}
		n.pass(5 * time.Second)
		next := n.leader(without(servers, old)...)
		n.publish(next, "y")
		dead := make(chan struct{})
		var once atomic.Bool
		old.store.suffer(func(step string, _ uint64) error { // it dies when it has dropped its tail
			if step != "append" {
				return nil
			}
			if once.CompareAndSwap(false, true) {
				close(dead)
			}
			old.gate.Cut()
			return errors.New("killed")
		})
		old.gate.Heal()
		<-dead
		last, err := old.store.LastIndex()
		if err != nil {
			t.Fatal(err)
		}
		if seen, _ := next.LastSeen(old.ID); seen.Last > last {
			t.Errorf("it holds entries up to %d, and was seen with %d", last, seen.Last)
		}
		other := without(without(servers, old), next)[0]
		if seen, _ := next.LastSeen(other.ID); seen.Last < 4 {
			t.Errorf("what the third has agreed to is seen up to %d", seen.Last)
		}
	})
}
