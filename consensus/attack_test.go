package consensus

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

// certified is a connection whose other end is known, as by a certificate.
type certified struct {
	net.Conn
	who string
}

// certificate is a peer that is certified as one server.
type certificate string

func (c certificate) Key() string { return string(c) }

func (c certificate) SpeaksFor(server string) error {
	if server != string(c) {
		return fmt.Errorf("%s is not %s", string(c), server)
	}
	return nil
}

// guarded gives each server a certificate, and has the others vouch for leaders.
func (n *network) guarded(cfg *Config) {
	self := cfg.ID
	cfg.Dial = func(ctx context.Context, to string) (net.Conn, error) {
		n.mu.Lock()
		l := n.listeners[to]
		n.mu.Unlock()
		if l == nil {
			return nil, errors.New("connection refused")
		}
		near, far := net.Pipe()
		select {
		case l.conns <- &certified{far, self}:
			return &certified{near, strings.TrimSuffix(to, ":1")}, nil
		case <-l.closed:
			return nil, errors.New("connection refused")
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	cfg.Peer = func(_ context.Context, conn net.Conn) (Peer, error) {
		for {
			switch c := conn.(type) {
			case *certified:
				return certificate(c.who), nil
			case interface{ NetConn() net.Conn }:
				conn = c.NetConn()
			default:
				return nil, errors.New("no certificate")
			}
		}
	}
	cfg.Vouch = func(_ context.Context, server string, term uint64) bool {
		follow := 0
		for _, s := range slices.Clone(n.servers) {
			if s.ID == self || s.ID == server || s.Replica == nil {
				continue
			}
			if leader, _ := s.Leader(); leader == server && s.Stats().Term == term {
				follow++
			}
		}
		return follow >= 1 // of three voters; with its own vote that is two
	}
}

// attack is a message that must change nothing, whoever sends it.
type attack struct {
	name string
	send func(from *testServer, as raft.RPCHeader, term uint64, to *testServer) error
}

func attacks() []attack {
	conf := raft.EncodeConfiguration(raft.Configuration{Servers: []raft.Server{{ID: "evil", Address: "evil:1"}}})
	entries := func(list ...*raft.Log) func(*testServer, raft.RPCHeader, uint64, *testServer) error {
		return func(from *testServer, as raft.RPCHeader, term uint64, to *testServer) error {
			for i := range list {
				if list[i] != nil {
					list[i].Term = term
				}
			}
			resp := new(raft.AppendEntriesResponse)
			err := from.trans.NetworkTransport.AppendEntries(raft.ServerID(to.ID), meantFor(raft.ServerID(to.ID), raft.ServerAddress(to.Address)),
				&raft.AppendEntriesRequest{RPCHeader: as, Term: term, PrevLogEntry: 1, PrevLogTerm: 1, Entries: list, LeaderCommitIndex: 9}, resp)
			if err == nil && !resp.Success {
				err = errors.New("raft refused it")
			}
			return err
		}
	}
	image := func(content string, size int64) func(*testServer, raft.RPCHeader, uint64, *testServer) error {
		return func(from *testServer, as raft.RPCHeader, term uint64, to *testServer) error {
			resp := new(raft.InstallSnapshotResponse)
			err := from.trans.NetworkTransport.InstallSnapshot(raft.ServerID(to.ID), meantFor(raft.ServerID(to.ID), raft.ServerAddress(to.Address)),
				&raft.InstallSnapshotRequest{RPCHeader: as, SnapshotVersion: 1, Term: term, LastLogIndex: 99, LastLogTerm: term, Configuration: conf, ConfigurationIndex: 99, Size: size},
				resp, strings.NewReader(content))
			if err == nil && !resp.Success {
				err = errors.New("raft refused it")
			}
			return err
		}
	}
	return []attack{
		{"a heartbeat", entries()},
		{"entries in the place of others", entries(&raft.Log{Index: 2, Data: payload(1, "forged")})},
		{"a configuration of its own", entries(&raft.Log{Index: 2, Type: raft.LogConfiguration, Data: conf})},
		{"an entry of an unknown type", entries(&raft.Log{Index: 2, Type: 99})},
		{"an image", image("forged", 6)},
		{"an image that says less than it sends", image(strings.Repeat("x", 1<<20), 6)},
		{"an order to lead", func(from *testServer, as raft.RPCHeader, _ uint64, to *testServer) error {
			return from.trans.NetworkTransport.TimeoutNow(raft.ServerID(to.ID), meantFor(raft.ServerID(to.ID), raft.ServerAddress(to.Address)),
				&raft.TimeoutNowRequest{RPCHeader: as}, new(raft.TimeoutNowResponse))
		}},
	}
}

// Whoever reaches raft's port with a certificate of the network, of somebody who is
// no server or of one that does not lead, changes nothing: not under its own name,
// not under another's, not in this term and not in a later one.
func TestNobodyButTheLeaderIsFollowed(t *testing.T) {
	for _, who := range []string{"a stranger", "a member"} {
		t.Run(who, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *network) {
				n.tune = n.guarded
				servers := n.found(3)
				leader := n.leader()
				publishMany(n, leader, 5)
				n.allEqual(servers...)
				from := n.add("evil")
				victims := servers
				if who == "a member" {
					from = without(servers, leader)[0]
					victims = without(servers, from)
				}
				term := leader.Stats().Term
				own := raft.RPCHeader{ProtocolVersion: 3, ID: []byte(from.ID), Addr: []byte(from.Address)}
				as := raft.RPCHeader{ProtocolVersion: 3, ID: []byte(leader.ID), Addr: []byte(leader.Address)}
				for _, a := range attacks() {
					for _, header := range []raft.RPCHeader{own, as} {
						for _, in := range []uint64{term, term + 1} {
							for _, to := range victims {
								if err := a.send(from, header, in, to); err == nil {
									t.Errorf("%s by %s as %s in term %d: %s takes it", a.name, from.ID, header.ID, in, to.ID)
								}
							}
						}
					}
				}
				n.pass(3 * time.Second)
				if st := leader.Stats(); !leader.Ready() || st.Term != term {
					t.Errorf("the leader is in term %d, want %d as before", st.Term, term)
				}
				n.publish(leader, "as before")
				n.allEqual(servers...)
				want := []string{"entry 1", "entry 2", "entry 3", "entry 4", "entry 5", "as before"}
				if got := leader.machine.texts(); !slices.Equal(got, want) {
					t.Errorf("the state is %v", got)
				}
			})
		})
	}
}

