package node

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/check"
	"github.com/risknet/risknet/store"
)

// Past answers checks from a state that stands still, as a node would have answered
// them at that moment: with the same code, and the clock of then.
type Past struct {
	node   *Node
	checks *checkService
}

// NewPast makes the view of a state. Keys are the token keys that may be needed; the
// state says which.
func NewPast(ctx context.Context, st *store.Store, keys []TokenKey, at time.Time) (*Past, error) {
	n := &Node{cfg: DefaultConfig(), log: slog.New(slog.DiscardHandler), store: st, secrets: keys,
		now: func() time.Time { return at }, creds: &Credentials{Identity: Identity{Institution: "audit", Role: RoleHub}}}
	var err error
	if n.checker, err = check.New(check.Config{Now: n.now, MaxAge: n.cfg.Stale.MaxAge}); err != nil {
		return nil, err
	}
	if err := n.loadKeys(); err != nil {
		return nil, err
	}
	view, err := n.wholeView()
	if err != nil {
		return nil, err
	}
	if err := n.checker.Reset(ctx, &source{st.Reader()}, view); err != nil {
		return nil, err
	}
	n.checker.SetFresh(at)
	n.metrics = newMetrics(n)
	return &Past{node: n, checks: newCheckService(n)}, nil
}

// Check answers one question.
func (p *Past) Check(ctx context.Context, req *apiv1.CheckRequest) (*apiv1.CheckResponse, error) {
	return p.checks.answerMessage(ctx, req, p.node.creds.Identity)
}

// Keyring is what makes tokens for it.
func (p *Past) Keyring() (*apiv1.KeyringResponse, error) {
	m, err := p.node.keyring()
	if err != nil {
		return nil, fmt.Errorf("keyring: %w", err)
	}
	return m, nil
}
