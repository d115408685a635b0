package consensus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// Config is what a replica needs beside its machine. Durations and counts that
// are zero take the default named beside them.
type Config struct {
	ID        string // of this server, for ever; never used again once removed
	Advertise string // host:port at which other servers reach Listener
	Dir       string // of the log; this replica alone writes it

	Listener net.Listener // authenticates callers; closed by Stop
	Dial     Dialer       // authenticates the called
	Gate     *Gate        // optional: cuts this server off

	Now    func() time.Time // the clock behind stamps; time.Now
	Logger *slog.Logger     // slog.Default

	// Admit, if set, judges a payload that another server sends, before it enters
	// the log. A voter that refuses a leader's entry does not count towards its
	// majority and asks for the entry again and again, so a refusal must be one
	// that time cures (a stamp too far ahead) or an alarm.
	Admit func(payload []byte) error

	Heartbeat     time.Duration // 1 s: a follower's patience with its leader
	Election      time.Duration // 1 s: a candidate's patience with its voters
	Lease         time.Duration // 500 ms: a leader's without a majority
	CommitTimeout time.Duration // 2 ms: how soon followers learn of a commit
	IOTimeout     time.Duration // 5 s: one message

	TrailingLogs      uint64        // 8192 entries kept for slow followers
	SnapshotThreshold uint64        // 8192 entries between two cuts of the log
	SnapshotInterval  time.Duration // 30 s between two looks at that

	store logStore // tests replace the log on disk
}

func (c Config) withDefaults() (Config, error) {
	switch {
	case c.ID == "":
		return c, errors.New("consensus: ID: is empty; give the server's id")
	case c.Advertise == "":
		return c, errors.New("consensus: Advertise: is empty; give the host:port at which other servers reach this one")
	case c.Listener == nil || c.Dial == nil:
		return c, errors.New("consensus: Listener and Dial: one is missing; give both")
	case c.Dir == "" && c.store == nil:
		return c, errors.New("consensus: Dir: is empty; give a directory for the log")
	}
	c.Heartbeat = or(c.Heartbeat, time.Second)
	c.Election = or(c.Election, time.Second)
	c.Lease = or(c.Lease, 500*time.Millisecond)
	c.CommitTimeout = or(c.CommitTimeout, 2*time.Millisecond)
	c.IOTimeout = or(c.IOTimeout, 5*time.Second)
	c.TrailingLogs = or(c.TrailingLogs, 8192)
	c.SnapshotThreshold = or(c.SnapshotThreshold, 8192)
	c.SnapshotInterval = or(c.SnapshotInterval, 30*time.Second)
	if c.Gate == nil {
		c.Gate = new(Gate)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c, nil
}

func or[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

// raftConfig leaves a removed leader running as a follower without a vote: raft's
// own shutdown would leave callers waiting for answers that never come.
func (c *Config) raftConfig(logger *bridge, notify chan<- bool) *raft.Config {
	rc := raft.DefaultConfig()
	rc.LocalID = raft.ServerID(c.ID)
	rc.HeartbeatTimeout = c.Heartbeat
	rc.ElectionTimeout = c.Election
	rc.LeaderLeaseTimeout = c.Lease
	rc.CommitTimeout = c.CommitTimeout
	rc.MaxAppendEntries = 32
	rc.BatchApplyCh = true
	rc.ShutdownOnRemove = false
	rc.TrailingLogs = c.TrailingLogs
	rc.SnapshotThreshold = c.SnapshotThreshold
	rc.SnapshotInterval = c.SnapshotInterval
	rc.NoSnapshotRestoreOnStart = true
	rc.NoLegacyTelemetry = true
	rc.NotifyCh = notify
	rc.Logger = logger
	return rc
}

// Replica is one running server of the network.
type Replica struct {
	cfg      Config
	raft     *raft.Raft
	store    logStore
	delivery *delivery
	trans    *transport
	peers    *peers
	lead     leadership
	stamps   *stamps

	slots chan struct{} // a proposal under way holds one
	reads chan chan error
	turn  chan struct{} // held by the one Reconcile at work

	// Raft forgets who waits in its queues when it shuts down, so Stop first closes
	// stopping and gives all flights time to land.
	stopping chan struct{}
	landing  sync.Mutex
	stopped  bool
	flights  sync.WaitGroup

	quit chan struct{} // ends the watch, after raft
	work sync.WaitGroup
	once sync.Once
	err  error
}

// Start opens the log, compares it with the machine's position and runs the
// server. A server with an empty log and an empty machine waits until it is added
// to a network, or until Bootstrap founds one.
func Start(cfg Config, machine Machine) (*Replica, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	logger := newBridge(cfg.Logger.With("room", "consensus"))
	store := cfg.store
	if store == nil {
		if store, err = openLog(cfg.Dir, logger); err != nil {
			return nil, err
		}
	}
	at := machine.Position()
	if err := reconcileLog(store, at); err != nil {
		return nil, errors.Join(fmt.Errorf("consensus: %w", err), store.Close())
	}
	r := &Replica{
		cfg:      cfg,
		store:    store,
		delivery: newDelivery(machine, at),
		peers:    newPeers(),
		lead:     leadership{changes: make(chan struct{}, 1)},
		stamps:   newStamps(cfg.Now, machine.LastAt),
		slots:    make(chan struct{}, maxInFlight),
		reads:    make(chan chan error),
		turn:     make(chan struct{}, 1),
		stopping: make(chan struct{}),
		quit:     make(chan struct{}),
	}
	r.trans = newTransport(&r.cfg, r.peers, logger)
	notify := make(chan bool, 16)
	r.raft, err = raft.NewRaft(cfg.raftConfig(logger, notify), r.delivery,
		guardedLog{store, r.delivery}, store, newImages(machine, r.stopping), r.trans)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("consensus: start raft: %w", err), r.trans.Close(), store.Close())
	}
	r.watch(notify)
	r.flights.Go(r.verifyReads)
	return r, nil
}