// Every guard in place, the network does what it always did: it elects, goes on
// without one, and takes the one back.
func TestGuardedNetworkElects(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.tune = n.guarded
		servers := n.found(3)
		for range 3 {
			leader := n.leader()
			n.publish(leader, fmt.Sprintf("led by %s", leader.ID))
			leader.gate.Cut()
			next := n.leader(without(servers, leader)...)
			n.publish(next, "meanwhile")
			leader.gate.Heal()
			n.allEqual(servers...)
		}
	})
}

// Pre-vote is found by its type; without it a server that was cut off unseats the
// leader when it comes back.
func TestPreVoteStays(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.tune = n.guarded
		servers := n.found(3)
		leader := n.leader()
		term := leader.Stats().Term
		away := without(servers, leader)[0]
		away.gate.Cut()
		n.pass(20 * time.Second)
		away.gate.Heal()
		n.pass(5 * time.Second)
		if st := leader.Stats(); !leader.Ready() || st.Term != term || away.Stats().Term != term {
			t.Errorf("terms are %d and %d, want %d: it has raised them while it was alone", st.Term, away.Stats().Term, term)
		}
	})
}

// One message in the highest term there is would leave nobody who could be elected.
func TestTermThatNobodyCameToIsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.tune = n.guarded
		servers := n.found(3)
		leader := n.leader()
		from := without(servers, leader)[0]
		term := leader.Stats().Term
		own := raft.RPCHeader{ProtocolVersion: 3, ID: []byte(from.ID), Addr: []byte(from.Address)}
		for _, far := range []uint64{math.MaxUint64, maxTerm, term + maxTermsAhead + 1} {
			for _, s := range without(servers, from) {
				id, address := raft.ServerID(s.ID), raft.ServerAddress(s.Address)
				vote := &raft.RequestVoteRequest{RPCHeader: own, Term: far, LeadershipTransfer: true}
				if err := from.trans.RequestVote(id, address, vote, new(raft.RequestVoteResponse)); err == nil {
					t.Errorf("%s answers a wish for votes in term %d", s.ID, far)
				}
			}
		}
		n.publish(leader, "as before")
		if st := leader.Stats(); st.Term != term {
			t.Errorf("the leader is in term %d, want %d as before", st.Term, term)
		}
	})
}

