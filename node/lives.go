package node

import (
	"context"
	"errors"
	"log/slog"
)

// errAnotherLife ends a node that has to begin again from its directories: what
// it ran on was old, damaged or in nobody's reach, and has been put aside.
var errAnotherLife = errors.New("the node begins again")

// Serve opens a node and runs it until the context ends or it fails, and opens
// it again where that is the cure. Opened, if not nil, hears of each life once it
// is open and before it runs.
func Serve(ctx context.Context, cfg Config, env Environment, log *slog.Logger, opened func(*Node)) error {
	for {
		n, err := New(cfg, env, log)
		if err != nil {
			return err
		}
		if opened != nil {
			opened(n)
		}
		if err := n.Run(ctx); !errors.Is(err, errAnotherLife) || ctx.Err() != nil {
			return err
		}
		log.Warn("beginning again")
	}
}
