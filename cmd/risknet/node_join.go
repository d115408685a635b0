package main

import (
	"bufio"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/risknet/risknet/enrol"
	"github.com/risknet/risknet/risk"
)

type enteredJSON struct {
	Name        string `json:"name"`
	Institution string `json:"institution"`
	Suffrage    string `json:"suffrage"`
	Network     string `json:"network"`
	Node        string `json:"node"`
	Config      string `json:"config"`
	LogKey      string `json:"log_key"`
}

func newNodeJoinCommand() *cobra.Command {
	var o enrol.JoinOptions
	var token string
	cmd := &cobra.Command{
		Use:   "join --token TOKEN --dir DIR --raft HOST:PORT --api HOST:PORT --http HOST:PORT",
		Short: "Enter a network with a token that its hub's operator gave",
		Long: "Makes the node's keys, which never leave this machine, has them certified by the\n" +
			"network, and writes a directory for `risknet node run`. The addresses are those at\n" +
			"which the node will listen and the other nodes reach it.",
		Example: "  risknet node join --token risknet-join-1.AbC… --dir n6 --raft n6.example:7001 --api n6.example:7002 --http n6.example:7003",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if token == "-" { // other users of this machine see arguments, not this
				token, _ = bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
			}
			if o.Token, err = enrol.ParseToken(token); err != nil {
				return usageError{err.Error()}
			}
			o.Waiting = func(t enrol.Terms, key risk.PublicKey) {
				note(cmd, "asking to join as %s of %s; the hub's operator is shown this log key:\n  %x", t.Name, t.Institution, key.Bytes)
			}
			e, err := enrol.Join(cmd.Context(), o)
			if err != nil {
				return err
			}
			out := enteredJSON{e.Name, e.Institution, e.Suffrage.String(), e.Network, e.Node.String(), e.Config, e.LogKey}
			return emit(cmd, out, func(w io.Writer) {
				fmt.Fprintf(w, "%s has joined %s; start it with: risknet node run --config %s\nlog key for profiles: %s\n", out.Name, out.Network, out.Config, out.LogKey)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&token, "token", "", "the `token` that 'risknet node invite' printed, or - to read it from standard input (required)")
	flags.StringVar(&o.Dir, "dir", "", "directory to make for the node (required)")
	flags.StringVar(&o.Raft, "raft", "", "address for the other nodes, `host:port` (required)")
	flags.StringVar(&o.API, "api", "", "address for programs and nodes, `host:port` (required)")
	flags.StringVar(&o.HTTP, "http", "", "address for health and metrics, `host:port` (required)")
	for _, name := range []string{"token", "dir", "raft", "api", "http"} {
		_ = cmd.MarkFlagRequired(name)
	}
	return cmd
}
