package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/risk"
)

type feedbackJSON struct {
	Listings []string `json:"listings"`
	Action   string   `json:"action"`
	Statuses []string `json:"statuses"` // noted, or unchanged
	Size     uint64   `json:"size"`
}

func newFeedbackCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "feedback --listing ID --action ACTION", Short: "Say what your institution did on listings",
		Long: `Say what your institution did on listings. Everybody who is shown such a listing sees how
many institutions did what, and not which. Your newest word about a listing holds.`,
		Example: "  risknet feedback --listing 12.0 --action hold_funds", Args: cobra.NoArgs}
	listings := cmd.Flags().StringSlice("listing", nil, "id of a listing, as check and list get show it; several are allowed")
	actionName := cmd.Flags().String("action", "", "allow, observe, step_up, limit, delay_settlement, hold_funds or deny")
	_ = cmd.MarkFlagRequired("listing")
	_ = cmd.MarkFlagRequired("action")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		action, err := risk.ParseAdvice(*actionName)
		if err != nil {
			return usageError{strings.Replace(err.Error(), "advice:", "action:", 1)}
		}
		ids, err := parseIDs(*listings)
		if err != nil {
			return err
		}
		c, signer, err := author(cmd)
		if err != nil {
			return err
		}
		defer c.Close()
		receipt, err := client.Tell(cmd.Context(), signer, action, ids...)
		if err != nil {
			return err
		}
		out := feedbackJSON{Listings: *listings, Action: action.String(), Size: receipt.Leaf + 1}
		for _, outcome := range receipt.Outcomes {
			out.Statuses = append(out.Statuses, outcome.Status)
		}
		return emit(cmd, out, func(w io.Writer) {
			for i, id := range out.Listings {
				fmt.Fprintf(w, "%s: %s %s\n", id, out.Action, out.Statuses[i])
			}
		})
	}
	return cmd
}
