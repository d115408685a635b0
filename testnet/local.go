package testnet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/node"
)

// Local is a network whose nodes run inside this process, each with its own
// directory, ports and certificates. One goroutine uses it.
type Local struct {
	Plan *Plan
	Log  *slog.Logger

	environment func(node string) node.Environment
	running     map[string]*running
}

// running is one node that runs. It may live several lives; see node.Serve.
type running struct {
	life atomic.Pointer[node.Node]
	stop context.CancelFunc
	done chan error
}

// NewLocal writes a plan and starts its nodes; it returns when all are ready.
// The caller ends it with Stop, also after an error.
func NewLocal(ctx context.Context, o Options, log *slog.Logger) (*Local, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	plan, err := NewPlan(o)
	if err != nil {
		return nil, err
	}
	l := &Local{Plan: plan, Log: log, environment: o.Environment, running: map[string]*running{}}
	for _, n := range plan.Nodes {
		if err := l.Start(n.Name); err != nil {
			return l, err
		}
	}
	for _, n := range plan.Nodes {
		if err := l.AwaitReady(ctx, n.Name); err != nil {
			return l, err
		}
	}
	c, err := l.Client(hubName, "")
	if err != nil {
		return l, err
	}
	defer c.Close()
	return l, awaitVoters(ctx, c, o.Voters)
}

// awaitVoters waits until the network has as many voters as were planned: until
// then it does not survive its leader.
func awaitVoters(ctx context.Context, c *client.Client, want int) error {
	for {
		rows, err := c.Status(ctx)
		voters := 0
		for _, row := range rows {
			if row.Role == "leader" || row.Role == "voter" {
				voters++
			}
		}
		if err == nil && voters >= want {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d voters are in the network: %w", voters, want, context.Cause(ctx))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Start runs a node of the plan.
func (l *Local) Start(name string) error {
	planned, err := l.planned(name)
	if err != nil {
		return err
	}
	cfg, err := node.LoadConfig(planned.Config)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &running{stop: stop, done: make(chan error, 1)}
	opened := make(chan struct{}, 1)
	env := node.Environment{}
	if l.environment != nil {
		env = l.environment(name)
	}
	go func() {
		r.done <- node.Serve(ctx, cfg, env, l.Log.With("node", name), func(n *node.Node) {
			r.life.Store(n)
			select {
			case opened <- struct{}{}:
			default: // it was another life before
			}
		})
	}()
	select {
	case <-opened:
		l.running[name] = r
		return nil
	case err := <-r.done:
		stop()
		return fmt.Errorf("start %s: %w", name, err)
	}
}

func (l *Local) planned(name string) (*PlannedNode, error) {
	for i := range l.Plan.Nodes {
		if l.Plan.Nodes[i].Name == name {
			return &l.Plan.Nodes[i], nil
		}
	}
	return nil, fmt.Errorf("no node %q", name)
}

// AwaitReady waits until a node's view has caught up.
func (l *Local) AwaitReady(ctx context.Context, name string) error {
	r, ok := l.running[name]
	if !ok {
		return fmt.Errorf("%s is not running", name)
	}
	for {
		err := r.life.Load().Ready()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w", name, err)
		case ended := <-r.done:
			r.done <- ended
			return fmt.Errorf("%s ended: %w", name, ended)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Node gives a running node; nil if it does not run.
func (l *Local) Node(name string) *node.Node {
	if r, ok := l.running[name]; ok {
		return r.life.Load()
	}
	return nil
}

// Leader names the node that leads; empty if none does.
func (l *Local) Leader() string {
	for _, n := range l.Plan.Nodes {
		if r, ok := l.running[n.Name]; ok && r.life.Load().Leads() {
			return n.Name
		}
	}
	return ""
}

// Kill drops a node as a crash would: it says goodbye to nobody.
func (l *Local) Kill(name string) error {
	r, ok := l.running[name]
	if !ok {
		return fmt.Errorf("%s is not running", name)
	}
	delete(l.running, name)
	r.life.Load().Abandon()
	r.stop()
	<-r.done
	return nil
}

// Stop ends all nodes cleanly.
func (l *Local) Stop() error {
	var errs []error
	for _, r := range l.running {
		r.stop()
	}
	for name, r := range l.running {
		errs = append(errs, <-r.done)
		delete(l.running, name)
	}
	return errors.Join(errs...)
}

// Client speaks under one of the plan's profiles; endpoint may name a node to
// ask instead of the profile's own.
func (l *Local) Client(profile, nodeName string) (*client.Client, error) {
	p, err := client.LoadProfile(l.Plan.Profiles[profile])
	if err != nil {
		return nil, err
	}
	endpoint := ""
	if nodeName != "" {
		planned, err := l.planned(nodeName)
		if err != nil {
			return nil, err
		}
		endpoint = planned.API
	}
	return client.Dial(p, endpoint)
}
