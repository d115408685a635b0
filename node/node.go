package node

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

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/health"

	"github.com/risknet/risknet/check"
	"github.com/risknet/risknet/consensus"
	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/store"
)

// Node is one running node.
type Node struct {
	cfg     Config
	id      risk.ID
	network risk.Hash
	log     *slog.Logger
	env     Environment
	now     func() time.Time
	creds   *Credentials
	gate    consensus.Gate
	peers   *peers
	roster  atomic.Pointer[roster]
	health  *health.Server
	metrics *metrics

	lock   *os.File
	life   incarnation
	anchor *anchor
	disk   *disk

	store       *store.Store
	checker     *check.Checker
	checkpoints checkpoints
	order       *consensus.Replica
	look        *lookback // nil if this node keeps no journal
	secrets     []TokenKey
	keys        atomic.Pointer[keyState]
	keyless     atomic.Pointer[error] // the key of an epoch in use is not here
	unenforced  atomic.Bool           // the institution of this node is not live
	purposes    atomic.Uint32         // what it was given the shared data for; 0 while it is not live

	founding []*risk.Signed
	founded  atomic.Bool           // the founding commands are in, or none were given
	waits    atomic.Pointer[error] // why there is nothing here yet
	abandon  atomic.Bool

	learned learned
	callings
	backingUp    sync.Mutex    // one backup at a time
	verifying    sync.Mutex    // one verification that was asked for
	fatal        chan error    // one place: why the node must stop
	damage       chan struct{} // one place: a check has met what looks like damage
	clockSetBack atomic.Bool   // the next stamp may be lower than the last
	ordering     chan struct{} // closed when order is there
	closing      chan struct{} // closed when calls under way are to end
	owing        chan struct{} // something is owed; see owed.go
	nodesChanged chan struct{} // one place: the node records are to be looked at

	listeners struct{ raft, api, http, redis net.Listener }

	chunkSource int // the node that gave the last chunk; backfill's own

	overridesMu sync.Mutex
	overrides   []savedOverride
}

// New opens a node: configuration, certificates, state, log and listeners. If it
// fails, nothing stays open.
//
// A node whose data is in doubt waits here, until the others can rebuild it or
// the context ends, and then has to be opened once more: see Serve.
func New(ctx context.Context, cfg Config, env Environment, log *slog.Logger) (*Node, error) {
	env = env.withDefaults()
	n := &Node{cfg: cfg, env: env, log: log, now: env.Now, health: newHealth(),
		closing: make(chan struct{}), ordering: make(chan struct{}), nodesChanged: make(chan struct{}, 1), owing: make(chan struct{}, 1), fatal: make(chan error, 1), damage: make(chan struct{}, 1)}
	n.checkpoints.wanted = make(chan struct{}, 1)
	err := n.open(ctx)
	if err == nil {
		n.metrics = newMetrics(n)
		return n, nil
	}
	err = errors.Join(err, n.close())
	if d, ok := asDoubt(err); ok {
		if err = n.resolve(ctx, d); err == nil {
			err = errAnotherLife
		}
		n.peers.closeAll()
	}
	return nil, err
}

func (n *Node) open(ctx context.Context) (err error) {
	if n.id, err = risk.ParseID(n.cfg.ID); err != nil {
		return err
	}
	if n.network, err = risk.ParseHash(n.cfg.Network); err != nil {
		return err
	}
	if n.creds, err = LoadCredentials(n.cfg.TLS.CA, n.cfg.TLS.Certificate, n.cfg.TLS.Key); err != nil {
		return err
	}
	if n.creds.Identity.Role != RoleNode {
		return fmt.Errorf("tls.certificate: is of role %q; a node needs one of role node", n.creds.Identity.Role)
	}
	if n.creds.Identity.Name != n.cfg.Name {
		return fmt.Errorf("tls.certificate: is of node %q, and this one is %q; name its own certificate", n.creds.Identity.Name, n.cfg.Name)
	}
	n.creds.lines.each = n.cfg.Limits.ConnectionsEach
	n.peers = newPeers(n.creds, n.gate.Dialer(n.env.Dial))
	if n.secrets, err = LoadTokenKeys(n.cfg.TokenKeys); err != nil {
		return err
	}
	if n.checkpoints.key, err = LoadSigningKey(n.cfg.LogKey); err != nil {
		return fmt.Errorf("log_key: %w", err)
	}
	if n.cfg.Founding != "" {
		if n.founding, err = loadFounding(n.cfg.Founding, n.network); err != nil {
			return err
		}
	}
	if n.lock, err = lockData(n.cfg.Data); err != nil {
		return err
	}
	if err := sweep(&n.cfg); err != nil { // before the disk is looked at
		return err
	}
	if n.disk, err = openDisk(&n.cfg, n.env.Free); err != nil {
		return err
	}
	if err := n.openPast(); err != nil {
		return err
	}
	if err := n.openState(); err != nil {
		return n.orDoubt(err)
	}
	held, err := n.dataReach()
	if err != nil {
		return n.orDoubt(err)
	}
	if err := n.holdPast(ctx, held); err != nil {
		return err
	}
	if err := n.listen(); err != nil {
		return err
	}
	return n.orDoubt(n.startOrder())
}

