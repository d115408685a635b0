package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/lmittmann/tint"
	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"github.com/risknet/risknet/node"
)

func newNodeCommand() *cobra.Command {
	return newNoun("node", "Run a node, save it, or let one into the network",
		newNodeRunCommand(), newNodeInviteCommand(), newNodeJoinCommand(), newNodeBackupCommand(), newNodeRestoreCommand())
}

func newNodeRunCommand() *cobra.Command {
	var config string
	cmd := &cobra.Command{
		Use:     "run --config FILE",
		Short:   "Run one node in the foreground until SIGTERM",
		Example: "  risknet node run --config /etc/risknet/node.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// What a node writes, and its fault socket, is for its own user alone,
			// whatever the umask is that it was started under.
			syscall.Umask(0o077)
			cfg, err := node.LoadConfig(config)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return runNode(ctx, cfg)
		},
	}
	cmd.Flags().StringVar(&config, "config", "", "the node's configuration file (required)")
	_ = cmd.MarkFlagRequired("config")
	return cmd
}

func runNode(ctx context.Context, cfg node.Config) error {
	log, err := newLogger(cfg.Log)
	if err != nil {
		return err
	}
	bounding, stop := context.WithCancel(ctx)
	var beside sync.WaitGroup
	beside.Go(func() { boundGarbage(bounding) })
	defer beside.Wait()
	defer stop()
	return node.Serve(ctx, cfg, node.Environment{}, log, nil)
}

// newLogger writes to standard error: for people in colour on a terminal, or as
// JSON for machines.
func newLogger(cfg node.LogConfig) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Level)); err != nil {
		return nil, err
	}
	if cfg.Format == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level})), nil
	}
	plain := os.Getenv("NO_COLOR") != "" || !isatty.IsTerminal(os.Stderr.Fd())
	return slog.New(tint.NewHandler(os.Stderr, &tint.Options{Level: level, NoColor: plain})), nil
}
