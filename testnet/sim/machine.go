package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/risknet/risknet/node"
	"github.com/risknet/risknet/testnet"
)

// machine is what a node runs on: a clock, a disk, power and a cable.
type machine struct {
	testnet.PlannedNode
	net *Switch
	log *slog.Logger

	clock  clock
	state  string // the directory that may lose what was not synced
	copies string // the directory for copies

	disk    sync.Mutex // held while the state is copied
	started int        // lives so far
	life    *life      // nil while it is down
	ending  *life      // the last one, until its goroutines are gone
}

// life is one time from start to crash.
type life struct {
	number int
	node   atomic.Pointer[node.Node]
	opens  atomic.Int32 // how often the node began again
	dead   atomic.Bool
	stop   context.CancelFunc
	done   chan struct{}
	err    error // once done is closed
}

// clock is a machine's own: it may be off, and it may stand still.
type clock struct {
	mu     sync.Mutex
	offset time.Duration
	frozen time.Time // zero while it runs
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.frozen.IsZero() {
		return c.frozen.Add(c.offset)
	}
	return time.Now().Add(c.offset)
}

// set puts the clock off by so much and says how far it went back.
func (c *clock) set(offset time.Duration) (back time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	back = max(0, c.offset-offset)
	c.offset = offset
	return back
}

func (c *clock) freeze(still bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frozen = time.Time{}
	if still {
		c.frozen = time.Now()
	}
}

// start runs the node; it returns once the node is open or cannot be.
func (m *machine) start() error {
	cfg, err := node.LoadConfig(m.Config)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	m.started++
	l := &life{number: m.started, stop: stop, done: make(chan struct{})}
	opened := make(chan struct{}, 1)
	go func() {
		defer close(l.done)
		l.err = node.Serve(ctx, cfg, m.environment(l), m.log, func(n *node.Node) {
			l.node.Store(n)
			if l.opens.Add(1) > 1 {
				m.forget() // the data directory is another
			}
			select {
			case opened <- struct{}{}:
			default:
			}
		})
	}()
	select {
	case <-opened:
		m.life = l
		return nil
	case <-l.done:
		stop()
		return fmt.Errorf("start %s: %w", m.Name, l.err)
	}
}

var errDead = errors.New("this machine is down")

func (m *machine) environment(l *life) node.Environment {
	return node.Environment{
		Now: m.clock.now,
		Listen: func(address string) (net.Listener, error) {
			if l.dead.Load() {
				return nil, errDead
			}
			return m.net.Listen(m.Name, address)
		},
		Dial: func(ctx context.Context, address string) (net.Conn, error) {
			if l.dead.Load() {
				return nil, errDead
			}
			return m.net.Dial(ctx, m.Name, address)
		},
		Synced: func() { m.synced(l) },
	}
}

// synced keeps a copy of what is on disk for certain.
func (m *machine) synced(l *life) {
	m.disk.Lock()
	defer m.disk.Unlock()
	if l.dead.Load() {
		return
	}
	next := filepath.Join(m.copies, "next")
	if err := copyState(m.state, next); err != nil {
		panic(fmt.Sprintf("copy the state of %s: %v", m.Name, err))
	}
	if err := errors.Join(os.RemoveAll(m.syncedDir()), os.Rename(next, m.syncedDir())); err != nil {
		panic(fmt.Sprintf("keep a copy of the state of %s: %v", m.Name, err))
	}
}

func (m *machine) syncedDir() string { return filepath.Join(m.copies, "synced") }
func (m *machine) crashDir() string  { return filepath.Join(m.copies, "crash") }

func (m *machine) forget() {
	m.disk.Lock()
	defer m.disk.Unlock()
	_ = os.RemoveAll(m.syncedDir())
}

// crash ends a life at this instant, with the disk as it stands. Power says that
// the machine goes with it: its peers hear nothing, and what was not synced is
// lost. The caller has made sure that every goroutine waits.
func (m *machine) crash(power bool) error {
	l := m.life
	m.life, m.ending = nil, l
	m.disk.Lock()
	l.dead.Store(true)
	err := errors.Join(os.RemoveAll(m.crashDir()), copyTree(m.Dir, m.crashDir()))
	if power {
		m.net.Dark(m.Name, true)
		name, bad := filepath.Rel(m.Dir, m.state)
		err = errors.Join(err, bad, replaceTree(filepath.Join(m.crashDir(), name), m.syncedDir()))
	}
	m.disk.Unlock()
	m.net.Refuse(m.Name)
	if !power {
		m.net.Reset(m.Name)
	}
	l.node.Load().Abandon()
	l.stop()
	return err
}

// restart starts the node again from what its crash left.
func (m *machine) restart() error {
	if l := m.ending; l != nil {
		<-l.done // its goroutines still use the directory; nobody hears them
		m.ending = nil
		if err := replaceTree(m.Dir, m.crashDir()); err != nil {
			return err
		}
	}
	m.clock.freeze(false)
	m.net.Reset(m.Name)
	m.net.Dark(m.Name, false)
	return m.start()
}

// end stops the node cleanly, or waits for the rest of a crashed one.
func (m *machine) end() error {
	l := m.life
	if l == nil {
		l = m.ending
	}
	if l == nil {
		return nil
	}
	m.life, m.ending = nil, nil
	l.stop()
	<-l.done
	if l.dead.Load() {
		return nil
	}
	return l.err
}

// running gives the node; nil while it is down.
func (m *machine) running() *node.Node {
	if m.life == nil {
		return nil
	}
	return m.life.node.Load()
}

// halt stops the node as an operator does; everything is on disk then.
func (m *machine) halt() error {
	l := m.life
	m.life = nil
	l.stop()
	<-l.done
	m.synced(l)
	return l.err
}

// ended gives why the node stopped by itself; it is down from then on.
func (m *machine) ended() error {
	if m.life == nil {
		return nil
	}
	select {
	case <-m.life.done:
		l := m.life
		m.life = nil
		m.net.Reset(m.Name)
		return fmt.Errorf("its end: %w", l.err)
	default:
		return nil
	}
}
