package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
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
	health  *health.Server
	metrics *metrics

	store   *store.Store
	checker *check.Checker
	order   *consensus.Replica
	secrets []TokenKey
	keys    atomic.Pointer[keyState]

	founding []*risk.Signed
	founded  atomic.Bool // the founding commands are in, or none were given
	abandon  atomic.Bool

	fatal        chan error    // one place: why the node must stop
	clockSetBack atomic.Bool   // the next stamp may be lower than the last
	nodesChanged chan struct{} // one place: the node records are to be looked at

	listeners struct{ raft, api, http net.Listener }

	overridesMu sync.Mutex
	overrides   []savedOverride
}

// New opens a node: configuration, certificates, state, log and listeners. If it
// fails, nothing stays open.
func New(cfg Config, env Environment, log *slog.Logger) (*Node, error) {
	env = env.withDefaults()
	n := &Node{cfg: cfg, env: env, log: log, now: env.Now, health: newHealth(),
		nodesChanged: make(chan struct{}, 1), fatal: make(chan error, 1)}
	if err := n.open(); err != nil {
		return nil, errors.Join(err, n.close())
	}
	n.metrics = newMetrics(n)
	return n, nil
}

func (n *Node) open() (err error) {
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
	n.peers = newPeers(n.creds, n.gate.Dialer(n.env.Dial))
	if n.secrets, err = LoadTokenKeys(n.cfg.TokenKeys); err != nil {
		return err
	}
	if n.cfg.Founding != "" {
		if n.founding, err = loadFounding(n.cfg.Founding, n.network); err != nil {
			return err
		}
	}
	if err := n.openState(); err != nil {
		return err
	}
	if err := n.listen(); err != nil {
		return err
	}
	return n.startOrder()
}

func (n *Node) openState() error {
	advice, err := risk.ParseAdvice(n.cfg.Stale.Advice)
	if err != nil {
		return err
	}
	n.checker, err = check.New(check.Config{Now: n.now, MaxAge: n.cfg.Stale.MaxAge, StaleAdvice: advice,
		Alarm: func(err error) { n.log.Error("alarm", "error", err) }})
	if err != nil {
		return err
	}
	n.store, err = store.Open(filepath.Join(n.cfg.Data, "state"), store.Options{
		Network: n.network, Logger: n.log, OnCut: n.absorb, OnRestore: n.resetView})
	if err != nil {
		return fmt.Errorf("data: %w", err)
	}
	if err := n.resetView(); err != nil {
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
	} {
		listener, err := n.env.Listen(l.address)
		if err != nil {
			return fmt.Errorf("listen.%s: %w; name an address of this machine that nobody listens on", l.name, err)
		}
		*l.into = newLimitListener(listener, n.cfg.Limits.Connections)
	}
	return nil
}

// Run serves until the context ends or a part fails, and then closes the node:
// leadership is handed over, calls under way finish, the state is synced.
func (n *Node) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, n.close()) }()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return n.serveAPI(ctx) })
	group.Go(func() error { return n.serveHTTP(ctx) })
	group.Go(func() error { return n.serveFaults(ctx) })
	group.Go(func() error { return n.freshen(ctx) })
	group.Go(func() error { return n.watchHealth(ctx) })
	group.Go(func() error { return n.keepMembers(ctx) })
	group.Go(func() error { return n.foundNetwork(ctx) })
	group.Go(func() error { n.checker.Run(ctx); return nil })
	group.Go(func() error { return n.watchFailure(ctx) })
	n.log.Info("serving", "name", n.cfg.Name, "raft", n.cfg.Listen.Raft, "api", n.cfg.Listen.API, "http", n.cfg.Listen.HTTP)
	return group.Wait()
}

// watchFailure ends the node when its state machine cannot go on.
func (n *Node) watchFailure(ctx context.Context) error {
	select {
	case err := <-n.order.Failed():
		return fmt.Errorf("this node stops: %w", err)
	case err := <-n.fatal:
		return fmt.Errorf("this node stops: %w", err)
	case <-ctx.Done():
		return nil
	}
}

// end has the node stop; the first reason counts.
func (n *Node) end(err error) {
	select {
	case n.fatal <- err:
	default:
	}
}

func (n *Node) foundNetwork(ctx context.Context) error {
	if err := n.bringFounding(ctx, n.founding); err != nil {
		return err
	}
	n.founded.Store(ctx.Err() == nil)
	return nil
}

// close releases what is open, in the order in which it depends on each other.
func (n *Node) close() error {
	var errs []error
	if n.abandon.Load() {
		n.gate.Cut()
	}
	if n.order != nil {
		errs = append(errs, n.order.Stop())
	}
	for _, l := range []net.Listener{n.listeners.raft, n.listeners.api, n.listeners.http} {
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
		errs = append(errs, n.store.Close())
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

// LedgerFrom is the first leaf that this node holds itself: 0, unless it was
// brought up to date by an image.
func (n *Node) LedgerFrom() uint64 { return n.store.LedgerFrom() }

// Leads reports whether this node leads.
func (n *Node) Leads() bool { return n.order.Ready() }

// AwaitSize waits until this node's view has so many leaves.
func (n *Node) AwaitSize(ctx context.Context, size uint64) error {
	_, err := n.checker.Wait(ctx, size)
	return err
}
