package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/client"
)

const waitEvery = 200 * time.Millisecond

func newClusterWaitCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "wait",
		Short: "Wait until the nodes are up and have one state, as between two steps of an upgrade",
		Long: `Wait until every configured node, or each that is named with --node, answers and
has the same size and root, and one of all leads. With --voters, also until so
many nodes have a vote. Ends with 1 and says what is missing if it takes too long.`,
		Example: "  risknet cluster wait --voters 3\n  risknet cluster wait --node n1 --node n2 --timeout 30s", Args: cobra.NoArgs}
	names := cmd.Flags().StringArray("node", nil, "wait for this node alone; may be repeated")
	voters := cmd.Flags().Int("voters", 0, "also wait until so many nodes have a vote")
	timeout := cmd.Flags().Duration("timeout", 2*time.Minute, "give up after this long")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := dial(cmd)
		if err != nil {
			return err
		}
		defer c.Close()
		ctx, cancel := context.WithTimeout(cmd.Context(), *timeout)
		defer cancel()
		list, err := awaitNodes(ctx, c, *names, *voters)
		if err != nil {
			return err
		}
		return emitStatus(cmd, list)
	}
	return cmd
}

func awaitNodes(ctx context.Context, c *client.Client, names []string, voters int) ([]*apiv1.StatusRow, error) {
	missing := "no node has answered"
	for {
		list, err := c.Status(ctx)
		if err == nil {
			if missing = whatIsMissing(list, names, voters); missing == "" {
				return list, nil
			}
		} else if ctx.Err() == nil {
			missing = err.Error()
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("timeout: %s; see cluster status, and the logs of those nodes", missing)
		case <-time.After(waitEvery):
		}
	}
}

// whatIsMissing is empty when the named nodes, or all, have one state.
func whatIsMissing(list []*apiv1.StatusRow, names []string, voters int) string {
	var missing []string
	for _, name := range names {
		if !slices.ContainsFunc(list, func(r *apiv1.StatusRow) bool { return r.Name == name }) {
			missing = append(missing, "no node is called "+name)
		}
	}
	led, votes := false, 0
	var first *apiv1.StatusRow
	for _, r := range list {
		led = led || r.Role == "leader"
		if r.Role == "leader" || r.Role == "voter" {
			votes++
		}
		switch {
		case len(names) > 0 && !slices.Contains(names, r.Name):
		case r.Role == "down":
			missing = append(missing, r.Name+" is down")
		case r.AgeMs > neverFresh:
			missing = append(missing, r.Name+" has not compared its view with a leader's yet")
		case r.Lag > 0:
			missing = append(missing, fmt.Sprintf("%s is %d leaves behind", r.Name, r.Lag))
		case first != nil && string(first.Root) != string(r.Root):
			missing = append(missing, fmt.Sprintf("%s and %s have different roots at %d leaves", first.Name, r.Name, r.Size))
		default:
			first = r
		}
	}
	if !led {
		missing = append(missing, "nobody leads")
	}
	if votes < voters {
		missing = append(missing, fmt.Sprintf("%d of %d have a vote", votes, voters))
	}
	return strings.Join(missing, ", ")
}
