package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/risknet/risknet/risk"
)

type protocolJSON struct {
	Protocol uint32 `json:"protocol"`
	Size     uint64 `json:"size"`
}

func newClusterProtocolCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "protocol [--raise N]", Short: "See which protocol the network has in force, or raise it",
		Long: `A program applies the protocol that the network has in force. It is raised one at a
time, by the hub with its threshold of keys, when every node runs a program that knows
the new one: an older program stops at that command, and goes on from there when it
is upgraded. It is never taken back.`,
		Example: "  risknet cluster protocol\n  risknet --profile hub.yaml cluster protocol --raise 2 --yes", Args: cobra.NoArgs}
	raise := cmd.Flags().Uint32("raise", 0, "the next protocol")
	yes := cmd.Flags().Bool("yes", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *raise == 0 {
			return showProtocol(cmd)
		}
		if err := confirm(cmd, *yes, "Raise the network to protocol %d? Nodes with an older program stop, and there is no way back.", *raise); err != nil {
			return err
		}
		c, signer, err := author(cmd)
		if err != nil {
			return err
		}
		defer c.Close()
		receipt, err := signer.Do(cmd.Context(), &risk.RaiseProtocol{Version: *raise}, nil, nil)
		if err != nil {
			return err
		}
		out := protocolJSON{*raise, receipt.Leaf + 1}
		return emit(cmd, out, func(w io.Writer) { fmt.Fprintf(w, "protocol %d is in force\n", out.Protocol) })
	}
	return cmd
}

func showProtocol(cmd *cobra.Command) error {
	c, err := dial(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	network, err := c.Network(cmd.Context())
	if err != nil {
		return err
	}
	out := protocolJSON{network.Protocol, network.Head.GetSize()}
	return emit(cmd, out, func(w io.Writer) {
		fmt.Fprintf(w, "protocol %d is in force; this program applies up to %d\n", out.Protocol, risk.ProtocolVersion)
	})
}
