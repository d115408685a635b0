package consensus

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestTermIsToldBeforeItIsStored(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		var mu sync.Mutex
		told := map[string]uint64{}
		n.tune = func(c *Config) {
			c.OnTerm = func(term uint64) error {
				mu.Lock()
				defer mu.Unlock()
				if term <= told[c.ID] {
					t.Errorf("%s is told term %d after %d", c.ID, term, told[c.ID])
				}
				told[c.ID] = term
				return nil
			}
		}
		n.found(3)
		for _, s := range n.servers {
			s.store.suffer(func(step string, term uint64) error {
				mu.Lock()
				defer mu.Unlock()
				if (step == keyTerm || step == keyVoteTerm) && term > told[s.ID] {
					t.Errorf("%s stores %s %d before it is told; it knows %d", s.ID, step, term, told[s.ID])
				}
				return nil
			})
		}
		for range 3 {
			if err := n.leader().TransferLeadership(n.within(5 * time.Second)); err != nil {
				t.Fatal(err)
			}
			n.publish(n.leader(), "in a new term")
		}
		n.allEqual(n.servers...)
		for _, s := range n.servers {
			if term := s.Stats().Term; told[s.ID] != term {
				t.Errorf("%s is in term %d and was told %d", s.ID, term, told[s.ID])
			}
		}
		s := n.servers[0]
		s.stop()
		s.start() // the same term again is nothing to tell
		n.leader()
	})
}

func TestTermThatIsNotAnchoredIsNotStored(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		var broken sync.Map
		lost := errors.New("the anchor cannot be written")
		n.tune = func(c *Config) {
			c.OnTerm = func(uint64) error {
				if _, is := broken.Load(c.ID); is {
					return lost
				}
				return nil
			}
		}
		n.found(3)
		leader := n.leader()
		s := without(n.servers, leader)[0]
		term := s.Stats().Term
		broken.Store(s.ID, true)
		leader.stop()
		err := <-s.Failed()
		if !errors.Is(err, lost) || !strings.Contains(err.Error(), "is not anchored") {
			t.Fatalf("Failed says %v", err)
		}
		if stored, _ := storedTerm(s.store); stored != term {
			t.Fatalf("term %d is stored, want %d as before", stored, term)
		}
		s.stop()
		broken.Delete(s.ID)
		s.start()
		n.publish(n.leader(without(n.servers, leader)...), "after")
	})
}

func TestFounderWithoutAnAnchorFoundsNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		lost := errors.New("the anchor cannot be written")
		n.tune = func(c *Config) { c.OnTerm = func(uint64) error { return lost } }
		s := n.add("s1")
		if err := s.Bootstrap(); !errors.Is(err, lost) {
			t.Fatalf("Bootstrap answers %v", err)
		}
	})
}

// Raft writes whom it votes for after the term of the vote. After a crash between
// the two it must know of no candidate: one of an earlier term would get the new
// term's vote, before raft has compared the logs.
func TestATornVoteIsForNobody(t *testing.T) {
	dir := t.TempDir()
	log, err := openLog(dir, quiet())
	if err != nil {
		t.Fatal(err)
	}
	vote := func(term uint64) error { return log.SetUint64([]byte(keyVoteTerm), term) }
	if err := errors.Join(vote(5), log.Set([]byte(keyVoteCandidate), []byte("c:1"))); err != nil {
		t.Fatal(err)
	}
	reopened := func() (uint64, []byte) {
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
		if log, err = openLog(dir, quiet()); err != nil {
			t.Fatal(err)
		}
		term, err := log.GetUint64([]byte(keyVoteTerm))
		candidate, err2 := log.Get([]byte(keyVoteCandidate))
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		return term, candidate
	}
	if term, candidate := reopened(); term != 5 || string(candidate) != "c:1" {
		t.Errorf("the vote of term %d is for %q", term, candidate)
	}
	if err := vote(7); err != nil {
		t.Fatal(err)
	}
	if term, candidate := reopened(); term != 7 || candidate != nil {
		t.Errorf("the vote of term %d is for %q, and it was torn before anybody was named", term, candidate)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
}
