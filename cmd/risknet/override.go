package main

import (
	"fmt"
	"io"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/risk"
)

func newOverrideCommand() *cobra.Command {
	return newNoun("override", "Keep your own expiring exceptions, on your own node",
		newOverridePutCommand(), newOverrideRemoveCommand(), newOverrideListCommand())
}

type overrideJSON struct {
	Kind      string   `json:"kind"`
	Tokens    []string `json:"tokens"`
	Advice    string   `json:"advice"`
	ExpiresAt string   `json:"expires_at"`
	Comment   string   `json:"comment"`
}

func emitOverrides(cmd *cobra.Command, list []*apiv1.Override) error {
	out, lines := []overrideJSON{}, []table.Row{}
	for _, o := range list {
		row := overrideJSON{Kind: o.Kind, Tokens: []string{}, Advice: o.Advice, ExpiresAt: moment(o.ExpiresAtMs), Comment: o.Comment}
		for _, t := range o.Tokens {
			row.Tokens = append(row.Tokens, fmt.Sprintf("%x", t.Token))
		}
		out = append(out, row)
		lines = append(lines, table.Row{o.Kind, row.Tokens[:min(1, len(row.Tokens))], paint(o.Advice), row.ExpiresAt, o.Comment})
	}
	return emit(cmd, out, func(w io.Writer) { rows(w, table.Row{"kind", "token", "advice", "expires", "comment"}, lines) })
}

func newOverridePutCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "put --kind KIND --advice ADVICE VALUE", Short: "Answer otherwise about one identifier, for a while",
		Example: "  risknet override put --kind ip --advice allow --expires 24h --comment 'our own office' 203.0.113.9", Args: cobra.ExactArgs(1)}
	kindName := kindFlag(cmd, "what the value names")
	adviceName := cmd.Flags().String("advice", "", "allow, observe, step_up, limit, delay_settlement, hold_funds or deny")
	expires := daysFlag(cmd, "expires", 24*time.Hour, "how long it holds; days are 30d")
	comment := cmd.Flags().String("comment", "", "why; it is shown with the answer")
	_ = cmd.MarkFlagRequired("kind")
	_ = cmd.MarkFlagRequired("advice")
	_ = cmd.MarkFlagRequired("comment")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		kind, err := parseKind(*kindName)
		if err != nil {
			return err
		}
		advice, err := risk.ParseAdvice(*adviceName)
		if err != nil {
			return usageError{err.Error()}
		}
		if *expires <= 0 {
			return usagef("expires: must be longer than nothing; an exception ends, say when")
		}
		c, err := dial(cmd)
		if err != nil {
			return err
		}
		defer c.Close()
		list, err := c.PutOverride(cmd.Context(), client.Exception{Kind: kind, Value: args[0], Advice: advice,
			Until: time.Now().Add(time.Duration(*expires)), Comment: *comment})
		if err != nil {
			return err
		}
		return emitOverrides(cmd, list)
	}
	return cmd
}

func newOverrideRemoveCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "remove --kind KIND VALUE", Short: "End an exception before its time",
		Example: "  risknet override remove --kind ip 203.0.113.9", Args: cobra.ExactArgs(1)}
	kindName := kindFlag(cmd, "what the value names")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		kind, err := parseKind(*kindName)
		if err != nil {
			return err
		}
		c, err := dial(cmd)
		if err != nil {
			return err
		}
		defer c.Close()
		list, err := c.RemoveOverride(cmd.Context(), kind, args[0])
		if err != nil {
			return err
		}
		return emitOverrides(cmd, list)
	}
	return cmd
}

func newOverrideListCommand() *cobra.Command {
	return &cobra.Command{Use: "list", Short: "List the exceptions that the node keeps", Example: "  risknet override list", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := dial(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			list, err := c.Overrides(cmd.Context())
			if err != nil {
				return err
			}
			return emitOverrides(cmd, list)
		}}
}
