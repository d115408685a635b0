package consensus

import (
	"bytes"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// speak opens a connection as a member, and says what it will.
func (n *network) speak(from, to *testServer) net.Conn {
	n.t.Helper()
	conn, err := from.cfg.Dial(n.within(time.Second), to.Address)
	if err == nil {
		err = writePreface(n.within(time.Second), conn, to.ID)
	}
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { conn.Close() })
	return conn
}

// peak follows the heap while bytes are sent.
type peak struct{ before, most int64 }

func newPeak() *peak { return &peak{before: heap()} }

func (p *peak) look() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	p.most = max(p.most, int64(m.HeapAlloc)-p.before)
}

func (p *peak) check(t *testing.T) {
	t.Helper()
	t.Logf("the heap grew by %d MiB at its peak", p.most>>20)
	if left := heap() - p.before; p.most > 64<<20 || left > 64<<20 {
		t.Errorf("the heap has grown by %d MiB, and %d are left; want at most 64", p.most>>20, left>>20)
	}
}

// A member sends 66 MiB for one message: the connection ends before it is there, long
// before it is decoded. The shorter ones would take as much once they are decoded.
func TestHugeMessageIsCutOff(t *testing.T) {
	large := "\x81\xa4Data\xc6\x00\x10\x00\x00" + strings.Repeat("x", 1<<20)
	for _, test := range []struct {
		name, head, block string
		most              int // bytes that are read
	}{
		{"one entry", "\x00\x81\xa7Entries\x91\x81\xa4Data\xc6\x04\x20\x00\x00", strings.Repeat("x", 64<<10), 1 << 20},
		{"many large entries", "\x00\x81\xa7Entries\xdc\x00\x20", large, maxMessage + 2<<20},
		{"a million empty entries", "\x00\x81\xa7Entries\xdd\x00\x10\x00\x00", strings.Repeat("\x80", 64<<10), 1 << 20},
		{"entries without end in small maps", "\x00\xdf\x00\x10\x00\x00", strings.Repeat("\xa7Entries\x90", 8<<10), 1 << 20},
		{"a long key", "\x00\x81\xdb\xff\xff\xff\xff", strings.Repeat("x", 64<<10), 1 << 20},
		{"lists in lists", "\x00\x81\xa1x", strings.Repeat("\x91", 64<<10), 1 << 20},
		{"an image that is not announced", "\x02\x81\xa4Size\x01", strings.Repeat("x", 64<<10), 1 << 20},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *network) {
				n.tune = n.guarded
				servers := n.found(3)
				leader := n.leader()
				n.publish(leader, "before")
				conn, memory := n.speak(without(servers, leader)[0], leader), newPeak()
				_, err := conn.Write([]byte(test.head))
				block, sent := []byte(test.block), 0
				for err == nil && sent < 66<<20 {
					_, err = conn.Write(block)
					sent += len(block)
					memory.look()
				}
				if sent > test.most {
					t.Errorf("%d KiB of one message are read, want no more than %d", sent>>10, test.most>>10)
				}
				memory.check(t)
				n.publish(leader, "after")
			})
		})
	}
}

// What one peer may send on one connection it may not send on sixteen.
func TestOnePeerHasOneLargeMessageUnderWay(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.tune = n.guarded
		servers := n.found(3)
		leader := n.leader()
		n.publish(leader, "before")
		large := []byte("\x81\xa4Data\xc6\x00\x10\x00\x00" + strings.Repeat("x", 1<<20))
		from, memory, sent := without(servers, leader)[0], newPeak(), 0
		var conns []net.Conn
		for range maxPerDoor - 4 {
			conns = append(conns, n.speak(from, leader))
		}
		for _, conn := range conns {
			_, err := conn.Write([]byte("\x00\x81\xa7Entries\x9f"))
			for i := 0; err == nil && i < 10; i++ {
				_, err = conn.Write(large)
				sent += 1 << 20
				memory.look()
			}
		}
		if most := maxHeld + len(conns)<<20; sent > most {
			t.Errorf("%d MiB are read, want no more than %d", sent>>20, most>>20)
		}
		memory.check(t)
		n.publish(leader, "meanwhile")
		n.pass(30 * time.Second) // none of them ends its message
		if door := leader.trans.doors.open[from.ID]; door.held.Load() > 1<<20 {
			t.Errorf("%d bytes are still held", door.held.Load())
		}
		n.publish(leader, "after")
		n.allEqual(servers...)
	})
}

// A server that is asked answers with more than there is to say: who asked, most
// likely the leader, must not make room for it.
func TestHugeAnswerIsCutOff(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.tune = n.guarded
		asks := n.add("s1")
		for _, answer := range []string{"\xdb\x7f\xff\xff\xff", "\xa0\x81\xa5Peers\xc6\x7f\xff\xff\xff", "\xa0\xdf\x00\x10\x00\x00"} {
			liar := &pipeListener{address: "liar:1", conns: make(chan net.Conn), closed: make(chan struct{}), net: n}
			n.listeners["liar:1"] = liar
			sent := make(chan int)
			go func() {
				conn, err := liar.Accept()
				if err != nil {
					return
				}
				go io.Copy(io.Discard, conn) //nolint:errcheck // what it is asked does not matter
				block, count := bytes.Repeat([]byte{0x80}, 64<<10), 0
				_, err = conn.Write([]byte(answer))
				for err == nil && count < 66<<20 {
					_, err = conn.Write(block)
					count += len(block)
				}
				conn.Close()
				sent <- count
			}()
			memory := newPeak()
			vote := &raft.RequestVoteRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: 3, ID: []byte("s1")}, Term: 1}
			if err := asks.trans.RequestVote("liar", "liar:1", vote, new(raft.RequestVoteResponse)); err == nil {
				t.Error("the answer is taken")
			}
			memory.look()
			if got := <-sent; got > 1<<20 {
				t.Errorf("%d KiB of an answer are read", got>>10)
			}
			memory.check(t)
		}
	})
}
