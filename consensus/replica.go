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

	// Peer, if set, tells who is at the other end of a connection, incoming or dialled;
	// a connection for which it fails is closed. Nobody may speak as a server that is
	// not its own.
	Peer func(ctx context.Context, conn net.Conn) (Peer, error)

	// Vouch, if set, asks the others whether a server leads in a term. It is asked
	// about a leader for which this server did not vote; until it confirms, such a
	// leader's entries and images are refused, and nobody but the leader of a term is
	// one. It may take a while, and ends with its context.
	Vouch func(ctx context.Context, server string, term uint64) bool

	Now    func() time.Time // the clock behind stamps; time.Now
	Logger *slog.Logger     // slog.Default

	// Admit, if set, judges a payload that another server sends, before it enters
	// the log. A voter that refuses a leader's entry does not count towards its
	// majority and asks for the entry again and again, so a refusal must be one
	// that time cures (a stamp too far ahead) or an alarm.
	//
	// Proposer is the server that leads in the term of the entry, so that it has
	// proposed it itself; empty if the entry is of an earlier term.
	Admit func(proposer string, payload []byte) error

	// Permit, if set, judges a step of the configuration before it enters the log,
	// here or on the leader. It must depend on nothing but its arguments and the state
	// of the machine after the pending entries, which are behind the state or in it.
	Permit func(before, after []Server, pending []Entry) error

	// OnTerm, if set, is called before a higher term, or a vote in one, is stored,
	// and must have made the term durable elsewhere when it returns nil. After an
	// error nothing is stored: this server votes for nobody, or stops (see Failed).
	OnTerm func(term uint64) error

	// Hold, if set, says why this server takes nothing new for now: no proposals,
	// no entries and no images. Heartbeats and votes go on, and a leader hands
	// over. It is asked often, from many goroutines, and must be quick.
	Hold func() error

	// Room, if set, says why an image of so many bytes has no place here. It is asked
	// before the first byte of one is taken: an image that breaks off later counts as
	// one that led nowhere.
	Room func(bytes uint64) error

	// OnMisdirected, if set, hears of each connection that is meant for another server:
	// its id. It must not wait.
	OnMisdirected func(id string)

	// OnDropped, if set, gets the payload of each command that was in this server's
	// log and is taken out of it, because the leader of a later term did not have it.
	// Who answers for it may propose it again. It must not wait.
	OnDropped func(payload []byte)

	// StallAfter is how long one write to the log may take before this server cuts
	// its connections, until the write returns: a leader that hangs in it would
	// keep the others waiting with its heartbeats. After StallLimit it is Failed.
	StallAfter time.Duration // 2 s
	StallLimit time.Duration // 30 s

	Heartbeat     time.Duration // 1 s: a follower's patience with its leader
	Election      time.Duration // 1 s: a candidate's patience with its voters
	Lease         time.Duration // 500 ms: a leader's without a majority
	CommitTimeout time.Duration // 2 ms: how soon followers learn of a commit
	IOTimeout     time.Duration // 5 s: one message

	// TrailingLogs and TrailingBytes are what the log keeps, for slow followers, of what
	// is in the machine: as many entries (8192), and not many more bytes (128 MiB) unless
	// a follower is known to be late; where this server does not lead, four times as many.
	// At least 512 of the entries stay.
	TrailingLogs      uint64
	TrailingBytes     uint64
	SnapshotThreshold uint64        // 8192 entries between two cuts of the log
	SnapshotInterval  time.Duration // 30 s between two looks at that

	store logStore // tests replace the log on disk
}

