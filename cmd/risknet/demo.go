package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"

	"github.com/risknet/risknet/testnet"
)

func newDemoCommand() *cobra.Command {
	var nodes int
	var exit, verbose bool
	cmd := &cobra.Command{
		Use:     "demo",
		Short:   "A whole network in one process that shows what it does",
		Example: "  risknet demo --exit",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			level := slog.LevelError + 1 // the demo kills nodes; what they say about it is noise
			if verbose {
				level = slog.LevelInfo
			}
			log := slog.New(tint.NewHandler(cmd.ErrOrStderr(), &tint.Options{Level: level, NoColor: os.Getenv("NO_COLOR") != ""}))
			demo := &testnet.Demo{Nodes: nodes, Out: cmd.OutOrStdout(), Log: log, Stay: !exit}
			err := demo.Run(ctx)
			if errors.Is(err, context.Canceled) && ctx.Err() != nil {
				return nil
			}
			return err
		},
	}
	cmd.Flags().IntVar(&nodes, "nodes", 3, "number of nodes")
	cmd.Flags().BoolVar(&exit, "exit", false, "end when the story is told")
	cmd.Flags().BoolVar(&verbose, "verbose", false, "also show what the nodes log")
	return cmd
}
