package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/risknet/risknet/node"
)

// Run is one scenario to play.
type Run struct {
	Scenario *Scenario
	Seed     uint64
	Dir      string // empty, and on a disk that is quick
	Log      *slog.Logger
	Tune     func(*node.Config)
	Progress *atomic.Int64 // how far fake time has come, if not nil
}

// Result is what a run found.
type Result struct {
	Scenario   string
	Seed       uint64
	Simulated  time.Duration
	Violations []Violation
	Story      string // what happened last
	Faults     map[string]int
	Commands   int
	Checks     int
	Subjects   int // whose histories porcupine held linearizable, or not
	Undecided  int // for which it had not enough time
	Goroutines int
	Size       uint64
}

// healLimit is how soon the network is well after its faults have ended.
const healLimit = 30 * time.Second

// Play runs a scenario in the bubble that calls it. The error is one of the
// scenario or of the set-up; what the network does wrong is in the result.
func (r Run) Play() (result *Result, err error) {
	s := r.Scenario
	w, err := newWorld(settings{seed: r.Seed, dir: r.Dir, nodes: s.Nodes, voters: s.Voters, log: r.Log, tune: r.Tune})
	defer func() {
		if stopped := w.stop(); stopped != nil && err == nil {
			w.watch.report("end", "%v", stopped)
		}
		w.verify()
		result = w.result(r)
	}()
	if err != nil {
		return nil, err
	}
	if r.Progress != nil {
		w.progress = r.Progress
	}
	return nil, w.play(s)
}

func (w *World) play(s *Scenario) error {
	if err := w.await(time.Minute, w.healthy); err != nil {
		return fmt.Errorf("the network was never well: %w", err)
	}
	w.begun = w.now()
	var err error
	if w.director, err = w.newWriter(context.Background(), "hub", w.dice()); err != nil {
		return err
	}
	defer w.director.close()
	end, err := w.startLoad(s.Load)
	if err != nil {
		return err
	}
	defer end()
	for _, e := range s.Events {
		w.pass(w.begun + e.At)
		w.faults[e.Words[0]]++
		if err := w.happen(e); err != nil {
			return fmt.Errorf("%s:%d: %s: %w", s.Name, e.Line, e, err)
		}
	}
	w.pass(w.begun + s.For)
	return w.afterwards(end)
}

// afterwards ends all faults, then the load, and looks at what is left.
func (w *World) afterwards(end func()) error {
	w.story.tell(w.now(), "heal")
	w.heal()
	if err := w.await(healLimit, w.healthy); err != nil {
		w.watch.report("I9", "%s after all faults ended: %v", healLimit, err)
		return nil
	}
	end()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	size := w.history.seen()
	for _, m := range w.machines {
		if err := m.running().AwaitSize(ctx, size); err != nil {
			w.watch.report("I1", "%s never came to size %d, which a client was told of", m.Name, size)
		}
	}
	return w.contents(ctx)
}

// await asks again until a condition holds, and watches all nodes meanwhile.
func (w *World) await(limit time.Duration, holds func() error) error {
	for until := w.now() + limit; ; {
		w.still()
		err := holds()
		if err == nil || w.now() >= until {
			return err
		}
		w.pass(w.now() + 200*time.Millisecond)
	}
}

// command has the director list or lift a subject that the scenario names.
func (w *World) command(verb, name string) error {
	s := w.named[name]
	if s == nil {
		s = w.history.newSubject()
		w.named[name] = s
	}
	ctx, cancel := context.WithTimeout(context.Background(), writePatience)
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if verb == "publish" {
			w.director.list(ctx, s)
		} else {
			w.director.lift(ctx, s)
		}
	}()
	for {
		select {
		case <-ended:
			if s.doubtful {
				return errors.New("nobody said what became of it")
			}
			return nil
		case <-time.After(time.Second):
			w.still()
			w.watch.look()
		}
	}
}

// expect holds the network to a sentence of the scenario.
func (w *World) expect(words []string) error {
	switch words[0] {
	case "healthy":
		if err := w.await(healLimit, w.healthy); err != nil {
			w.watch.report("I9", "%v", err)
		}
		return nil
	case "leader":
		err := w.await(healLimit, func() error { _, err := w.find("leader"); return err })
		if err != nil {
			w.watch.report("I9", "nobody leads: %v", err)
		}
		return nil
	case "no":
		if m, err := w.find("leader"); err == nil {
			w.watch.report("expect", "%s leads", m.Name)
		}
		return nil
	}
	m, err := w.find(words[0])
	if err != nil || len(words) < 2 {
		return errors.Join(err, errors.New("expect healthy, leader, no leader, or NODE and what"))
	}
	return w.expectOf(m, words[1:])
}

func (w *World) expectOf(m *machine, words []string) error {
	n := m.running()
	if n == nil {
		w.watch.report("expect", "%s is down", m.Name)
		return nil
	}
	switch words[0] {
	case "stale", "ready":
		if err := n.Ready(); (err == nil) != (words[0] == "ready") {
			w.watch.report("expect", "%s is not %s: %v", m.Name, words[0], err)
		}
		return nil
	case "listed", "clear":
		s := w.named[words[len(words)-1]]
		if s == nil {
			return fmt.Errorf("%s was never published", words[len(words)-1])
		}
		return w.expectAnswer(m, s, words[0] == "listed")
	}
	return fmt.Errorf("%s: expect stale, ready, listed or clear of a node", words[0])
}

func (w *World) expectAnswer(m *machine, s *subject, listed bool) error {
	c, err := w.dial("director", m.Institution, m)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), checkPatience)
	defer cancel()
	answer, err := ask(ctx, c, s.value, 0)
	switch {
	case err != nil:
		w.watch.report("expect", "%s does not answer: %v", m.Name, err)
	case answer.Listed != listed:
		w.watch.report("expect", "%s at size %d says that listed is %v", m.Name, answer.Size, answer.Listed)
	}
	return nil
}

func (w *World) result(r Run) *Result {
	out := &Result{Scenario: r.Scenario.Name, Seed: r.Seed, Simulated: w.now() - w.begun, Violations: w.watch.violations,
		Story: w.story.String(), Faults: w.faults, Goroutines: w.watch.goroutines, Size: w.history.largest,
		Subjects: w.subjects, Undecided: w.undecided}
	for _, op := range w.history.operations {
		switch {
		case op.kind == check && op.outcome == done:
			out.Checks++
		case op.kind != check && op.outcome == done:
			out.Commands++
		}
	}
	return out
}
