package consensus

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// alone recovers a server that has stopped, and starts it under its next id.
func (s *testServer) alone() {
	s.net.t.Helper()
	s.Server.ID += "+2"
	if err := recoverLog(s.store, &RecoverConfig{Server: s.Server}, s.machine); err != nil {
		s.net.t.Fatal(err)
	}
	s.start()
}

func TestRecoverWithoutAMajority(t *testing.T) {
	for _, test := range []struct {
		name string
		disk func(*testMachine) *testMachine // what is left of the machine
	}{
		{"the state is up to date", func(m *testMachine) *testMachine { return m }},
		{"the state fell back to its last sync", (*testMachine).crash},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *network) {
				n.found(5)
				s := n.leader()
				want := publishMany(n, s, 20)
				n.allEqual(n.servers...)
				for _, lost := range without(n.servers, s)[:3] {
					lost.gate.Cut()
					lost.stop()
					n.servers = without(n.servers, lost)
				}
				if _, err := s.propose(n.within(time.Second), "never acknowledged"); !errors.Is(err, ErrUnknownOutcome) {
					t.Fatalf("two of five answer %v", err)
				}
				term := s.Stats().Term
				s.gate.Cut()
				s.stop()
				s.gate.Heal()
				s.machine = test.disk(s.machine)
				s.alone()
				n.until("it leads alone", s.Ready)
				if got := s.machine.texts(); !slices.Equal(got, append(slices.Clone(want), "never acknowledged")) {
					t.Fatalf("the recovered server holds %v", got)
				}
				if now := s.Stats().Term; now <= term+1 {
					t.Fatalf("it leads in term %d, after term %d", now, term)
				}
				n.publish(s, "alone")

				// The other survivor comes back empty, and with two more newcomers.
				other := without(n.servers, s)[0]
				other.stop()
				n.wipe(other)
				n.add("n1")
				n.add("n2")
				n.reconcile(s, n.wanted()...)
				n.publish(s, "together")
				n.allEqual(n.servers...)
				s.stop()
				s.machine = s.machine.crash()
				s.start()
				n.publish(n.leader(without(n.servers, s)...), "as before")
				n.allEqual(n.servers...)
			})
		})
	}
}

// A machine that fails in one of a recovery's steps.
type interrupted struct {
	*testMachine
	configuration bool // fails to apply it
	syncs         int  // that succeed
}

var errInterrupted = errors.New("interrupted")

func (m *interrupted) ApplyBatch(entries []Entry) ([]any, error) {
	if m.configuration && entries[0].Kind == Configuration && len(entries) == 1 {
		return nil, errInterrupted
	}
	return m.testMachine.ApplyBatch(entries)
}

func (m *interrupted) Sync() error {
	if m.syncs--; m.syncs < 0 {
		return errInterrupted
	}
	return m.testMachine.Sync()
}

func TestInterruptedRecoveryIsDoneAgain(t *testing.T) {
	for _, test := range []struct {
		name      string
		interrupt func(*interrupted, *memStore)
	}{
		{"before the entries are on disk", func(m *interrupted, _ *memStore) { m.syncs = 0 }},
		{"before the term is stored", func(_ *interrupted, s *memStore) {
			s.suffer(func(step string, _ uint64) error {
				if step == keyTerm {
					return errInterrupted
				}
				return nil
			})
		}},
		{"before the configuration is applied", func(m *interrupted, _ *memStore) { m.configuration = true }},
		{"before the configuration is on disk", func(m *interrupted, _ *memStore) { m.syncs = 1 }},
		{"before the log is dropped", func(_ *interrupted, s *memStore) {
			s.suffer(func(step string, _ uint64) error {
				if step == "delete" {
					return errInterrupted
				}
				return nil
			})
		}},
		{"after everything", func(*interrupted, *memStore) {}},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, n *network) {
				n.found(3)
				leader := n.leader()
				want := publishMany(n, leader, 10)
				n.allEqual(n.servers...)
				s := without(n.servers, leader)[0]
				for _, each := range n.servers {
					each.gate.Cut()
					each.stop()
				}
				n.servers = []*testServer{s}
				s.gate.Heal()
				m := &interrupted{testMachine: s.machine.crash(), syncs: 9}
				test.interrupt(m, s.store)
				recovery := &RecoverConfig{Server: Server{ID: "other+2", Address: s.Address}}
				err := recoverLog(s.store, recovery, m)
				if !errors.Is(err, errInterrupted) && test.name != "after everything" {
					t.Fatalf("the interruption gives %v", err)
				}
				s.store.recovers()
				s.machine = m.crash()
				s.alone()
				n.publish(n.leader(), "alone")
				if got := s.machine.texts(); !slices.Equal(got, append(want, "alone")) {
					t.Fatalf("it holds %v", got)
				}
			})
		})
	}
}

