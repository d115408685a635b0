package consensus

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// cutOften lets the log be cut after a few entries, with little kept behind.
func cutOften(c *Config) {
	c.SnapshotThreshold, c.SnapshotInterval, c.TrailingLogs = 8, 100*time.Millisecond, 4
}

func publishMany(n *network, s *testServer, count int) (texts []string) {
	n.t.Helper()
	for i := range count {
		texts = append(texts, fmt.Sprintf("entry %d", len(s.machine.entries())+1))
		n.publish(s, texts[i])
	}
	return texts
}

func TestRestartAppliesEachEntryOnce(t *testing.T) {
	for _, test := range []struct {
		name string
		disk func(*testMachine) *testMachine // what is left of the machine
	}{
		{"the process ended", func(m *testMachine) *testMachine { return m }},
		{"the power failed", (*testMachine).crash},
	} {
		for _, cut := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, log cut %v", test.name, cut), func(t *testing.T) {
				inBubble(t, func(t *testing.T, n *network) {
					if cut {
						n.tune = cutOften
					}
					n.found(1)
					s := n.leader()
					want := publishMany(n, s, 30)
					n.pass(time.Second)
					want = append(want, publishMany(n, s, 5)...)
					s.stop()
					s.machine = test.disk(s.machine)
					if !cut && test.name == "the power failed" && s.machine.Position().Index != 0 {
						t.Fatal("the machine was synced; this case wants one that was not")
					}
					s.start()
					n.leader()
					if got := s.machine.texts(); !slices.Equal(got, want) {
						t.Fatalf("after the restart: %v, want %v", got, want)
					}
					want = append(want, publishMany(n, s, 1)...)
					if got := s.machine.texts(); !slices.Equal(got, want) {
						t.Fatalf("after one more: %v, want %v", got, want)
					}
				})
			})
		}
	}
}

func TestLogIsCutOnlyUpToWhatIsOnDisk(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.tune = cutOften
		n.found(3)
		leader := n.leader()
		publishMany(n, leader, 40)
		n.until("the log is cut", func() bool { return leader.Stats().First > 20 })
		first, synced := leader.Stats().First, uint64(0)
		leader.machine.with(func(m *testMachine) { synced = m.disk.At.Index })
		if first > synced+1 {
			t.Fatalf("the log begins at %d but only %d is on disk", first, synced)
		}
	})
}

// A barrier is the last entry that raft delivered, and the machine has not seen
// it. A log that is cut there must not lie beyond the machine's position.
func TestCutBehindABarrierLeavesNoHole(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.tune = func(c *Config) {
			c.SnapshotThreshold, c.SnapshotInterval, c.TrailingLogs = 1, 100*time.Millisecond, 1
		}
		n.found(1)
		s := n.leader()
		publishMany(n, s, 3)
		for range 3 { // each start writes an empty entry and a barrier
			s.stop()
			s.start()
			n.leader()
			n.pass(time.Second)
			if first, at := s.Stats().First, s.machine.Position().Index; first > at+1 {
				t.Fatalf("the log begins at %d, the machine is at %d", first, at)
			}
		}
		late := n.add("late")
		late.Voter = false
		n.reconcile(s, s.Server, late.Server)
		n.allEqual(s, late)
	})
}

func TestLateServerGetsAnImage(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.tune = cutOften
		n.found(3)
		leader := n.leader()
		publishMany(n, leader, 50)
		n.until("the log is cut", func() bool { return leader.Stats().First > 20 })

		late := n.add("late")
		n.reconcile(leader, n.wanted()...)
		publishMany(n, leader, 3)
		n.allEqual(n.servers...)
		if leader.machine.opened() == 0 {
			t.Fatal("no image was sent")
		}
		if first := late.Stats().First; first <= 1 {
			t.Fatalf("the late server's log begins at %d; it was not brought by an image", first)
		}
		// What it got must carry it through a restart, and carry others.
		late.stop()
		late.machine = late.machine.crash()
		late.start()
		publishMany(n, leader, 3)
		n.allEqual(n.servers...)
	})
}

