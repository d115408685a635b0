package consensus

import (
	"math"
	"testing"
)

// longEntries is a log that is long in bytes and not in entries: nothing but its bytes
// has it cut.
func longEntries(c *Config) { c.TrailingBytes = 1 << 10 }

func TestALogThatIsLongInBytesIsCut(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.tune = longEntries
		n.found(3)
		publishMany(n, n.leader(), minTrailing+100)
		n.allEqual(n.servers...)
		for _, s := range n.servers {
			n.until("the log of "+s.ID+" is cut", func() bool { return s.Stats().First > 50 })
			if st := s.Stats(); st.Last-st.First+1 < minTrailing {
				t.Errorf("%s keeps entries %d to %d, fewer than %d", s.ID, st.First, st.Last, minTrailing)
			}
		}
	})
}

// Who does not lead does not know who is late, and keeps more: where the leader dies, the
// next one has the others in its log.
func TestWhoDoesNotLeadKeepsALongerLog(t *testing.T) {
	shortFiles(t, 1<<11)
	log := open(t, t.TempDir())
	defer log.Close()
	appendTo(t, log, 1, 400)
	c := Config{TrailingLogs: 1000, TrailingBytes: 1 << 11}
	leader := newTrail(&c, func() (uint64, bool) { return math.MaxUint64, true }).limit(log, 400)
	other := newTrail(&c, func() (uint64, bool) { return math.MaxUint64, false }).limit(log, 400)
	if other == 0 || other >= leader || log.Newest(ledByOthers<<11) != other+1 {
		t.Errorf("a leader cuts up to %d, who does not lead up to %d", leader, other)
	}
}

// A server that is away for a while is worth more log than bytes: an image is the
// whole state.
func TestALeaderKeepsWhatALateServerLacks(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.tune = longEntries
		n.found(3)
		leader := n.leader()
		publishMany(n, leader, 20)
		n.allEqual(n.servers...)
		others := without(n.servers, leader)
		late, other := others[0], others[1]
		late.stop()
		lacks := n.publish(leader, "what it lacks")
		publishMany(n, leader, minTrailing+100)
		n.until("a follower cuts its log", func() bool { return other.Stats().First > lacks })
		if first := leader.Stats().First; first > lacks {
			t.Errorf("the leader's log begins at %d, and a server lacks %d", first, lacks)
		}
		late.start()
		n.allEqual(n.servers...)
		if late.Stats().ImagesReceived > 0 {
			t.Error("it was brought by an image")
		}
		n.until("the leader cuts its log, too", func() bool {
			publishMany(n, leader, 1)
			return leader.Stats().First > lacks
		})
	})
}

func TestTheNewestEntriesByTheirBytes(t *testing.T) {
	shortFiles(t, 1<<11)
	log := open(t, t.TempDir())
	defer log.Close()
	if first := log.Newest(1); first != 0 {
		t.Errorf("an empty log has its newest byte at entry %d", first)
	}
	appendTo(t, log, 1, 200)
	one, two, all := log.Newest(1), log.Newest(1<<12), log.Newest(1<<30)
	if all != 0 || two < 100 || two >= one || one > 200 {
		t.Errorf("one byte begins at %d, two files at %d, a gigabyte at %d", one, two, all)
	}
	bytes := 0
	for i := two; i <= 200; i++ {
		bytes += len(logEntry(i).Data)
	}
	if bytes < 1<<11 || bytes > 1<<13 {
		t.Errorf("the entries behind %d have %d bytes", two, bytes)
	}
	if err := log.DeleteRange(1, two+1); err != nil {
		t.Fatal(err)
	}
	if first := log.Newest(1 << 12); first > two+2 {
		t.Errorf("after a cut up to %d, two files begin at %d", two+1, first)
	}
}