// As an operator does it: a directory, and nothing that runs.
func TestRecoverOnDisk(t *testing.T) {
	s := &tcpServer{Server: Server{ID: "s1", Voter: true}, dir: t.TempDir(), machine: &testMachine{}}
	s.start(t)
	if err := s.Bootstrap(); err != nil {
		t.Fatal(err)
	}
	await(t, "the founder leads", s.Ready)
	s.publish(t, 30)
	ghosts := []Server{s.Server, {ID: "ghost", Address: "127.0.0.1:1"}}
	if err := s.Reconcile(t.Context(), ghosts); err != nil {
		t.Fatal(err)
	}
	next := RecoverConfig{Dir: s.dir, Server: Server{ID: "s1+2", Address: s.Address}, Term: 40}
	if err := Recover(next, s.machine); err == nil || !strings.Contains(err.Error(), "stop that one first") {
		t.Fatalf("a running server answers %v", err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	s.machine = s.machine.crash()
	if err := Recover(next, s.machine); err != nil {
		t.Fatal(err)
	}
	if held, err := Inspect(s.dir); err != nil || held != (Held{Term: 41}) {
		t.Fatalf("the log holds %+v (%v) afterwards", held, err)
	}
	s.ID = "s1+2"
	s.start(t)
	defer s.Stop()
	await(t, "it leads alone", s.Ready)
	if got := s.Servers(); len(got) != 1 || got[0].ID != "s1+2" || len(s.machine.texts()) != 30 {
		t.Fatalf("the servers are %v, with %d entries", got, len(s.machine.texts()))
	}
	s.publish(t, 1)
}

func TestRecoverRefuses(t *testing.T) {
	dir := t.TempDir()
	whole := RecoverConfig{Dir: dir, Server: Server{ID: "s1+2", Address: "s1:1"}}
	if err := Recover(whole, &testMachine{}); err == nil || !strings.Contains(err.Error(), "no log and no state") {
		t.Errorf("nothing to recover answers %v", err)
	}
	for _, spoil := range []func(*RecoverConfig){
		func(c *RecoverConfig) { c.Dir = "" },
		func(c *RecoverConfig) { c.Server.ID = "" },
		func(c *RecoverConfig) { c.Server.Address = "" },
	} {
		cfg := whole
		spoil(&cfg)
		if err := Recover(cfg, &testMachine{}); err == nil || !strings.Contains(err.Error(), "give all three") {
			t.Errorf("%+v answers %v", cfg, err)
		}
	}
}

// What decides is what recovery would go on with: a follower that has an entry,
// and has not heard that it was acknowledged, has it in its log alone.
func TestForeseeTellsTheLogFromTheState(t *testing.T) {
	dir, _ := oldLog(t) // entries 12 to 64, the last of term 4
	log := Reach{Term: 4, Index: 64}
	for name, test := range map[string]struct {
		dir  string
		at   Position
		want Prospect
	}{
		"the log goes further":      {dir, Position{Index: 63, Term: 4}, Prospect{Log: log, State: Reach{4, 63}, Last: log}},
		"both end together":         {dir, Position{Index: 64, Term: 4}, Prospect{Log: log, State: log, Last: log}},
		"an image covers the log":   {dir, Position{Index: 70, Term: 4}, Prospect{Log: log, State: Reach{4, 70}, Last: Reach{4, 70}}},
		"an image contradicts it":   {dir, Position{Index: 60, Term: 6}, Prospect{Log: log, State: Reach{6, 60}, Last: Reach{6, 60}}},
		"a restored backup, no log": {t.TempDir(), Position{Index: 9, Term: 2}, Prospect{State: Reach{2, 9}, Last: Reach{2, 9}}},
		"neither state nor log":     {t.TempDir(), Position{}, Prospect{}},
	} {
		if got, err := Foresee(test.dir, test.at); err != nil || got != test.want {
			t.Errorf("%s: %+v (%v), want %+v", name, got, err, test.want)
		}
	}
	if _, err := Foresee(dir, Position{Index: 5, Term: 1}); err == nil || !strings.Contains(err.Error(), "is lost on this disk") {
		t.Errorf("a gap between state and log answers %v", err)
	}
	if held, err := Inspect(dir); err != nil || held.Last != 64 {
		t.Errorf("the look has changed the log: %+v (%v)", held, err)
	}
}
