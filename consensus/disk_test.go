package consensus

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// onAppend is trouble with appends alone.
func onAppend(f func() error) trouble {
	return func(step string, _ uint64) error {
		if step != "append" {
			return nil
		}
		return f()
	}
}

func TestHangingLeaderIsReplacedAndComesBack(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.found(3)
		leader := n.leader()
		want := publishMany(n, leader, 5)
		release := make(chan struct{})
		leader.store.suffer(onAppend(func() error { <-release; return nil }))
		answer := make(chan error, 1)
		go func() {
			_, err := leader.propose(n.within(5*time.Second), "into the hanging disk")
			answer <- err
		}()
		others := without(n.servers, leader)
		next := n.leader(others...)
		for _, text := range []string{"by the next", "leader"} {
			n.publish(next, text)
			want = append(want, text)
		}
		if err := <-answer; !errors.Is(err, ErrUnknownOutcome) {
			t.Fatalf("the proposal at the hanging leader answers %v", err)
		}
		if st := leader.Stats(); !st.Stalled || st.Stalls != 1 || leader.Ready() {
			t.Fatalf("the hanging leader says %+v", st)
		}
		leader.store.recovers()
		close(release)
		n.until("it is back", func() bool { return !leader.Stats().Stalled })
		n.allEqual(n.servers...)
		if got := next.machine.texts(); strings.Join(got, ",") != strings.Join(want, ",") {
			t.Fatalf("applied %v, want %v", got, want)
		}
	})
}

func TestSlowLeaderHandsOver(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.found(3)
		leader := n.leader()
		leader.store.suffer(onAppend(func() error { n.pass(time.Second); return nil }))
		for range slowRun {
			n.publish(leader, "slowly")
		}
		n.publish(n.leader(without(n.servers, leader)...), "by another")
		if leader.Stats().Stalls != 0 {
			t.Fatal("a slow disk counts as a hanging one")
		}
		leader.store.recovers()
		n.allEqual(n.servers...)
	})
}

func TestFailingDiskEndsTheServer(t *testing.T) {
	for _, test := range []struct {
		name  string
		cause error
		step  string
	}{
		{"the disk fails in an append", syscall.EIO, "append"},
		{"the disk is full", syscall.ENOSPC, "append"},
		{"the disk fails when a term is stored", syscall.EIO, keyTerm},
	} {
		for _, role := range []string{"leader", "follower"} {
			t.Run(test.name+" of a "+role, func(t *testing.T) {
				inBubble(t, func(t *testing.T, n *network) {
					n.found(3)
					leader := n.leader()
					n.publish(leader, "before")
					n.allEqual(n.servers...)
					s := leader
					if role == "follower" {
						s = without(n.servers, leader)[0]
					}
					s.store.suffer(func(step string, _ uint64) error {
						if step == test.step {
							return test.cause
						}
						return nil
					})
					if test.step == keyTerm {
						s.gate.Cut() // the next leader's term arrives when it heals
						n.publish(n.leader(without(n.servers, s)...), "without it")
						if err := n.leader(without(n.servers, s)...).TransferLeadership(n.within(5 * time.Second)); err != nil {
							t.Fatal(err)
						}
						s.gate.Heal()
					}
					others := without(n.servers, s)
					s.propose(n.within(time.Second), "in vain")
					n.publish(n.leader(others...), "after")
					err := <-s.Failed()
					if !errors.Is(err, ErrDisk) || !errors.Is(err, test.cause) || !strings.Contains(err.Error(), "see to the disk") {
						t.Fatalf("Failed says %v", err)
					}
					s.store.recovers() // too late: what is on the disk is not known
					n.pass(5 * time.Second)
					n.publish(n.leader(others...), "long after")
					if got := s.machine.texts(); got[len(got)-1] == "long after" {
						t.Fatal("it went on as if nothing was")
					}
					s.stop()
					s.start()
					n.allEqual(n.servers...)
				})
			})
		}
	}
}

func TestFailedSyncEndsTheServer(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.tune = cutOften
		n.found(1)
		s := n.leader()
		s.machine.with(func(m *testMachine) { m.unsync = syscall.EIO })
		first := s.Stats().First
		publishMany(n, s, 20)
		if err := <-s.Failed(); !errors.Is(err, ErrDisk) || !errors.Is(err, syscall.EIO) {
			t.Fatalf("Failed says %v", err)
		}
		s.machine.with(func(m *testMachine) { m.unsync = nil })
		n.pass(5 * time.Second)
		if now := s.Stats().First; now != first {
			t.Fatalf("the log was cut to %d behind a sync that failed", now)
		}
	})
}

func TestDiskThatNeverReturns(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.found(3)
		leader := n.leader()
		release := make(chan struct{})
		leader.store.suffer(onAppend(func() error { <-release; return nil }))
		go leader.propose(n.within(time.Second), "into the hanging disk")
		begun := time.Now()
		err := <-leader.Failed()
		if !errors.Is(err, ErrDisk) || !strings.Contains(err.Error(), "append entries") {
			t.Fatalf("Failed says %v", err)
		}
		if took := time.Since(begun); took < 29*time.Second || took > 31*time.Second {
			t.Fatalf("it failed after %v", took)
		}
		begun = time.Now()
		if err := leader.Stop(); !errors.Is(err, ErrDisk) {
			t.Fatalf("Stop answers %v", err)
		}
		if took := time.Since(begun); took > 20*time.Second {
			t.Fatalf("Stop took %v", took)
		}
		close(release)
	})
}

func TestDamageMetByALeaderEndsIt(t *testing.T) {
	inBubble(t, func(t *testing.T, n *network) {
		n.found(3)
		leader := n.leader()
		behind := without(n.servers, leader)[0]
		behind.gate.Cut()
		texts := publishMany(n, leader, 10)
		bad := leader.Applied() - 3
		leader.store.suffer(func(step string, index uint64) error {
			if step == "read" && index == bad {
				return ErrDamaged
			}
			return nil
		})
		behind.gate.Heal()
		err := <-leader.Failed()
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), cureDamage) {
			t.Fatalf("Failed says %v", err)
		}
		leader.stop()
		rest := without(n.servers, leader)
		n.publish(n.leader(rest...), "after")
		n.allEqual(rest...)
		if got := rest[0].machine.texts(); strings.Join(got, ",") != strings.Join(append(texts, "after"), ",") {
			t.Fatalf("applied %v", got)
		}
	})
}

const damagedInside = "RISKNET_TEST_DAMAGED"

// Raft panics where it cannot read what it has to apply. That ends the process, as
// it must, and the last words must say why and what to do.
func TestDamageWhileApplyingEndsTheProcess(t *testing.T) {
	if os.Getenv(damagedInside) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), damagedInside+"=1")
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "panic: read entry") || !strings.Contains(string(out), cureDamage) {
			t.Fatalf("it ended with %v and said\n%s", err, out)
		}
		return
	}
	inBubble(t, func(t *testing.T, n *network) {
		n.found(3)
		leader := n.leader()
		s := without(n.servers, leader)[0]
		bad := leader.Stats().Last + 1
		s.store.suffer(func(step string, index uint64) error {
			if step == "read" && index == bad {
				return ErrDamaged
			}
			return nil
		})
		n.publish(leader, "damaged on its way")
		n.pass(time.Minute)
	})
}