// orDoubt makes damage a doubt: the others can cure it.
func (n *Node) orDoubt(err error) error {
	if errors.Is(err, store.ErrDamaged) || errors.Is(err, consensus.ErrDamaged) {
		return &doubt{reason: err.Error(), need: n.anchor.load().Size}
	}
	return err
}

// dynamics makes room for what the node will see itself.
func (n *Node) dynamics() *check.Dynamics {
	if n.cfg.Dynamics.Subjects == 0 {
		return nil
	}
	return check.NewDynamics(n.cfg.Dynamics.Subjects)
}

func (n *Node) openState() error {
	advice, err := risk.ParseAdvice(n.cfg.Stale.Advice)
	if err != nil {
		return err
	}
	n.checker, err = check.New(check.Config{Self: n.reporter(), Now: n.now, MaxAge: n.cfg.Stale.MaxAge, StaleAdvice: advice,
		Dynamics: n.dynamics(), Members: n.redisMembers(), Alarm: n.alarm})
	if err != nil {
		return err
	}
	if err := n.openJournal(); err != nil {
		return err
	}
	n.store, err = store.Open(filepath.Join(n.cfg.Data, "state"), store.Options{
		Network: n.network, Logger: n.log, OnCut: n.absorb, Lacks: n.lacks, OnRestore: n.restored, Room: n.disk.roomFor})
	if err != nil {
		return fmt.Errorf("data: %w", err)
	}
	if err := n.restored(); err != nil {
		return err
	}
	return n.loadOverrides()
}

func (n *Node) listen() error {
	for _, l := range []struct {
		name, address string
		into          *net.Listener
	}{
		{"raft", n.cfg.Listen.Raft, &n.listeners.raft},
		{"api", n.cfg.Listen.API, &n.listeners.api},
		{"http", n.cfg.Listen.HTTP, &n.listeners.http},
		{"redis", n.cfg.Listen.Redis, &n.listeners.redis},
	} {
		if l.address == "" {
			continue // the configuration was checked: this one need not be open
		}
		listener, err := n.env.Listen(l.address)
		if err != nil {
			return fmt.Errorf("listen.%s: %w; name an address of this machine that nobody listens on", l.name, err)
		}
		*l.into = newLimitListener(listener, &n.creds.lines, n.cfg.Limits.Connections)
	}
	return nil
}