func TestDamagedImageLeavesTheOldState(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.tune = cutOften
		n.found(3)
		leader := n.leader()
		behind := without(n.servers, leader)[0]
		old := publishMany(n, leader, 5)
		n.allEqual(n.servers...)
		for _, s := range n.servers {
			s.machine.with(func(m *testMachine) { m.corrupt = true })
		}
		behind.gate.Cut()
		publishMany(n, leader, 50)
		n.pass(time.Second)
		behind.gate.Heal()
		if err := <-behind.Failed(); !errors.Is(err, ErrRestart) {
			t.Fatalf("images in vain end with %v, want ErrRestart", err)
		}
		if st := behind.Stats(); st.ImagesRefused != 3 || st.ImagesReceived != 0 {
			t.Fatalf("%d images are refused and %d installed, want 3 and 0", st.ImagesRefused, st.ImagesReceived)
		}
		if got := behind.machine.texts(); !slices.Equal(got, old) {
			t.Fatalf("the state is %v after a damaged image, want the old %v", got, old)
		}
		for _, s := range n.servers {
			s.machine.with(func(m *testMachine) { m.corrupt = false })
		}
		behind.stop()
		behind.start()
		n.allEqual(n.servers...)
	})
}

func TestImagesInVain(t *testing.T) {
	var c imageCounts
	for round := range 2 {
		for range fruitlessLimit - 1 {
			if err := c.attempted(nil); err != nil {
				t.Fatal(err)
			}
		}
		if round == 0 {
			c.continued()
		}
	}
	if err := c.attempted(errors.New("refused")); !errors.Is(err, ErrRestart) {
		t.Fatalf("the third image in a row answers %v", err)
	}
	if c.installed.Load() != 4 || c.refused.Load() != 1 {
		t.Fatalf("%d are installed and %d refused, want 4 and 1", c.installed.Load(), c.refused.Load())
	}
}

func TestTwoImagesAtATime(t *testing.T) {
	machine := &testMachine{}
	machine.state.At = position(7)
	stopping := make(chan struct{})
	store := newImages(machine, new(imageCounts), new(kept), func() uint64 { return 1 }, stopping)
	_, first, err1 := store.Open(stateID)
	_, second, err2 := store.Open(stateID)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	first.Close()
	first.Close() // frees one slot, not two
	if _, _, err := store.Open(stateID); err != nil {
		t.Fatal(err)
	}
	close(stopping)
	if _, _, err := store.Open(stateID); !errors.Is(err, ErrStopped) {
		t.Fatalf("a third image at a time answers %v", err)
	}
	second.Close()
}

// A server that has lost its lead goes on sending, as far as raft is concerned, and the
// other one reads all of it before it listens to the next leader.
func TestAnImageIsOfOneReign(t *testing.T) {
	machine, term := &testMachine{}, uint64(0)
	machine.state.At = position(7)
	store := newImages(machine, new(imageCounts), new(kept), func() uint64 { return term }, nil)
	if _, _, err := store.Open(stateID); !errors.Is(err, errReignOver) || machine.opened() > 0 {
		t.Errorf("who does not lead opens one: %v", err)
	}
	for _, next := range []uint64{0, 9} {
		for range 2 * maxImages { // no slot is lost
			term = 7
			_, image, err := store.Open(stateID)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := image.Read(make([]byte, 4)); err != nil {
				t.Error(err)
			}
			term = next
			if _, err := image.Read(make([]byte, 4)); !errors.Is(err, errReignOver) {
				t.Errorf("in term %d the rest of it is read: %v", next, err)
			}
			image.Close()
		}
	}
	term, machine.making = 7, func() { term = 8 }
	if _, _, err := store.Open(stateID); !errors.Is(err, errReignOver) || machine.opened() != 4*maxImages {
		t.Errorf("it is made to its end: %v", err)
	}
}

func position(index uint64) Position {
	conf := raft.Configuration{Servers: []raft.Server{{ID: "s1", Address: "s1:1"}}}
	return Position{Index: index, Term: 3, Configuration: raft.EncodeConfiguration(conf), ConfigurationIndex: 1}
}

