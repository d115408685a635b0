package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/risknet/risknet/check"
	"github.com/risknet/risknet/consensus"
	"github.com/risknet/risknet/store"
)

// errAnotherLife ends a node that has to begin again from its directories: what
// it ran on was old, damaged or in nobody's reach, and has been put aside.
var errAnotherLife = errors.New("the node begins again")

// Serve opens a node and runs it until the context ends or it fails, and opens
// it again where that is the cure. Opened, if not nil, hears of each life once it
// is open and before it runs.
func Serve(ctx context.Context, cfg Config, env Environment, log *slog.Logger, opened func(*Node)) error {
	for {
		n, err := New(ctx, cfg, env, log)
		if err == nil {
			if opened != nil {
				opened(n)
			}
			err = n.Run(ctx)
		}
		if !errors.Is(err, errAnotherLife) || errors.Is(err, consensus.ErrDisk) || ctx.Err() != nil {
			log.Info("stopped", "asked to", ctx.Err() != nil)
			return err
		}
		log.Warn("beginning again", "because", err)
	}
}

// watchFailure ends the node when a part cannot go on, and says what follows.
func (n *Node) watchFailure(ctx context.Context) error {
	select {
	case err := <-n.order.Failed():
		return n.failed(err)
	case err := <-n.fatal:
		return n.failed(err)
	case <-ctx.Done():
		return nil
	}
}

// watchStart ends the node if what it began with turns out to be damaged. Until that
// is known nothing is applied, and checks are answered from what was looked at first.
func (n *Node) watchStart(ctx context.Context) error {
	err := n.store.Sound(ctx)
	if err == nil || ctx.Err() != nil {
		return nil
	}
	return n.failed(err)
}

func (n *Node) failed(err error) error {
	switch {
	case errors.Is(err, store.ErrDamaged) || errors.Is(err, consensus.ErrDamaged):
		n.cast(err)
		return fmt.Errorf("%w: %w", errAnotherLife, err)
	case errors.Is(err, consensus.ErrRestart):
		return fmt.Errorf("%w: %w", errAnotherLife, err)
	}
	return fmt.Errorf("this node stops: %w", err)
}

// alarm hears of what a check has found.
func (n *Node) alarm(err error) {
	n.log.Error("alarm", "error", err)
	if _, damaged := errors.AsType[*check.DamageError](err); damaged {
		select {
		case n.damage <- struct{}{}:
		default: // watchDamage knows already
		}
	}
}

// watchDamage reads the whole state now and then, because what applies a command
// could take rot for "not there", and whenever a check has met what looks like
// damage: two tokens may share a fingerprint, too. A node that is damaged goes on,
// closed where it is and right elsewhere, until the others can rebuild it.
func (n *Node) watchDamage(ctx context.Context) error {
	every := time.NewTicker(n.cfg.Disk.VerifyEvery)
	defer every.Stop()
	for ctx.Err() == nil {
		select {
		case <-every.C:
		case <-n.damage:
		case <-ctx.Done():
			return nil
		}
		_, err := n.store.VerifyAll(ctx)
		if err != nil && ctx.Err() == nil {
			n.log.Error("alarm", "error", err)
		}
		if !errors.Is(err, store.ErrDamaged) {
			pause(ctx, min(n.cfg.Disk.VerifyEvery, time.Minute)) // it is asked for the same token again and again
			continue
		}
		if n.awaitOthers(ctx); ctx.Err() == nil {
			n.cast(err)
			return fmt.Errorf("%w: %w", errAnotherLife, err)
		}
	}
	return nil
}

// awaitOthers returns when this node can be rebuilt from the others. As long as it
// runs and has a vote, they may be ready on its word alone: so many must be, that
// they are a majority without it.
func (n *Node) awaitOthers(ctx context.Context) {
	for {
		voters := 0
		for _, server := range n.order.Servers() {
			if server.Voter {
				voters++
			}
		}
		heard, _ := n.hear(ctx)
		if able, enough := n.rebuilders(heard, n.Head().Size); len(able) >= max(enough, voters/2+1) {
			return
		}
		if !pause(ctx, time.Second) {
			return
		}
	}
}
