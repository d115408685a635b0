package consensus

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// list reads "a b? c@2": servers a and c with a vote, b without, c at another address.
func list(text string) (out []Server) {
	for _, word := range strings.Fields(text) {
		word, port, moved := strings.Cut(word, "@")
		id := strings.TrimSuffix(word, "?")
		s := Server{ID: id, Address: id + ":1", Voter: id == word}
		if moved {
			s.Address = port
		}
		out = append(out, s)
	}
	return out
}

func TestNextChange(t *testing.T) {
	for _, test := range []struct {
		name, have, want string
		dead             string // ids that do not answer
		step             string
		waiting          string
	}{
		{"nothing to do", "a b", "a b", "", "", ""},
		{"a new voter comes without a vote", "a", "a b", "", "add without a vote: b at b:1", ""},
		{"a new one without a vote", "a", "a b?", "", "add without a vote: b at b:1", ""},
		{"a caught-up server gets its vote", "a b?", "a b", "", "give a vote: b at b:1", ""},
		{"a silent server gets none", "a b?", "a b", "b", "", "b has not caught up"},
		{"additions come before removals", "a b", "a c", "", "add without a vote: c at c:1", ""},
		{"votes are given before they are taken", "a b c?", "a b? c", "", "give a vote: c at c:1", ""},
		{"a vote is taken", "a b c", "a b c?", "", "take the vote: c at c:1", ""},
		{"a server is removed", "a b c", "a b", "", "remove: c at c:1", ""},
		{"a silent server is removed", "a b c", "a b", "c", "remove: c at c:1", ""},
		{"a silent newcomer does not hold up a removal", "a b c d?", "a b d", "d", "remove: c at c:1", ""},
		{"a removal that ends the majority", "a b c", "a c", "c", "", "remove: b at b:1: only 1 of the remaining 2"},
		{"this server goes last", "a b c", "b", "", "remove: c at c:1", ""},
		{"this server goes", "a b", "b", "", "remove: a at a:1", ""},
		{"this server loses its vote last", "a b", "a? b", "", "take the vote: a at a:1", ""},
		{"this server stays until the rest is done", "a b c?", "b c", "c", "", "c has not caught up and has no vote yet; a leads and goes last"},
		{"an address moves first", "a b", "a b@9 c", "", "move: b at 9", ""},
		{"a wiped server comes back under a new id", "a b c", "a b d@c:1", "", "remove: c at c:1", ""},
		{"an address that is still taken", "a b", "a@b:1 b@a:1", "", "", "a needs the address b:1, which b still has"},
		{"a move that frees an address", "a b", "a b@9 c@b:1", "", "move: b at 9", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			answers := func(id string) bool { return !strings.Contains(test.dead, id) }
			step, waiting := nextChange(list(test.have), list(test.want), condition{"a", answers, answers})
			got := ""
			if step != nil {
				got = step.String()
			}
			if got != test.step || !strings.HasPrefix(strings.Join(waiting, "; "), test.waiting) || (test.waiting == "" && len(waiting) > 0) {
				t.Fatalf("step %q, waiting %q; want %q, %q", got, waiting, test.step, test.waiting)
			}
		})
	}
}

// From any configuration to any other, when everybody answers: it gets there,
// there is always a voter, and this server never goes before its turn.
func TestChangesReachWhatIsWanted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) (out []Server) {
			for _, id := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}), 1, 5, rapid.ID[string]).Draw(t, label) {
				out = append(out, Server{ID: id, Address: id + rapid.SampledFrom([]string{":1", ":2"}).Draw(t, "port"), Voter: rapid.Bool().Draw(t, "vote")})
			}
			out[0].Voter = true
			return out
		}
		have, want := draw("have"), draw("want")
		self := have[0].ID
		yes := func(string) bool { return true }
		for range 30 {
			step, waiting := nextChange(have, want, condition{self, yes, yes})
			if step == nil {
				if len(waiting) > 0 {
					t.Fatalf("waits for %v", waiting)
				}
				break
			}
			have = after(have, *step)
			if !slices.ContainsFunc(have, func(s Server) bool { return s.Voter }) {
				t.Fatalf("%s leaves no voter", step)
			}
			if s, ok := find(have, self); !ok || !s.Voter {
				break // it leads no more; the next leader goes on
			}
		}
		if s, ok := find(want, self); ok && s.Voter && !sameServers(have, want) {
			t.Fatalf("ended with %v, want %v", have, want)
		}
	})
}