// heap is what is in use after a collection.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Ten thousand connections on which nobody says anything hold up nobody.
func TestIdleConnectionsCostLittle(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.tune = n.guarded
		servers := n.found(3)
		leader := n.leader()
		n.publish(leader, "before")
		from, memory := without(servers, leader)[0], newPeak()
		var conns []net.Conn
		for range 10_000 {
			conn, err := from.cfg.Dial(t.Context(), leader.Address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conns = append(conns, conn)
		}
		memory.look()
		if open := stillOpen(conns); len(open) > maxUnknown {
			t.Errorf("%d connections are open on which nobody has said anything; at most %d", len(open), maxUnknown)
		}
		n.publish(leader, "meanwhile")
		n.pass(10 * time.Second)
		if open := stillOpen(conns); len(open) > 0 {
			t.Errorf("%d connections are open on which nobody has said anything for ten seconds", len(open))
		}
		memory.check(t)
		n.publish(leader, "after")
		n.allEqual(servers...)
	})
}

// stillOpen gives the places of those connections that the other end has not closed.
func stillOpen(conns []net.Conn) (open []int) {
	for i, conn := range conns {
		_ = conn.SetReadDeadline(time.Now().Add(time.Nanosecond))
		if _, err := conn.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
			open = append(open, i)
		}
	}
	return open
}

// One peer has so many connections and no more; the newest are kept, so that a peer
// whose old ones are dead without a sign comes through.
func TestOnePeerHasFewConnections(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.tune = n.guarded
		servers := n.found(3)
		leader := n.leader()
		from := without(servers, leader)[0]
		var conns []net.Conn
		for range 100 {
			conn, err := from.cfg.Dial(n.within(time.Second), leader.Address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := writePreface(n.within(time.Second), conn, leader.ID); err != nil {
				t.Fatal(err)
			}
			n.pass(time.Millisecond)
			conns = append(conns, conn)
		}
		open := stillOpen(conns)
		if len(open) == 0 || len(open) > maxPerDoor || open[len(open)-1] != 99 {
			t.Errorf("of 100 connections of one peer, %v are open; want the last ones, and at most %d", open, maxPerDoor)
		}
		n.publish(leader, "meanwhile")
	})
}