// Bootstrap founds a network of which this server is the only voter. Only one
// server may ever do so, once; a server that has a log or a state answers
// ErrNotEmpty.
func (r *Replica) Bootstrap() error {
	founder := raft.Server{
		Suffrage: raft.Voter,
		ID:       raft.ServerID(r.cfg.ID),
		Address:  raft.ServerAddress(r.cfg.Advertise),
	}
	err := r.raft.BootstrapCluster(raft.Configuration{Servers: []raft.Server{founder}}).Error()
	if errors.Is(err, raft.ErrCantBootstrap) {
		return ErrNotEmpty
	}
	if err != nil {
		return fmt.Errorf("bootstrap: %w", err)
	}
	return nil
}

// Failed delivers at most one error: the machine could not go on. The replica
// then applies nothing more and has to be stopped.
func (r *Replica) Failed() <-chan error { return r.delivery.failure }

// enter counts a caller that raft owes an answer; leave ends it.
func (r *Replica) enter() bool {
	r.landing.Lock()
	defer r.landing.Unlock()
	if r.stopped {
		return false
	}
	r.flights.Add(1)
	return true
}

func (r *Replica) leave() { r.flights.Done() }

// await runs one question to raft to its end, and the caller for as long as its
// context allows.
func (r *Replica) await(ctx context.Context, ask func() error) error {
	if !r.enter() {
		return ErrStopped
	}
	done := make(chan error, 1)
	go func() {
		defer r.leave()
		done <- ask()
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnknownOutcome, context.Cause(ctx))
	case <-r.quit:
		return errNeverAnswered
	}
}

// land waits for raft's answers: an entry commits, or its leader loses its lease.
// A leader whose followers beat but cannot write does neither; its entries get
// their answer from raft's shutdown, unless they wait in a queue before it.
func (r *Replica) land() {
	landed := make(chan struct{})
	go func() {
		r.flights.Wait()
		close(landed)
	}()
	select {
	case <-landed:
	case <-time.After(2 * r.cfg.Election):
	}
}

// errNeverAnswered ends the wait of those whom raft forgot.
var errNeverAnswered = fmt.Errorf("%w: the server stopped", ErrUnknownOutcome)

// Stop hands leadership over if there is somebody to take it, lets what is under
// way end, and closes raft, the listener and the log. It may be called again and
// gives the same answer. The machine is the caller's to close, afterwards.
func (r *Replica) Stop() error {
	r.once.Do(func() { r.err = r.stop() })
	return r.err
}

func (r *Replica) stop() error {
	r.landing.Lock()
	r.stopped = true
	r.landing.Unlock()
	close(r.stopping)

	if r.raft.State() == raft.Leader && len(r.otherVoters()) > 0 {
		if err := r.raft.LeadershipTransfer().Error(); err != nil {
			r.cfg.Logger.Warn("leadership was not handed over", "error", err)
		}
	}
	r.land()
	down := r.raft.Shutdown()
	err := r.trans.Close() // first, so that no goroutine of raft waits for a peer
	err = errors.Join(err, down.Error())
	close(r.quit)
	r.work.Wait()
	return errors.Join(err, r.store.Close())
}
