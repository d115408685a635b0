package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"

	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/risk"
)

func newPolicyCommand() *cobra.Command {
	return newNoun("policy", "See or set how reports are weighed", newPolicyShowCommand(), newPolicySetCommand())
}

func newPolicyShowCommand() *cobra.Command {
	return &cobra.Command{Use: "show", Short: "Show the policy in force, as a file that policy set takes",
		Long: `Show how the network turns reports into a confidence and into the hardest advice that
they may give. Version 0 is the policy that is built in.`,
		Example: "  risknet policy show > policy.yaml", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := dial(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			policy, err := c.Policy(cmd.Context())
			if err != nil {
				return err
			}
			out := client.WritePolicy(policy)
			return emit(cmd, out, func(w io.Writer) { _ = yaml.NewEncoder(w).Encode(out) })
		}}
}

type policySetJSON struct {
	Version uint32 `json:"version"`
	Size    uint64 `json:"size"`
}

func newPolicySetCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "set FILE", Short: "Put a policy in force, on every node at once",
		Long: `Put a policy in force. It acts on every answer in the network, so the hub signs it with
its threshold of keys. The file's version is that of the policy which it changes, as
policy show prints it: two people who change one at once do not undo each other.`,
		Example: "  risknet policy show > policy.yaml\n  risknet --profile hub.yaml policy set policy.yaml", Args: cobra.ExactArgs(1)}
	yes := cmd.Flags().Bool("yes", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		file := io.NopCloser(cmd.InOrStdin())
		if args[0] != "-" {
			if file, err = os.Open(args[0]); err != nil {
				return err
			}
		}
		policy, err := client.ReadPolicy(file)
		if err = errors.Join(err, file.Close()); err != nil {
			return err
		}
		policy.Version++
		if err := confirm(cmd, *yes, "Every answer in the network follows policy %d from then on. Put it in force?", policy.Version); err != nil {
			return err
		}
		c, signer, err := author(cmd)
		if err != nil {
			return err
		}
		defer c.Close()
		receipt, err := signer.Do(cmd.Context(), &risk.SetPolicy{Policy: *policy}, nil, nil)
		if err != nil {
			return err
		}
		out := policySetJSON{policy.Version, receipt.Leaf + 1}
		return emit(cmd, out, func(w io.Writer) { fmt.Fprintf(w, "policy %d is in force\n", out.Version) })
	}
	return cmd
}