// Run serves until the context ends or a part fails, and then closes the node:
// leadership is handed over, calls under way finish, the state is synced.
func (n *Node) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, n.lastNotes(), n.close()) }()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return n.serveAPI(ctx) })
	group.Go(func() error { return n.serveHTTP(ctx) })
	group.Go(func() error { return n.serveRedis(ctx) })
	group.Go(func() error { return n.serveFaults(ctx) })
	group.Go(func() error { return n.keepCertificate(ctx) })
	group.Go(func() error { return n.freshen(ctx) })
	group.Go(func() error { return n.watchHealth(ctx) })
	group.Go(func() error { return n.keepMembers(ctx) })
	group.Go(func() error { return n.foundNetwork(ctx) })
	group.Go(func() error { n.checker.Run(ctx); return nil })
	group.Go(func() error { n.checker.Warm(ctx); return nil })
	group.Go(func() error { return n.watchFailure(ctx) })
	group.Go(func() error { return n.watchStart(ctx) })
	group.Go(func() error { return n.watchDamage(ctx) })
	group.Go(func() error { return n.watchDisk(ctx) })
	group.Go(func() error { return n.keepAnchor(ctx) })
	group.Go(func() error { return n.keepCheckpoint(ctx) })
	group.Go(func() error { return n.keepPromises(ctx) })
	group.Go(func() error { return n.backfill(ctx) })
	group.Go(func() error { return n.keepJournal(ctx) })
	group.Go(func() error { return n.lookBack(ctx) })
	n.log.Info("serving", "name", n.cfg.Name, "raft", n.cfg.Listen.Raft, "api", n.cfg.Listen.API, "http", n.cfg.Listen.HTTP)
	return group.Wait()
}

// end has the node stop; the first reason counts.
func (n *Node) end(err error) {
	select {
	case n.fatal <- err:
	default:
	}
}

func (n *Node) foundNetwork(ctx context.Context) error {
	if err := n.bootstrap(ctx); err != nil {
		return err
	}
	if err := n.bringFounding(ctx, n.founding); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return nil
	}
	// If we crash here, this node was never ready, and the next start notes it.
	n.noteFounded()
	n.founded.Store(true)
	return n.mayFound(false)
}

// close releases what is open, in the order in which it depends on each other.
func (n *Node) close() error {
	var errs []error
	if n.abandon.Load() {
		n.gate.Cut()
	}
	if n.order != nil {
		err := n.order.Stop()
		if errs = append(errs, err); errors.Is(err, consensus.ErrDisk) {
			return errors.Join(errs...) // it still writes; the process has to end
		}
	}
	for _, l := range []net.Listener{n.listeners.raft, n.listeners.api, n.listeners.http, n.listeners.redis} {
		if l != nil {
			if err := l.Close(); !errors.Is(err, net.ErrClosed) {
				errs = append(errs, err)
			}
		}
	}
	if n.peers != nil {
		n.peers.closeAll()
	}
	if n.store != nil {
		if n.order != nil && !n.abandon.Load() {
			errs = append(errs, n.saveAnchor())
		}
		errs = append(errs, n.store.Close())
	}
	errs = append(errs, n.look.close())
	if n.lock != nil {
		errs = append(errs, n.lock.Close())
	}
	return errors.Join(errs...)
}

// Abandon makes the end of Run as rude as a crash: the others hear nothing more.
func (n *Node) Abandon() {
	n.abandon.Store(true)
	n.gate.Cut()
}

// Ready says whether this node may be asked, and if not, why.
func (n *Node) Ready() error { return n.ready() }

// Head is the newest state that this node answers from.
func (n *Node) Head() risk.Head { return n.checker.Load().Head }

// AwaitLedger waits until this node holds the ledger whole: one that was brought
// up to date by an image fetches what was before it.
func (n *Node) AwaitLedger(ctx context.Context) error {
	for n.store.LedgerFrom() > 0 {
		if !pause(ctx, 20*time.Millisecond) {
			return fmt.Errorf("the ledger is here from leaf %d: %w", n.store.LedgerFrom(), context.Cause(ctx))
		}
	}
	return nil
}

// Leaf gives a leaf of the ledger, as it is encoded.
func (n *Node) Leaf(index uint64) ([]byte, error) { return n.store.Leaf(index) }

// ImagesReceived counts the images that brought this node up to date since it
// started.
func (n *Node) ImagesReceived() uint64 { return n.order.Stats().ImagesReceived }

// Log is what raft's log holds here: its first entry and its last.
func (n *Node) Log() (first, last uint64) {
	stats := n.order.Stats()
	return stats.First, stats.Last
}

// Leads reports whether this node leads.
func (n *Node) Leads() bool { return n.order.Ready() }

// AwaitSize waits until this node's view has so many leaves.
func (n *Node) AwaitSize(ctx context.Context, size uint64) error {
	_, err := n.checker.Wait(ctx, size)
	return err
}

// Server is the id under which this node takes part in raft.
func (n *Node) Server() string { return n.life.server() }
