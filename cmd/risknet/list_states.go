package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/risk"
)

// parseIDs reads ids as list get and protect list show them.
func parseIDs(arguments []string) (ids []risk.ItemID, err error) {
	for _, argument := range arguments {
		id, err := risk.ParseItemID(argument)
		if err != nil {
			return nil, usageError{err.Error()}
		}
		ids = append(ids, id)
	}
	return ids, nil
}

type haltJSON struct {
	Listings []string `json:"listings"`
	State    string   `json:"state"`
	Size     uint64   `json:"size"`
}

// newListHaltCommand suspends or resumes.
func newListHaltCommand(op risk.ItemOp) *cobra.Command {
	verb, short, state := "suspend", "Take listings out of force while they are looked at", risk.Suspended
	if op == risk.ItemResume {
		verb, short, state = "resume", "Bring suspended listings back into force", risk.Active
	}
	cmd := &cobra.Command{Use: verb + " ID …", Short: short,
		Long: short + `. It is for the hub. The expiry goes on counting; a suspended
listing advises nothing, and no report brings it back: the hub resumes it or lifts it.`,
		Example: "  risknet --profile hub.yaml list " + verb + " 41.7 --note 'case 2026-17'", Args: cobra.MinimumNArgs(1)}
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
		receipt, err := client.Suspend(cmd.Context(), signer, op, *text, ids...)
		if err != nil {
			return err
		}
		out := haltJSON{args, state.String(), receipt.Leaf + 1}
		return emit(cmd, out, func(w io.Writer) { fmt.Fprintf(w, "%s: %s\n", strings.Join(args, ", "), out.State) })
	}
	return cmd
}

type livesJSON struct {
	Lives  []lifeJSON `json:"lives"`
	Others uint32     `json:"other_days"`
}

type lifeJSON struct {
	Code uint16 `json:"code"`
	Days uint16 `json:"days"`
}

func newListLivesCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "lives", Short: "Show or set how long a listing of each code may live",
		Long: `Show how long a listing of each code may live, or set it: what is given changes these
codes, CODE=0 takes a code's own limit away. Setting is for the hub, with its threshold
of keys. Reports that would live longer are refused from then on; what stands keeps its
expiry.`,
		Example: "  risknet list lives\n  risknet --profile hub.yaml list lives --set 04=180d --set 06=28d --yes", Args: cobra.NoArgs}
	set := cmd.Flags().StringSlice("set", nil, "CODE=DURATION in whole days, such as 04=180d")
	yes := cmd.Flags().Bool("yes", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := dial(cmd)
		if err != nil {
			return err
		}
		defer c.Close()
		lives, others, err := c.Lives(cmd.Context())
		if err != nil {
			return err
		}
		if len(*set) == 0 {
			return emitLives(cmd, lives, others)
		}
		if lives, err = changeLives(lives, *set); err != nil {
			return err
		}
		if err := confirm(cmd, *yes, "Reports that would live longer are refused on every node from then on. Set it?"); err != nil {
			return err
		}
		author, err := client.NewAuthor(cmd.Context(), c)
		if err != nil {
			return err
		}
		if _, err := author.Do(cmd.Context(), &risk.SetLives{Lives: lives}, nil, nil); err != nil {
			return err
		}
		return emitLives(cmd, lives, others)
	}
	return cmd
}

// changeLives reads the table as it will be.
func changeLives(lives []risk.LongestLife, changes []string) ([]risk.LongestLife, error) {
	for _, change := range changes {
		name, text, _ := strings.Cut(change, "=")
		code, err := strconv.ParseUint(name, 10, 16)
		if err != nil {
			return nil, usagef("set: %q is not CODE=DURATION, such as 04=180d", change)
		}
		life, err := client.ParseDuration(text)
		days := int64(life / (24 * time.Hour))
		if err != nil || life < 0 || life%(24*time.Hour) != 0 || days > 0xffff {
			return nil, usagef("set: %q must be whole days, such as %s=180d, or %s=0", change, name, name)
		}
		lives = slices.DeleteFunc(lives, func(l risk.LongestLife) bool { return l.Code == uint16(code) })
		if days > 0 {
			lives = append(lives, risk.LongestLife{Code: uint16(code), Days: uint16(days)})
		}
	}
	slices.SortFunc(lives, func(a, b risk.LongestLife) int { return int(a.Code) - int(b.Code) })
	return lives, nil
}

func emitLives(cmd *cobra.Command, lives []risk.LongestLife, others uint32) error {
	out := livesJSON{Lives: []lifeJSON{}, Others: others}
	var lines []table.Row
	for _, l := range lives {
		out.Lives = append(out.Lives, lifeJSON(l))
		lines = append(lines, table.Row{fmt.Sprintf("%02d", l.Code), l.Days})
	}
	lines = append(lines, table.Row{"all others", others})
	return emit(cmd, out, func(w io.Writer) { rows(w, table.Row{"code", "days"}, lines) })
}
