package main

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/risknet/risknet/node"
)

type recoverJSON struct {
	Server    string `json:"server"`
	Size      uint64 `json:"size"`
	Root      string `json:"root"`
	Index     uint64 `json:"index"` // of the state
	Listings  uint64 `json:"listings"`
	LastTerm  uint64 `json:"last_term"` // of the last entry that it goes on with
	LastIndex uint64 `json:"last_index"`
	LogTerm   uint64 `json:"log_term"`
	LogIndex  uint64 `json:"log_index"`
	StateTerm uint64 `json:"state_term"`
	Asked     int    `json:"asked"`
	Answered  int    `json:"answered"`
	Live      bool   `json:"live"`
}

func emitRecover(cmd *cobra.Command, name string, done bool, info *node.RecoverInfo) error {
	out := &recoverJSON{Server: info.Server, Size: info.Size, Root: info.Root.String(), Index: info.State.Index, Listings: info.Listings,
		LastTerm: info.Last.Term, LastIndex: info.Last.Index, LogTerm: info.Log.Term, LogIndex: info.Log.Index, StateTerm: info.State.Term,
		Asked: info.Asked.Nodes, Answered: info.Asked.Answered, Live: info.Asked.Live}
	return emit(cmd, out, func(w io.Writer) { out.text(w, name, done) })
}

func (out *recoverJSON) text(w io.Writer, name string, done bool) {
	verb, next := "would go on alone", "Nothing was changed: say --yes on the node with the highest term, and of several the highest entry."
	if done {
		verb, next = "goes on alone, as server "+out.Server+",", "Start it now."
	}
	fmt.Fprintf(w, "%s %s from entry %d of term %d (log: to entry %d of term %d; state: to entry %d of term %d)\n",
		name, verb, out.LastIndex, out.LastTerm, out.LogIndex, out.LogTerm, out.Index, out.StateTerm)
	fmt.Fprintf(w, "Its state has %s listings at %d leaves, root %s…\n", many(out.Listings), out.Size, out.Root[:16])
	fmt.Fprintln(w, out.others())
	fmt.Fprintln(w, next)
}

func (out *recoverJSON) others() string {
	if out.Asked == 0 {
		return "Nobody was asked whether the network lives: this node knows no other. See for yourself that it does not."
	}
	said := "none has a majority."
	if out.Live {
		said = "a majority follows one of them: the network lives, start this node instead."
	}
	return fmt.Sprintf("Of %d other nodes that it knows %d answered; %s", out.Asked, out.Answered, said)
}

func newClusterRecoverCommand() *cobra.Command {
	var config string
	var yes bool
	cmd := &cobra.Command{
		Use:   "recover --config FILE --yes",
		Short: "Make one node that does not run the only voter, after a majority was lost for good",
		Long: `Make a node that does not run the only voter of its network. This is for a
majority that is lost for good: what only the lost nodes had acknowledged is gone.
End every node that is left and look at each with this command: without --yes it
changes nothing and names the last entry of the node's log. Recover the node whose
last entry has the highest term, and of several in that term the highest number:
it has everything that was acknowledged and is left. Start it, and then the others
with empty data directories: they join anew by themselves.
Never do this while a majority may come back: there would be two networks. Every
other node that this one knows is asked, and the answer shown, before anything is
done; one that is cut off from here cannot answer.`,
		Example: "  risknet cluster recover --config /etc/risknet/node.yaml\n  risknet cluster recover --config /etc/risknet/node.yaml --yes",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := node.LoadConfig(config)
			if err != nil {
				return err
			}
			var info node.RecoverInfo
			if yes {
				info, err = node.Recover(cmd.Context(), cfg, slog.New(slog.DiscardHandler))
			} else {
				info, err = node.Inspect(cmd.Context(), cfg)
			}
			if err != nil {
				return err
			}
			return emitRecover(cmd, cfg.Name, yes, &info)
		},
	}
	cmd.Flags().StringVar(&config, "config", "", "the node's configuration file (required)")
	cmd.Flags().BoolVar(&yes, "yes", false, "do it")
	_ = cmd.MarkFlagRequired("config")
	return cmd
}