func TestSnapshotStoreReportsTheMachine(t *testing.T) {
	machine := &testMachine{}
	store := newImages(machine, new(imageCounts), new(kept), func() uint64 { return 1 }, nil)
	if list, err := store.List(); err != nil || len(list) != 0 {
		t.Fatalf("an empty machine lists %v, %v", list, err)
	}
	machine.state.At = position(7)
	list, err := store.List()
	if err != nil || len(list) != 1 || list[0].Index != 7 || list[0].Term != 3 || list[0].ConfigurationIndex != 1 {
		t.Fatalf("it lists %+v, %v", list, err)
	}
	machine.state.At = position(9) // moves on between List and Open
	m, image, err := store.Open(list[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	if m.Index != 9 || m.Size == 0 || m.Size != image.(*outgoing).Size() {
		t.Fatalf("Open says %+v, want index 9 and the image's size", m)
	}
	machine.state.At.Configuration = []byte("nonsense")
	if _, err := store.List(); err == nil {
		t.Fatal("a configuration that does not decode is listed")
	}
}

func TestReconcileLog(t *testing.T) {
	for _, test := range []struct {
		name        string
		first, last uint64 // of the log, all in term 3
		at, term    uint64 // of the state
		left        uint64 // last entry afterwards
		refused     string
	}{
		{"both are empty", 0, 0, 0, 0, 0, ""},
		{"the state is empty", 1, 9, 0, 0, 9, ""},
		{"the state lies within the log", 1, 9, 5, 3, 9, ""},
		{"the state ends where the log does", 1, 9, 9, 3, 9, ""},
		{"the log begins right behind the state", 6, 9, 5, 3, 9, ""},
		{"an image covers the log", 1, 9, 12, 3, 0, ""},
		{"an image contradicts the log", 1, 9, 5, 4, 0, ""},
		{"a hole between state and log", 7, 9, 5, 3, 9, "the log begins at 7"},
		{"the state is lost", 2, 9, 0, 0, 9, "the state ends at entry 0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			store := newMemStore()
			for i := test.first; i <= test.last && i > 0; i++ {
				store.StoreLog(&raft.Log{Index: i, Term: 3})
			}
			at := position(test.at)
			at.Term = test.term
			err := reconcileLog(store, at)
			if (err != nil) != (test.refused != "") || err != nil && !strings.Contains(err.Error(), test.refused) {
				t.Fatalf("the answer is %v, want %q in it", err, test.refused)
			}
			if last, _ := store.LastIndex(); last != test.left {
				t.Fatalf("the log ends at %d, want %d", last, test.left)
			}
		})
	}
}

// The process died after the machine switched to an image and before raft dropped
// its log: what is left must not be filled up with entries that the state holds.
func TestStartBehindAnImageDropsTheOldLog(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.found(3)
		leader := n.leader()
		publishMany(n, leader, 20)
		n.allEqual(n.servers...)
		s := without(n.servers, leader)[0]
		s.stop()
		last, _ := s.store.LastIndex()
		if err := s.store.DeleteRange(6, last); err != nil {
			t.Fatal(err)
		}
		at := s.machine.Position().Index
		s.start()
		publishMany(n, leader, 3)
		n.allEqual(n.servers...)
		if first := s.Stats().First; first != at+1 {
			t.Fatalf("the log begins at %d, want %d, right behind the state", first, at+1)
		}
	})
}

func TestGuardedLog(t *testing.T) {
	for _, test := range []struct {
		name       string
		from, to   uint64
		superseded bool
		allowed    bool
	}{
		{"cut what is on disk", 1, 4, false, true},
		{"cut what is only applied", 1, 5, false, false},
		{"truncate what was not delivered", 7, 9, false, true},
		{"truncate what is applied", 6, 9, false, false},
		{"truncate everything", 1, 9, false, false},
		{"drop the log behind an image", 1, 9, true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			store := newMemStore()
			d := newDelivery(&testMachine{}, position(6))
			d.raiseSynced(4)
			g := guardedLog{store, d, newTrail(&Config{}, func() (uint64, bool) { return math.MaxUint64, true }), nil}
			for i := range uint64(9) {
				if err := g.StoreLog(&raft.Log{Index: i + 1}); err != nil {
					t.Fatal(err)
				}
			}
			d.superseded.Store(test.superseded)
			if err := g.DeleteRange(test.from, test.to); (err == nil) != test.allowed {
				t.Fatalf("the answer is %v", err)
			}
			if err := g.StoreLog(&raft.Log{Index: 10}); test.superseded && (err != nil || d.superseded.Load()) {
				t.Fatalf("the next entry leaves the log open to deletion (%v)", err)
			}
		})
	}
}

func TestStateNeverGoesBackToAnImage(t *testing.T) {
	machine := &testMachine{}
	machine.state.At = position(9)
	d := newDelivery(machine, machine.state.At)
	err := d.Restore(&stagedImage{staging: &testStaging{m: machine}, at: position(8)})
	if err == nil || machine.Position().Index != 9 {
		t.Fatalf("an older image answers %v and leaves the state at %d", err, machine.Position().Index)
	}
}
