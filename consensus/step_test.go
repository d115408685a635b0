package consensus

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

func TestAConfigurationIsOneStep(t *testing.T) {
	a, b, c := Server{"a", "a:1", true}, Server{"b", "b:1", true}, Server{"c", "c:1", true}
	watcher, moved := Server{"c", "c:1", false}, Server{"c", "c:2", true}
	list := func(s ...Server) []Server { return s }
	for _, test := range []struct {
		name          string
		before, after []Server
		is            bool
	}{
		{"the first", nil, list(a), true},
		{"first are two", nil, list(a, b), false},
		{"first is one without a vote", nil, list(watcher), false},
		{"nothing changes", list(a, b), list(a, b), true},
		{"one comes, without a vote", list(a, b), list(a, b, watcher), true},
		{"one comes, with a vote", list(a, b), list(a, b, c), false},
		{"two come", list(a), list(a, Server{"b", "b:1", false}, watcher), false},
		{"one gets a vote", list(a, b, watcher), list(a, b, c), true},
		{"one gets a vote elsewhere", list(a, b, watcher), list(a, b, moved), false},
		{"one loses its vote", list(a, b, c), list(a, b, watcher), true},
		{"one moves", list(a, b, c), list(a, b, moved), true},
		{"one moves to another's place", list(a, b, c), list(a, b, Server{"c", "b:1", true}), false},
		{"one goes", list(a, b, c), list(b, c), true},
		{"two go", list(a, b, c), list(c), false},
		{"one comes for another", list(a, b, c), list(a, b, Server{"d", "c:1", false}), false},
		{"one is there twice", list(a, b), list(a, b, b), false},
		{"nobody is left with a vote", list(c), list(watcher), false},
		{"a network of somebody's own", list(a, b, c), list(Server{"evil", "evil:1", true}), false},
	} {
		if err := checkStep(test.before, test.after); (err == nil) != test.is {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// follows gives every server a view of who may get in: the rest are refused.
func follows(allowed ...string) func(before, after []Server, pending []Entry) error {
	return func(_, after []Server, _ []Entry) error {
		for _, s := range after {
			if !slices.Contains(allowed, s.ID) {
				return fmt.Errorf("nobody has entered %s", s.ID)
			}
		}
		return nil
	}
}

// The leader itself forges a configuration. Nobody takes it, and it is not followed
// less for it.
func TestALeaderCannotForgeAConfiguration(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.tune = func(c *Config) {
			n.guarded(c)
			c.Permit = follows("s1", "s2", "s3")
		}
		servers := n.found(3)
		leader := n.leader()
		n.publish(leader, "before")
		n.allEqual(servers...)
		want := leader.Servers()
		evil := Server{ID: "evil", Address: "evil:1"}
		voting := evil
		voting.Voter = true
		term, last := leader.Stats().Term, leader.Stats().Last
		for name, after := range map[string][]Server{
			"evil alone":     {voting},
			"evil votes":     append(slices.Clone(want), voting),
			"evil watches":   append(slices.Clone(want), evil),
			"two are gone":   {leader.Server},
			"one for others": {leader.Server, voting},
		} {
			for _, to := range without(servers, leader) {
				for _, from := range []uint64{last, last - 1, 2} { // in the place of entries, raft takes it for them
					err := leader.forge(to, term, from, after)
					if from == last && (err == nil || !strings.Contains(err.Error(), "configuration") && !strings.Contains(err.Error(), "entered")) {
						t.Errorf("%s: %s answers %v", name, to.ID, err)
					}
				}
				if got := to.Servers(); !slices.Equal(got, want) {
					t.Fatalf("%s: the servers of %s are %v", name, to.ID, got)
				}
			}
		}
		n.publish(leader, "after")
		n.allEqual(servers...)
	})
}

// forge sends a configuration behind an entry of this leader's log.
func (s *testServer) forge(to *testServer, term, behind uint64, after []Server) error {
	var entry raft.Log
	if err := s.store.GetLog(behind, &entry); err != nil {
		return err
	}
	var conf raft.Configuration
	for _, one := range after {
		suffrage := raft.Nonvoter
		if one.Voter {
			suffrage = raft.Voter
		}
		conf.Servers = append(conf.Servers, raft.Server{ID: raft.ServerID(one.ID), Address: raft.ServerAddress(one.Address), Suffrage: suffrage})
	}
	return s.trans.NetworkTransport.AppendEntries(raft.ServerID(to.ID), meantFor(raft.ServerID(to.ID), raft.ServerAddress(to.Address)),
		&raft.AppendEntriesRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: 3, ID: []byte(s.ID), Addr: []byte(s.Address)}, Term: term,
			PrevLogEntry: behind, PrevLogTerm: entry.Term, LeaderCommitIndex: behind + 1,
			Entries: []*raft.Log{{Index: behind + 1, Term: term, Type: raft.LogConfiguration, Data: raft.EncodeConfiguration(conf)}}}, new(raft.AppendEntriesResponse))
}

// judged is what a step was judged by, on any server.
type judged struct {
	step  string
	state string
}

// Whatever is proposed while servers come and go: each step is judged by the same
// state everywhere, also by a server that was away and gets it much later.
func TestEveryServerJudgesAStepByTheSameState(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		var mu sync.Mutex
		seen := map[string]map[string]bool{} // states by step
		n.tune = func(c *Config) {
			self := c.ID
			c.Permit = func(before, after []Server, pending []Entry) error {
				at := slices.IndexFunc(n.servers, func(s *testServer) bool { return s.ID == self })
				state := n.servers[at].machine.after(pending)
				mu.Lock()
				defer mu.Unlock()
				step := fmt.Sprint(before, " -> ", after)
				if seen[step] == nil {
					seen[step] = map[string]bool{}
				}
				seen[step][state] = true
				return nil
			}
		}
		servers := n.found(3)
		leader := n.leader()
		away := without(servers, leader)[0]
		away.gate.Cut()
		ctx := n.within(time.Hour)
		var writers sync.WaitGroup
		for i := range 8 {
			writers.Go(func() {
				for k := 0; k < 50 && ctx.Err() == nil; k++ {
					if _, err := leader.propose(ctx, fmt.Sprintf("%d.%d", i, k)); err != nil && !errors.Is(err, ErrBusy) {
						t.Errorf("propose: %v", err)
						return
					}
				}
			})
		}
		watcher := n.add("watcher")
		watcher.Voter = false
		n.reconcile(leader, n.wanted()...)
		gone := n.wanted()[:3]
		n.reconcile(leader, gone...)
		writers.Wait()
		away.gate.Heal()
		n.allEqual(servers[:3]...)
		mu.Lock()
		defer mu.Unlock()
		if len(seen) < 5 {
			t.Fatalf("only %d steps were judged", len(seen))
		}
		for step, states := range seen {
			if len(states) != 1 {
				t.Errorf("%s was judged by %d states", step, len(states))
			}
		}
	})
}

// after is what the machine will hold when some entries are applied.
func (m *testMachine) after(pending []Entry) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	texts := ""
	for _, e := range m.state.Seen {
		texts += e.Text + " "
	}
	for _, e := range pending {
		if e.Kind == Command && e.Index > m.state.At.Index {
			texts += string(e.Data[8:]) + " "
		}
	}
	return texts
}
