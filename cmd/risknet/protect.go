package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/token"
)

func newProtectCommand() *cobra.Command {
	return newNoun("protect", "Keep subjects from being refused on reports alone, for a while",
		newProtectAddCommand(), newProtectEndCommand(), newProtectListCommand())
}

type protectJSON struct {
	ID        string `json:"id"`
	ExpiresAt string `json:"expires_at"`
	Size      uint64 `json:"size"`
}

func newProtectAddCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "add --kind KIND VALUE", Short: "Bring a subject under protection",
		Long: `Bring a subject under protection, on every node. It takes two approvals: the threshold
of hub keys, and never fewer than two. It ends by itself within a year.`,
		Example: "  risknet --profile hub.yaml protect add --kind merchant --expires 90d --covers 'salaries of a hospital' --comment 'approved by A and B, 2026-17' acq/4711",
		Args:    cobra.ExactArgs(1)}
	kindName := kindFlag(cmd, "what the value names")
	expires := daysFlag(cmd, "expires", 90*24*time.Hour, "how long it holds; days are 90d, at most 366d")
	covers := cmd.Flags().String("covers", "", "what the protection is for, in words")
	comment := cmd.Flags().String("comment", "", "why, and who approved it")
	yes := cmd.Flags().Bool("yes", false, "do not ask before a whole network or top-level domain is protected")
	for _, name := range []string{"kind", "covers", "comment"} {
		_ = cmd.MarkFlagRequired(name)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		kind, err := parseKind(*kindName)
		if err != nil {
			return err
		}
		if subject, err := token.Normalise(kind, args[0]); err == nil && subject.Scope.Broad() {
			if err := confirm(cmd, *yes, "%s is so broad that reports could refuse nobody in it. Protect all of it?", args[0]); err != nil {
				return err
			}
		}
		c, signer, err := author(cmd)
		if err != nil {
			return err
		}
		defer c.Close()
		keys, err := c.FreshKeyring(cmd.Context())
		if err != nil {
			return err
		}
		until := time.Now().Add(time.Duration(*expires))
		id, receipt, err := client.Protect(cmd.Context(), signer, keys, client.Protectee{Kind: kind, Value: args[0],
			Until: until, Covers: *covers, Comment: *comment})
		if err != nil {
			return err
		}
		out := protectJSON{id, moment(until.UnixMilli()), receipt.Leaf + 1}
		return emit(cmd, out, func(w io.Writer) { fmt.Fprintf(w, "protection %s holds until %s\n", out.ID, out.ExpiresAt) })
	}
	return cmd
}

func newProtectEndCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "end ID …", Short: "End protections before their time",
		Example: "  risknet --profile hub.yaml protect end 57.0 --note 'no longer needed'", Args: cobra.MinimumNArgs(1)}
	text := cmd.Flags().String("note", "", "why, in words")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ids, err := parseIDs(args)
		if err != nil {
			return err
		}
		c, signer, err := author(cmd)
		if err != nil {
			return err
		}
		defer c.Close()
		receipt, err := client.Unprotect(cmd.Context(), signer, *text, ids...)
		if err != nil {
			return err
		}
		out := struct {
			Ended []string `json:"ended"`
			Size  uint64   `json:"size"`
		}{args, receipt.Leaf + 1}
		return emit(cmd, out, func(w io.Writer) { fmt.Fprintln(w, "ended "+strings.Join(args, ", ")) })
	}
	return cmd
}

type protectionJSON struct {
	ID        string `json:"id"`
	Kind      string `json:"kind"`
	Scope     string `json:"scope,omitempty"`
	Token     string `json:"token"`
	Active    bool   `json:"active"`
	Covers    string `json:"covers"`
	Comment   string `json:"comment"`
	Since     string `json:"since"`
	ExpiresAt string `json:"expires_at"`
	EndedAt   string `json:"ended_at,omitempty"`
}

func newProtectListCommand() *cobra.Command {
	return &cobra.Command{Use: "list", Short: "List the protected subjects, those of which the protection has ended too",
		Example: "  risknet protect list", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := dial(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			list, err := c.Protections(cmd.Context())
			if err != nil {
				return err
			}
			out, lines := []protectionJSON{}, []table.Row{}
			for _, p := range list {
				row := protectionJSON{ID: p.Id, Kind: p.Kind, Token: fmt.Sprintf("%x", p.Token), Active: p.Active, Covers: p.Covers,
					Comment: p.Comment, Since: moment(p.SinceMs), ExpiresAt: moment(p.ExpiresAtMs), EndedAt: moment(p.EndedAtMs)}
				if s := p.GetScope(); s.GetFamily() != 0 {
					row.Scope = risk.Scope{Family: risk.Family(s.Family), Length: uint8(s.Length)}.String()
				}
				out = append(out, row)
				lines = append(lines, table.Row{row.ID, row.Kind, row.Token, row.Active, row.Covers, row.Comment, row.ExpiresAt})
			}
			return emit(cmd, out, func(w io.Writer) {
				rows(w, table.Row{"id", "kind", "token", "active", "covers", "comment", "expires"}, lines)
			})
		}}
}
