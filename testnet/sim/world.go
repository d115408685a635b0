package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/node"
	"github.com/risknet/risknet/testnet"
)

// World is a network of whole nodes on fake time. It lives in one bubble of
// testing/synctest, and one goroutine directs it.
type World struct {
	Plan   *testnet.Plan
	Switch *Switch

	log      *slog.Logger
	random   *rand.Rand
	begin    time.Time
	dir      string
	machines []*machine
	it       *machine // the one that a fault met last
	watch    *watch
	history  *history
	story    story

	director *writer // carries the scenario's own commands
	named    map[string]*subject

	progress  *atomic.Int64
	begun     time.Duration // when the network was well
	faults    map[string]int
	subjects  int // that porcupine looked at
	undecided int // for which it had not enough time
}

// settings are what a world is made with.
type settings struct {
	seed   uint64
	dir    string
	nodes  int
	voters int
	log    *slog.Logger
	tune   func(*node.Config)
}

// newWorld plans a network and starts its nodes. The caller ends it with stop,
// also after an error.
func newWorld(s settings) (*World, error) {
	w := &World{Switch: NewSwitch(s.seed), log: s.log, random: rand.New(rand.NewPCG(s.seed, 2)),
		begin: time.Now(), dir: s.dir}
	w.watch, w.history, w.named = newWatch(w), newHistory(w.begin), map[string]*subject{}
	w.faults, w.progress = map[string]int{}, new(atomic.Int64)
	plan, err := testnet.NewPlan(testnet.Options{Dir: filepath.Join(s.dir, "net"), Nodes: s.nodes, Voters: s.voters,
		Now: w.begin, Tune: func(c *node.Config) {
			c.FaultControl = "" // a socket of the machine stops the fake clock
			c.Raft.CommitTimeout = 100 * time.Millisecond
			c.Raft.SnapshotThreshold, c.Raft.TrailingLogs = 64, 64
			c.Raft.SnapshotInterval = 20 * time.Second
			if s.tune != nil {
				s.tune(c)
			}
		}})
	if err != nil {
		return w, err
	}
	w.Plan = plan
	for i := range plan.Nodes {
		n := plan.Nodes[i]
		m := &machine{PlannedNode: n, net: w.Switch, log: s.log.With("node", n.Name),
			state: filepath.Join(n.Dir, "data", "state"), copies: filepath.Join(s.dir, "copies", n.Name)}
		if err := os.MkdirAll(m.copies, 0o700); err != nil {
			return w, err
		}
		w.machines = append(w.machines, m)
		if err := m.start(); err != nil {
			return w, err
		}
	}
	return w, nil
}

// now is how long the world has lived.
func (w *World) now() time.Duration { return time.Since(w.begin) }

// stop ends every node, at once.
func (w *World) stop() error {
	w.Switch.Heal()
	var errs []error
	for _, m := range w.machines {
		m.clock.freeze(false)
		w.Switch.Reset(m.Name)
		w.Switch.Dark(m.Name, false)
		if m.life != nil {
			m.life.stop()
		}
	}
	for _, m := range w.machines {
		if err := m.end(); err != nil {
			errs = append(errs, fmt.Errorf("%s ended: %w", m.Name, err))
		}
	}
	return errors.Join(errs...)
}

// find gives a machine by its name, or by its part at this moment: leader,
// follower (the first voter that runs and does not lead), down, or it (the one
// that a fault met last).
func (w *World) find(name string) (*machine, error) {
	part := func(m *machine) bool { return m.Name == name }
	switch name {
	case "it":
		if w.it == nil {
			return nil, errors.New("it: no fault has met a node before")
		}
		return w.it, nil
	case "leader":
		part = func(m *machine) bool { return m.running() != nil && m.running().Leads() }
	case "follower":
		part = func(m *machine) bool { return m.running() != nil && m.Voter && !m.running().Leads() }
	case "down":
		part = func(m *machine) bool { return m.life == nil }
	}
	i := slices.IndexFunc(w.machines, part)
	if i < 0 {
		return nil, fmt.Errorf("%s: there is none", name)
	}
	return w.machines[i], nil
}

// still waits until no goroutine of the world can go on without the clock, and
// returns before it moves.
func (w *World) still() { synctest.Wait() }

// pass lets time go by, and looks at every node once a second.
func (w *World) pass(until time.Duration) {
	for w.now() < until {
		time.Sleep(min(time.Second, until-w.now()))
		w.still()
		w.watch.look()
		w.progress.Store(int64(w.now()))
	}
}

// healthy reports what keeps the network from being well: every node runs and is
// ready, one leads, and all have the same head.
func (w *World) healthy() error {
	var missing []string
	leaders := 0
	var sizes []uint64
	for _, m := range w.machines {
		n := m.running()
		if n == nil {
			missing = append(missing, m.Name+" is down")
			continue
		}
		if err := n.Ready(); err != nil {
			missing = append(missing, m.Name+" is "+err.Error())
		}
		if n.Leads() {
			leaders++
		}
		sizes = append(sizes, n.Head().Size)
	}
	if leaders != 1 {
		missing = append(missing, fmt.Sprintf("%d nodes lead", leaders))
	}
	if len(sizes) > 0 && slices.Min(sizes)+20 < slices.Max(sizes) {
		missing = append(missing, fmt.Sprintf("sizes are %v", sizes))
	}
	if missing != nil {
		return errors.New(strings.Join(missing, "; "))
	}
	return nil
}

// dial gives a client on a host of its own that speaks for an institution. With
// a node it asks that one alone.
func (w *World) dial(host, institution string, at *machine) (*client.Client, error) {
	profile, err := client.LoadProfile(w.Plan.Profiles[institution])
	if err != nil {
		return nil, err
	}
	endpoint := ""
	if at != nil {
		endpoint = at.API
	}
	return client.DialVia(func(ctx context.Context, address string) (net.Conn, error) {
		return w.Switch.Dial(ctx, host, address)
	}, profile, endpoint)
}