func (c Config) withDefaults() (Config, error) {
	switch {
	case c.ID == "":
		return c, errors.New("consensus: ID: is empty; give the server's id")
	case len(c.ID) > maxID:
		return c, fmt.Errorf("consensus: ID: is %d bytes long; the limit is %d", len(c.ID), maxID)
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
	c.TrailingBytes = or(c.TrailingBytes, 128<<20)
	c.SnapshotThreshold = or(c.SnapshotThreshold, 8192)
	c.SnapshotInterval = or(c.SnapshotInterval, 30*time.Second)
	c.StallAfter = or(c.StallAfter, 2*time.Second)
	c.StallLimit = or(c.StallLimit, 30*time.Second)
	if c.Gate == nil {
		c.Gate = new(Gate)
	}
	if c.Room == nil {
		c.Room = func(uint64) error { return nil }
	}
	if c.Peer == nil {
		c.Peer = func(context.Context, net.Conn) (Peer, error) { return anybody{}, nil }
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
	rc.MaxAppendEntries = maxAppendEntries
	rc.BatchApplyCh = true
	rc.ShutdownOnRemove = false
	rc.TrailingLogs = min(c.TrailingLogs, minTrailing) // see trail for what stays beyond them
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
	disk     *disk
	terms    *terms
	delivery *delivery
	trans    *transport
	peers    *peers
	lead     leadership
	stamps   *stamps
	fate     *fate
	trail    *trail

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
// server. What the log has from that position on was read before; the rest is read
// beside what the server does, and damage in it is a failure (see Failed). A server with
// an empty log and an empty machine waits until it is added to a network, or until
// Bootstrap founds one.
func Start(cfg Config, machine Machine) (*Replica, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	logger := newBridge(cfg.Logger.With("room", "consensus"))
	at := machine.Position()
	store := cfg.store
	if store == nil {
		if store, err = openLogUpTo(cfg.Dir, logger, verifyBehind(max(at.Index, 1)-1)); err != nil {
			return nil, err
		}
	}
	if err := reconcileLog(store, at); err != nil {
		return nil, errors.Join(fmt.Errorf("consensus: %w", err), store.Close())
	}
	term, err := storedTerm(store)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("consensus: read the term: %w", err), store.Close())
	}
	r := &Replica{
		cfg:      cfg,
		delivery: newDelivery(machine, at),
		peers:    newPeers(),
		lead:     leadership{changes: make(chan struct{}, 1), moved: make(chan struct{})},
		stamps:   newStamps(cfg.Now, machine.LastAt),
		fate:     newFate(cfg.OnDropped),
		slots:    make(chan struct{}, maxInFlight),
		reads:    make(chan chan error),
		turn:     make(chan struct{}, 1),
		stopping: make(chan struct{}),
		quit:     make(chan struct{}),
	}
	r.disk = newDisk(store, &r.cfg, r.delivery.fail, logger)
	r.terms = &terms{StableStore: r.disk, onTerm: cfg.OnTerm, fail: r.delivery.fail, told: term}
	r.terms.known.Store(term)
	r.trans = newTransport(r, logger)
	r.trail = newTrail(&r.cfg, r.late)
	r.delivery.committed = r.trans.hints.committed
	if last, err := store.LastIndex(); at.Index > 0 || last > 0 || err != nil {
		// Until raft runs: this server knows a network.
		unknown := func() []Server { return make([]Server, 1) }
		r.trans.servers.Store(&unknown)
	}
	notify := make(chan bool, 16)
	if err := r.startRaft(machine, logger, notify); err != nil {
		return nil, errors.Join(err, r.trans.Close(), store.Close())
	}
	r.watch(notify)
	r.work.Go(r.yield)
	r.work.Go(func() { r.verifyOld(at.Index) })
	r.work.Go(r.cutLong)
	r.flights.Go(r.verifyReads)
	return r, nil
}

// startRaft turns the panics with which raft meets its disk into errors.
func (r *Replica) startRaft(machine Machine, logger *bridge, notify chan<- bool) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
			if failed := r.delivery.broken.Load(); failed != nil {
				err = *failed
			}
		}
		if err != nil {
			err = fmt.Errorf("consensus: start raft: %w", err)
		}
	}()
	r.raft, err = raft.NewRaft(r.cfg.raftConfig(logger, notify), r.delivery, guardedLog{r.disk, r.delivery, r.trail, r.fate},
		r.terms, newImages(machine, &r.delivery.counts, r.trail.kept, r.leadsIn, r.stopping), r.trans)
	if err == nil {
		servers := r.Servers
		r.trans.servers.Store(&servers)
		r.trans.replica.Store(r)
	}
	return err
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
	// An error in the middle of founding would leave raft without a goroutine.
	if last, _ := r.disk.LastIndex(); last == 0 && r.raft.CurrentTerm() == 0 {
		if err := r.terms.tell(1); err != nil {
			return fmt.Errorf("bootstrap: %w", err)
		}
	}
	err := r.await(context.Background(), func() error {
		return r.raft.BootstrapCluster(raft.Configuration{Servers: []raft.Server{founder}}).Error()
	})
	if errors.Is(err, raft.ErrCantBootstrap) {
		return ErrNotEmpty
	}
	if err != nil {
		return fmt.Errorf("bootstrap: %w", err)
	}
	return nil
}

// Failed delivers at most one error: the machine or the disk could not go on, a
// term could not be anchored, the log is damaged (ErrDamaged), or images come in
// vain (ErrRestart). The replica then applies nothing more and has to be stopped.
func (r *Replica) Failed() <-chan error { return r.delivery.failure }
