package consensus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"testing"
	"time"
)

// wipe starts a server again at its address with nothing on its disk, under a new id.
func (n *network) wipe(old *testServer) *testServer {
	n.t.Helper()
	fresh := &testServer{
		Server:  Server{ID: old.ID + "+2", Address: old.Address, Voter: true},
		net:     n,
		machine: &testMachine{},
		store:   newMemStore(),
		gate:    new(Gate),
	}
	n.servers = append(without(n.servers, old), fresh)
	fresh.start()
	return fresh
}

func TestWipedServerNeverAnswersForItsFormerSelf(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.found(3)
		leader := n.leader()
		publishMany(n, leader, 10)
		n.allEqual(n.servers...)
		lost, other := without(n.servers, leader)[0], without(n.servers, leader)[1]
		lost.stop()
		fresh := n.wipe(lost)
		n.publish(leader, "two of three")
		n.pass(5 * time.Second)
		if st := fresh.Stats(); st.Last != 0 || st.Term != 0 || st.PrefaceRefused == 0 {
			t.Fatalf("what was meant for %s arrived at %+v", lost.ID, st)
		}

		// With the other gone there is no majority, however well the wiped one feels.
		other.gate.Cut()
		if _, err := leader.propose(n.within(10*time.Second), "one of three"); !errors.Is(err, ErrUnknownOutcome) {
			t.Fatalf("an empty disk has acknowledged: %v", err)
		}
		n.pass(10 * time.Second)
		if leader.Ready() || fresh.Stats().Term != 0 {
			t.Fatal("an empty disk has voted")
		}
		other.gate.Heal()

		leader = n.leader()
		n.reconcile(leader, n.wanted()...)
		n.allEqual(n.servers...)
		if !slices.Contains(leader.Servers(), fresh.Server) {
			t.Fatalf("the servers are %v; the wiped one has no vote", leader.Servers())
		}
		if seen, ok := leader.LastSeen(fresh.ID); !ok || seen.Last == 0 {
			t.Fatalf("the leader has seen %+v of it", seen)
		}
		for _, s := range n.servers {
			if s != leader && s != fresh {
				s.gate.Cut()
			}
		}
		n.publish(n.leader(leader, fresh), "with its vote")
	})
}

func TestPreface(t *testing.T) {
	for _, test := range []struct {
		name, sent string
		let        bool
	}{
		{"meant for us", "\x01\x02s1hello", true},
		{"meant for another", "\x01\x02s2hello", false},
		{"meant for nobody", "\x01\x00hello", false},
		{"of another version", "\x02\x02s1hello", false},
		{"raft's own bytes", "\x00\x87\xa3abc", false},
		{"too short", "\x01\x05s1", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			near, far := net.Pipe()
			go func() {
				near.Write([]byte(test.sent))
				near.Close()
			}()
			d := &door{conns: make(chan net.Conn, 1), shut: make(chan struct{})}
			ds := &doors{t: &transport{id: "s1", log: newBridge(slog.New(slog.DiscardHandler))}, patience: time.Minute, open: map[string]*door{"": d},
				peer: func(context.Context, net.Conn) (Peer, error) { return anybody{}, nil }}
			if err := ds.admit(far); (err == nil) != test.let {
				t.Fatalf("the answer is %v", err)
			}
			if !test.let {
				_ = far.Close() // as who accepts does
				return
			}
			if got, err := io.ReadAll((<-d.conns).(*callerConn).Conn); string(got) != "hello" || err != nil {
				t.Fatalf("raft reads %q (%v)", got, err)
			}
		})
	}
}

// A caller that says nothing is shut out, and holds up nobody.
func TestSilentCallerIsShutOut(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.found(1)
		leader := n.leader()
		conn, err := n.dial(t.Context(), leader.Address)
		if err != nil {
			t.Fatal(err)
		}
		n.publish(leader, "meanwhile")
		begun := time.Now()
		_ = conn.SetReadDeadline(begun.Add(time.Minute))
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Fatal("a caller without a preface gets an answer")
		}
		if took := time.Since(begun); took > 10*time.Second {
			t.Fatalf("it was shut out after %v", took)
		}
	})
}

type namedPeer string

func (p namedPeer) Key() string          { return string(p) }
func (namedPeer) SpeaksFor(string) error { return nil }

// Names that have come and gone keep nobody out: a door through which nobody is
// connected makes room.
func TestDoorsThatNobodyUsesMakeRoom(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.found(1)
		ds := n.leader().trans.doors
		for i := range 2 * maxDoors {
			if _, err := ds.of(namedPeer(fmt.Sprint(i))); err != nil {
				t.Fatalf("peer %d: %v", i, err)
			}
		}
		for _, one := range ds.open {
			near, far := net.Pipe()
			defer near.Close()
			one.open.enter(far, maxPerDoor)
		}
		if _, err := ds.of(namedPeer("one more")); err != errTooMany {
			t.Errorf("with all in use: %v", err)
		}
	})
}
