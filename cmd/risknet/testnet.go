package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/risknet/risknet/rules/industry"
	"github.com/risknet/risknet/testnet"
)

func newTestnetCommand() *cobra.Command {
	verbs := []*cobra.Command{newTestnetUpCommand(), newTestnetDownCommand(), newTestnetStatusCommand(), newTestnetAddCommand()}
	for _, fault := range []struct {
		verb, short string
		do          func(context.Context, *testnet.Processes, string) error
	}{
		{"kill", "End a node with SIGKILL", func(_ context.Context, p *testnet.Processes, n string) error { return p.Kill(n) }},
		{"stop", "End a node cleanly (SIGTERM)", func(_ context.Context, p *testnet.Processes, n string) error { return p.Stop(n) }},
		{"pause", "Stop a node's process (SIGSTOP)", func(_ context.Context, p *testnet.Processes, n string) error { return p.Pause(n) }},
		{"resume", "Let a paused node go on (SIGCONT)", func(_ context.Context, p *testnet.Processes, n string) error { return p.Resume(n) }},
		{"restart", "Start a node again, or without --node all of them, and wait until ready", restart},
		{"cut", "Cut a node off from the other nodes", func(_ context.Context, p *testnet.Processes, n string) error { return p.Cut(n) }},
		{"heal", "Bring a cut node back", func(_ context.Context, p *testnet.Processes, n string) error { return p.Heal(n) }},
	} {
		verbs = append(verbs, newTestnetFaultCommand(fault.verb, fault.short, fault.do))
	}
	return newNoun("testnet", "A whole network on this machine, as processes", verbs...)
}

func newTestnetUpCommand() *cobra.Command {
	var o testnet.Options
	var patience time.Duration
	cmd := &cobra.Command{
		Use:     "up --dir DIR --nodes N",
		Short:   "Start a network and return when every node is ready",
		Example: "  risknet testnet up --dir /tmp/net --nodes 5 --voters 3",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), patience)
			defer cancel()
			o.Rules, o.Now = industry.Source, time.Now()
			p, err := testnet.Up(ctx, o)
			if err != nil {
				return err
			}
			verb := "are"
			if len(p.Nodes) == 1 {
				verb = "is"
			}
			note(cmd, "%s %s ready; profiles are in %s/profiles", counted(len(p.Nodes), "node"), verb, p.Dir)
			return nil
		},
	}
	cmd.Flags().StringVar(&o.Dir, "dir", "", "directory of the network (required)")
	cmd.Flags().IntVar(&o.Nodes, "nodes", 3, "number of nodes")
	cmd.Flags().IntVar(&o.Voters, "voters", 0, "how many of them vote (default 3, or all if there are fewer)")
	cmd.Flags().DurationVar(&patience, "timeout", 2*time.Minute, "give up after this long")
	_ = cmd.MarkFlagRequired("dir")
	return cmd
}

type addedJSON struct {
	Name        string `json:"name"`
	Institution string `json:"institution"`
	API         string `json:"api"`
	HTTP        string `json:"http"`
	Config      string `json:"config"`
	Profile     string `json:"profile"`
}

func newTestnetAddCommand() *cobra.Command {
	var dir string
	var voter bool
	var patience time.Duration
	cmd := &cobra.Command{
		Use:   "add --dir DIR",
		Short: "Let one more node in, empty, with a join token, and wait until it is ready",
		Long: "Plays both ends of `risknet node invite` and `risknet node join` on this machine,\n" +
			"for a new node and a new institution, and starts the node. Run it again if it breaks off.",
		Example: "  risknet testnet add --dir /tmp/net",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := testnet.Load(dir)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), patience)
			defer cancel()
			a, err := p.Add(ctx, voter)
			if err != nil {
				return err
			}
			out := addedJSON{a.Node.Name, a.Node.Institution, a.Node.API, a.Node.HTTP, a.Node.Config, a.Profile}
			return emit(cmd, out, func(w io.Writer) {
				fmt.Fprintf(w, "%s of %s has joined and is ready at %s\nprofile: %s\n", out.Name, out.Institution, out.API, out.Profile)
			})
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "directory of the network (required)")
	cmd.Flags().BoolVar(&voter, "voter", false, "give the node a vote once it has caught up")
	cmd.Flags().DurationVar(&patience, "timeout", 2*time.Minute, "give up after this long; the node goes on catching up")
	_ = cmd.MarkFlagRequired("dir")
	return cmd
}

func newTestnetDownCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:     "down --dir DIR",
		Short:   "End the network's processes; its files stay",
		Example: "  risknet testnet down --dir /tmp/net",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			p, err := testnet.Load(dir)
			if err != nil {
				return err
			}
			return p.Down()
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "directory of the network (required)")
	_ = cmd.MarkFlagRequired("dir")
	return cmd
}

func newTestnetStatusCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:     "status --dir DIR",
		Short:   "Say how the network's processes are",
		Example: "  risknet testnet status --dir /tmp/net",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := testnet.Load(dir)
			if err != nil {
				return err
			}
			rows, err := p.Status(cmd.Context())
			if err != nil {
				return err
			}
			return printProcesses(cmd, rows)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "directory of the network (required)")
	_ = cmd.MarkFlagRequired("dir")
	return cmd
}

func newTestnetFaultCommand(verb, short string, do func(context.Context, *testnet.Processes, string) error) *cobra.Command {
	var dir, name string
	cmd := &cobra.Command{
		Use:     verb + " --dir DIR --node NAME",
		Short:   short,
		Example: "  risknet testnet " + verb + " --dir /tmp/net --node n2",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := testnet.Load(dir)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), 2*time.Minute)
			defer cancel()
			return do(ctx, p, name)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "directory of the network (required)")
	cmd.Flags().StringVar(&name, "node", "", "name of the node, such as n2")
	_ = cmd.MarkFlagRequired("dir")
	if verb != "restart" {
		_ = cmd.MarkFlagRequired("node")
	}
	return cmd
}

func restart(ctx context.Context, p *testnet.Processes, name string) error {
	if name == "" {
		return p.RestartAll(ctx)
	}
	return p.Restart(ctx, name)
}

func printProcesses(cmd *cobra.Command, list []testnet.ProcessStatus) error {
	return emit(cmd, list, func(w io.Writer) {
		var lines []table.Row
		for _, p := range list {
			lines = append(lines, table.Row{p.Name, p.PID, p.State, p.Note})
		}
		rows(w, table.Row{"name", "pid", "state", "note"}, lines)
	})
}
