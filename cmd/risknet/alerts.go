package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/client"
)

func newAlertsCommand() *cobra.Command {
	return newNoun("alerts", "Hear of listings that came, rose or went after a payment was checked", newAlertsTailCommand())
}

type alertJSON struct {
	Cursor      uint64 `json:"cursor"`
	At          string `json:"at"`
	What        string `json:"what"`
	Kind        string `json:"kind"`
	Listing     string `json:"listing"`
	Code        uint32 `json:"code"`
	Level       uint32 `json:"level"`
	List        string `json:"list"`
	Transaction string `json:"transaction_id"`
	CheckedAt   string `json:"checked_at"`
	Amount      int64  `json:"amount,omitempty"`
	Currency    string `json:"currency,omitempty"`
	Then        string `json:"advice_then"`
	Now         string `json:"advice_now"`
	Size        uint64 `json:"size"`
	Lost        uint64 `json:"lost,omitempty"`
}

func alertOf(a *apiv1.Alert) alertJSON {
	return alertJSON{Cursor: a.Cursor, At: moment(a.AtMs), What: a.What, Kind: a.Kind, Listing: a.Listing, Code: a.Code,
		Level: a.Level, List: a.List, Transaction: a.TransactionId, CheckedAt: moment(a.CheckedAtMs), Amount: a.Amount,
		Currency: a.Currency, Then: a.AdviceThen, Now: a.AdviceNow, Size: a.Size, Lost: a.Lost}
}

// errEnough ends a stream of alerts of which only so many were wanted.
var errEnough = errors.New("enough")

func newAlertsTailCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "tail", Short: "Print the alerts of your own node",
		Long: "A node remembers the checks of its own institution for a while, as tokens. When a\n" +
			"listing of one of them comes, rises or is lifted, it tells so here: the payment, the\n" +
			"advice it was given then, and what the listing advises now. Go on behind the last\n" +
			"cursor that you have handled: each alert is told once. Every node has its own.",
		Example: "  risknet alerts tail\n  risknet alerts tail --after 1795444477123456 --follow -o ndjson | ./handle", Args: cobra.NoArgs}
	after := cmd.Flags().Uint64("after", 0, "begin behind the alert of this `cursor`")
	follow := cmd.Flags().Bool("follow", false, "wait for more, also while the node is away")
	count := cmd.Flags().Uint64("count", 0, "end after so many alerts")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := dial(cmd)
		if err != nil {
			return err
		}
		defer c.Close()
		return tailAlerts(cmd, c, *after, *follow, *count)
	}
	return cmd
}

func tailAlerts(cmd *cobra.Command, c *client.Client, after uint64, follow bool, count uint64) error {
	format, err := formatOf(cmd)
	if err != nil {
		return err
	}
	out, seen := newRowWriter(cmd), uint64(0)
	if format == "human" {
		out = nil
	}
	err = c.WatchAlerts(cmd.Context(), after, follow, func(a *apiv1.Alert) error {
		if seen++; out == nil {
			printAlert(cmd, a)
		} else if err := errors.Join(out.row(alertOf(a)), out.flush(follow)); err != nil {
			return err
		}
		if seen == count {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) || follow && cmd.Context().Err() != nil {
		err = nil
	}
	switch {
	case out != nil:
		return out.end(err)
	case err == nil && seen == 0:
		fmt.Fprintln(cmd.OutOrStdout(), "no alerts")
	}
	return err
}

// printAlert writes one for people: what happened, to which payment, and what was and
// is advised.
func printAlert(cmd *cobra.Command, a *apiv1.Alert) {
	if a.Lost > 0 {
		note(cmd, "%s before this one were removed unread", counted(int(a.Lost), "alert"))
	}
	payment := a.TransactionId
	if payment == "" {
		payment = "a payment"
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%d  %s  %-6s  %s (checked %s, %s then)  %s listing %s, code %02d, level %d: %s now\n", a.Cursor, moment(a.AtMs), a.What,
		payment, moment(a.CheckedAtMs), paint(a.AdviceThen), a.Kind, a.Listing, a.Code, a.Level, paint(a.AdviceNow))
}