func after(have []Server, c change) []Server {
	out := slices.DeleteFunc(slices.Clone(have), func(s Server) bool { return s.ID == c.to.ID })
	switch c.verb {
	case remove:
		return out
	case demote:
		c.to.Voter = false
	}
	return append(out, c.to)
}

func sameServers(a, b []Server) bool {
	byID := func(x, y Server) int { return strings.Compare(x.ID, y.ID) }
	return slices.Equal(slices.SortedFunc(slices.Values(a), byID), slices.SortedFunc(slices.Values(b), byID))
}

func TestReconcileRefusesNonsense(t *testing.T) {
	for _, test := range []struct {
		name string
		want []Server
		says string
	}{
		{"nobody", nil, "no server has a vote"},
		{"no voter", list("a? b?"), "no server has a vote"},
		{"the same id", list("a a@2"), "server a is there twice"},
		{"the same address", list("a b@a:1"), "address a:1 is there twice"},
		{"no id", []Server{{Address: "a:1", Voter: true}}, "lacks its id"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := checkWanted(test.want); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Fatalf("the answer is %v", err)
			}
		})
	}
}

func TestMembershipFollowsWhatIsWanted(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.found(3)
		leader := n.leader()
		if err := without(n.servers, leader)[0].Reconcile(t.Context(), n.wanted()); !errors.Is(err, ErrNotLeader) {
			t.Fatalf("a follower answers %v, want ErrNotLeader", err)
		}
		n.publish(leader, "one")
		spare := n.add("s4")
		spare.Voter = false
		n.reconcile(leader, n.wanted()...)
		if !sameServers(leader.Servers(), n.wanted()) {
			t.Fatalf("the servers are %v, want %v", leader.Servers(), n.wanted())
		}
		n.allEqual(n.servers...)

		// The spare takes the place of a voter that is gone for good.
		gone := without(n.servers, leader)[0]
		gone.stop()
		n.servers = without(n.servers, gone)
		spare.Voter = true
		n.reconcile(leader, n.wanted()...)

		// The leader removes itself, and the rest goes on without it.
		rest := without(n.servers, leader)
		var want []Server
		for _, s := range rest {
			want = append(want, s.Server)
		}
		if err := leader.Reconcile(n.within(5*time.Second), want); err != nil {
			t.Fatal(err)
		}
		next := n.leader(rest...)
		n.publish(next, "two")
		n.allEqual(rest...)
		if _, err := leader.propose(n.within(time.Second), "three"); !errors.Is(err, ErrNotLeader) {
			t.Fatalf("the removed leader answers %v, want ErrNotLeader", err)
		}
	})
}

func TestSilentNewcomerCannotStopTheNetwork(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.found(1)
		leader := n.leader()
		want := append(n.wanted(), Server{ID: "ghost", Address: "ghost:1", Voter: true})
		for range 3 {
			err := leader.Reconcile(n.within(5*time.Second), want)
			if err == nil || !strings.Contains(err.Error(), "ghost has not caught up") {
				t.Fatalf("the answer is %v", err)
			}
			n.pass(5 * time.Second)
		}
		n.publish(leader, "still here")
	})
}

func TestServerWithoutVoteDoesNotCount(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.found(3)
		for i := range 3 {
			n.add(fmt.Sprintf("spare%d", i)).Voter = false
		}
		leader := n.leader()
		n.reconcile(leader, n.wanted()...)
		n.publish(leader, "one")
		n.allEqual(n.servers...)
		for _, s := range without(n.servers[:3], leader) {
			s.gate.Cut()
		}
		// Four of six servers are in touch, but one of three voters.
		_, err := leader.propose(n.within(10*time.Second), "two")
		if !errors.Is(err, ErrUnknownOutcome) {
			t.Fatalf("one voter and three without a vote answer %v", err)
		}
		n.pass(10 * time.Second)
		for _, s := range n.servers {
			if s.Ready() {
				t.Fatalf("%s leads without a majority of the voters", s.ID)
			}
		}
	})
}
