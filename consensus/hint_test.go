package consensus

import (
	"testing"
	"time"
)

// On a quiet network followers hear of a commit from raft after a CommitTimeout, and
// from a hint within a round trip.
func TestFollowersHearOfACommitAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.tune = func(cfg *Config) { cfg.CommitTimeout = 5 * time.Second }
		servers := n.found(3)
		leader := n.leader()
		n.publish(leader, "the first of this leader")
		n.allEqual(servers...)
		n.pass(20 * time.Second)
		begun := time.Now()
		n.publish(leader, "a report")
		n.allEqual(servers...)
		if took := time.Since(begun); took > time.Second {
			t.Errorf("the last follower had it after %v", took)
		}
	})
}
