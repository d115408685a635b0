package consensus

import (
	"sync"
	"testing"
	"time"
)

// What a leader has promised on its own disk comes to everybody, or it hears that
// it does not: over a loss of leadership, and over a crash.
func TestStoredEntryIsAppliedOrHandedBack(t *testing.T) {
	for name, crash := range map[string]bool{"it loses its leadership": false, "it crashes": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *network) {
				var mu sync.Mutex
				dropped := map[string]int{}
				n.tune = func(cfg *Config) {
					cfg.OnDropped = func(payload []byte) {
						mu.Lock()
						defer mu.Unlock()
						dropped[cfg.ID+" "+string(payload[8:])]++
					}
				}
				servers := n.found(3)
				leader := n.leader()
				n.publish(leader, "before")
				leader.gate.Cut()
				stored := make(chan struct{})
				failed := make(chan error, 1)
				go func() {
					_, _, err := leader.ProposeStored(n.within(3*time.Second), func(at int64) []byte { return payload(at, "promised") }, func() { close(stored) })
					failed <- err
				}()
				<-stored
				if err := <-failed; err == nil {
					t.Fatal("a leader without a majority has an entry committed")
				}
				if crash {
					leader.stop()
				}
				next := n.leader(without(servers, leader)...)
				n.publish(next, "after")
				leader.gate.Heal()
				if crash {
					leader.start()
				}
				n.until("the promised entry is handed back", func() bool {
					mu.Lock()
					defer mu.Unlock()
					return dropped[leader.ID+" promised"] == 1
				})
				n.allEqual(servers...)
				if len(dropped) != 1 {
					t.Errorf("dropped are %v", dropped)
				}
			})
		})
	}
}