// A server without a vote asks for votes, in a later term and as if its leader had
// told it to: raft gives it none, but would take over its term.
func TestServerWithoutAVoteUnseatsNobody(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.tune = n.guarded
		servers := n.found(3)
		leader := n.leader()
		watcher := n.add("watcher")
		watcher.Voter = false
		n.reconcile(leader, n.wanted()...)
		term := leader.Stats().Term
		own := raft.RPCHeader{ProtocolVersion: 3, ID: []byte(watcher.ID), Addr: []byte(watcher.Address)}
		for _, s := range servers[:3] {
			id, address := raft.ServerID(s.ID), raft.ServerAddress(s.Address)
			vote := &raft.RequestVoteRequest{RPCHeader: own, Term: term + 1, LeadershipTransfer: true}
			if err := watcher.trans.RequestVote(id, address, vote, new(raft.RequestVoteResponse)); err == nil || !strings.Contains(err.Error(), "has no vote") {
				t.Errorf("%s answers a wish for votes with %v", s.ID, err)
			}
			wish := &raft.RequestPreVoteRequest{RPCHeader: own, Term: term + 1}
			if err := watcher.trans.RequestPreVote(id, address, wish, new(raft.RequestPreVoteResponse)); err == nil {
				t.Errorf("%s answers a question whether it would vote", s.ID)
			}
		}
		n.publish(leader, "as before")
		if st := leader.Stats(); st.Term != term {
			t.Errorf("the leader is in term %d, want %d as before", st.Term, term)
		}
	})
}

// While a server has heard that somebody leads in a later term, and raft has not, a
// claim to lead in a term between comes from nobody who was elected.
func TestClaimToAnOlderTermIsRefused(t *testing.T) {
	c := &claims{vouch: func(context.Context, string, uint64) bool { return true }, mine: func() uint64 { return 5 }, term: 7, leader: "a"}
	for _, test := range []struct {
		server  string
		term    uint64
		refused bool
	}{{"a", 7, false}, {"b", 7, true}, {"b", 6, true}, {"b", 5, true}, {"b", 4, false}} { // raft refuses 4 itself
		if err := c.lead(test.server, test.term); (err != nil) != test.refused {
			t.Errorf("%s in term %d: %v", test.server, test.term, err)
		}
	}
}

// A server without a vote that answers each message with a later term does not keep the
// network without a leader; one that came to a later term by accident is heard once.
func TestServerWithoutAVoteEndsNoTermAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &transport{terms: new(terms)}
		servers := func() []Server { return []Server{{ID: "a", Voter: true}, {ID: "w"}} }
		tr.servers.Store(&servers)
		ended := 0
		for range 3600 { // an hour
			time.Sleep(time.Second)
			if tr.mayUnseat("w", 5, 6) == nil {
				ended++
			}
		}
		if ended > 6 {
			t.Errorf("it has ended %d terms within an hour", ended)
		}
		if ended == 0 {
			t.Error("it was never heard")
		}
		if err := tr.mayUnseat("a", 5, 6); err != nil {
			t.Errorf("a voter: %v", err)
		}
		if err := tr.mayUnseat("w", 5, 5); err != nil {
			t.Errorf("in the leader's own term: %v", err)
		}
	})
}

// A peer that claims to lead in term after term takes no more than its own place among
// those about whom the others are being asked.
func TestOneThatClaimsAgainAndAgainKeepsNobodyFromBeingAskedAbout(t *testing.T) {
	release, asked := make(chan struct{}), make(chan string, 200)
	var work sync.WaitGroup
	c := &claims{vouch: func(_ context.Context, server string, _ uint64) bool {
		asked <- server
		<-release
		return server == "leader"
	}, mine: func() uint64 { return 1 }, quit: make(chan struct{}), work: &work, asking: map[string]bool{}, asked: map[string]time.Time{}}
	for term := uint64(2); term < 100; term++ {
		if err := c.lead("liar", term); err != errUnproven {
			t.Fatalf("term %d: %v", term, err)
		}
	}
	if err := c.lead("leader", 3); err != errUnproven {
		t.Fatal(err)
	}
	first, second := <-asked, <-asked
	close(release)
	work.Wait()
	if first+second != "liarleader" && first+second != "leaderliar" || len(asked) > 0 {
		t.Errorf("the others were asked about %s and %s, and %d more", first, second, len(asked))
	}
	if err := c.lead("leader", 3); err != nil {
		t.Errorf("the leader is not believed: %v", err)
	}
}
