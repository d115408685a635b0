package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/risk"
)

type removedJSON struct {
	Name string `json:"name"`
	Size uint64 `json:"size"`
}

func newClusterRemoveCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "remove --node NAME", Short: "Take a node's record out of the network, for good",
		Long: `Takes a node out: the others let it in no more, hand it nothing, and count its vote
no more. Its own state stays on its disk. Of a node that votes, bring another voter in
first, so that a majority is not lost. To put another in its place, use node invite
--replace. One hub key signs it.

JSON: {"name","size"}.`,
		Example: "  risknet --profile hub.yaml cluster remove --node n4", Args: cobra.NoArgs}
	name := cmd.Flags().String("node", "", "the node's `name` (required)")
	yes := cmd.Flags().Bool("yes", false, "do not ask")
	_ = cmd.MarkFlagRequired("node")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, signer, err := author(cmd)
		if err != nil {
			return err
		}
		defer c.Close()
		id, err := recordedNode(cmd, c, *name)
		if err != nil {
			return err
		}
		if err := confirm(cmd, *yes, "Node %s gets nothing any more, and its vote does not count. Remove it?", *name); err != nil {
			return err
		}
		receipt, err := signer.Do(cmd.Context(), &risk.RemoveNode{Node: id}, nil, nil)
		if err != nil {
			return err
		}
		out := removedJSON{*name, receipt.Leaf + 1}
		return emit(cmd, out, func(w io.Writer) { fmt.Fprintf(w, "%s is removed\n", out.Name) })
	}
	return cmd
}

// recordedNode finds a node's id by its name.
func recordedNode(cmd *cobra.Command, c *client.Client, name string) (risk.ID, error) {
	network, err := c.Network(cmd.Context())
	if err != nil {
		return risk.ID{}, err
	}
	for _, n := range network.Nodes {
		if n.Name == name {
			return risk.ParseID(n.Id)
		}
	}
	return risk.ID{}, fmt.Errorf("node: the network has no node %q; see cluster status", name)
}
