package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/risk"
)

func newListCommand() *cobra.Command {
	return newNoun("list", "Report identifiers, look them up, end and export listings",
		newListImportCommand(), newListGetCommand(), newListLiftCommand(), newListExportCommand(),
		newListHaltCommand(risk.ItemSuspend), newListHaltCommand(risk.ItemResume), newListLivesCommand())
}

// kindFlag adds --kind with its completions.
func kindFlag(cmd *cobra.Command, usage string) *string {
	var names []string
	for _, kind := range risk.AllKinds() {
		names = append(names, kind.String())
	}
	value := cmd.Flags().String("kind", "", usage+": "+strings.Join(names, ", "))
	_ = cmd.RegisterFlagCompletionFunc("kind", cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp))
	return value
}

func parseKind(text string) (risk.Kind, error) {
	if text == "" {
		return 0, usagef("kind: is missing; name it with --kind")
	}
	kind, err := risk.ParseKind(text)
	if err != nil {
		return 0, usageError{err.Error()}
	}
	return kind, nil
}

type listingJSON struct {
	ID         string            `json:"id"`
	Kind       string            `json:"kind"`
	Code       uint32            `json:"code"`
	Level      uint32            `json:"level"`
	List       string            `json:"list"`
	Advice     string            `json:"advice"`
	Reporter   string            `json:"reporter"`
	ReportedAt string            `json:"reported_at"`
	ExpiresAt  string            `json:"expires_at"`
	State      string            `json:"state"`
	Scope      string            `json:"scope,omitempty"`
	Origin     string            `json:"origin"`
	OriginRef  string            `json:"origin_ref,omitempty"`
	Role       string            `json:"role,omitempty"`
	Category   string            `json:"category,omitempty"`
	Channel    string            `json:"channel,omitempty"`
	Reference  string            `json:"reference,omitempty"`
	Occurred   string            `json:"occurred_from,omitempty"`
	Tier       uint32            `json:"tier"`
	Purposes   string            `json:"purposes,omitempty"`
	Effective  string            `json:"effective_at,omitempty"`
	EndedAt    string            `json:"ended_at,omitempty"`
	SourceDate string            `json:"source_date,omitempty"`
	Note       string            `json:"note,omitempty"`
	NoteZH     string            `json:"note_zh,omitempty"`
	Exit       *apiv1.AnswerExit `json:"exit,omitempty"`
	Revisions  uint32            `json:"revisions"`
	Epoch      uint32            `json:"epoch"`
	Token      string            `json:"token,omitempty"`

	Taken map[string]uint32 `json:"taken,omitempty"` // institutions by what they did
}

func listingOf(l *apiv1.Listing) listingJSON {
	scope := ""
	if s := l.GetScope(); s.GetFamily() != 0 {
		scope = risk.Scope{Family: risk.Family(s.Family), Length: uint8(s.Length)}.String()
	}
	return listingJSON{ID: l.Id, Kind: l.Kind, Code: l.Code, Level: l.Level, List: l.List, Advice: l.Advice,
		Reporter: l.Reporter, ReportedAt: moment(l.ReportedAtMs), ExpiresAt: moment(l.ExpiresAtMs), State: l.State,
		Scope: scope, Origin: l.Origin, OriginRef: l.OriginRef, Role: l.Role, Category: l.Category, Channel: l.Channel, Reference: l.Reference,
		Occurred: moment(l.OccurredFromMs), Tier: l.Tier,
		Purposes: l.Purposes, Effective: moment(l.EffectiveMs), EndedAt: moment(l.EndedAtMs),
		SourceDate: moment(l.SourceDateMs), Note: l.Note, NoteZH: l.NoteZh, Exit: apiv1.ExitOf(l.Exit),
		Revisions: l.Revisions, Epoch: l.Epoch, Token: fmt.Sprintf("%x", l.Token), Taken: apiv1.TakenOf(l.Taken)}
}

type getJSON struct {
	Listed   bool          `json:"listed"`
	Listings []listingJSON `json:"listings"`
	Around   []listingJSON `json:"around,omitempty"` // of prefixes and parent domains
}

func newListGetCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "get --kind KIND VALUE", Short: "Show every listing of one identifier, in whatever state",
		Example: "  risknet list get --kind ip 203.0.113.9 -o json", Args: cobra.ExactArgs(1)}
	kindName := kindFlag(cmd, "what the value names")
	size := cmd.Flags().Uint64("min-size", 0, "answer from a state of at least so many leaves")
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
		listings, err := c.Listings(cmd.Context(), kind, args[0], *size)
		if err != nil {
			return err
		}
		out := getJSON{Listings: []listingJSON{}}
		for _, l := range listings {
			out.Listed = out.Listed || client.InForce(l, time.Now())
			out.Listings = append(out.Listings, listingOf(l))
		}
		around, err := c.Around(cmd.Context(), kind, args[0])
		if err != nil {
			return err
		}
		for _, l := range around {
			out.Around = append(out.Around, listingOf(l))
		}
		return emit(cmd, out, func(w io.Writer) { printListings(w, out) })
	}
	return cmd
}

func printListings(w io.Writer, out getJSON) {
	if len(out.Listings) == 0 {
		fmt.Fprintln(w, "not listed itself")
	}
	lines := listingRows(out.Listings, "")
	for _, l := range out.Around {
		lines = append(lines, listingRows([]listingJSON{l}, "around it: "+l.Scope)...)
	}
	if len(lines) > 0 {
		rows(w, table.Row{"id", "code", "level", "list", "advice", "state", "origin", "tier", "reporter", "reported", "expires", "taken", ""}, lines)
	}
}

func listingRows(list []listingJSON, remark string) (lines []table.Row) {
	for _, l := range list {
		lines = append(lines, table.Row{l.ID, l.Code, l.Level, l.List, paint(l.Advice), paint(l.State), l.Origin, l.Tier, l.Reporter, l.ReportedAt, l.ExpiresAt, taken(l.Taken), remark})
	}
	return lines
}

// taken says how many institutions did what.
func taken(counts map[string]uint32) string {
	var parts []string
	for _, action := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d %s", counts[action], action))
	}
	return strings.Join(parts, ", ")
}

func newListLiftCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "lift ID | lift --kind KIND VALUE", Short: "End a listing: by its id, or your own about one identifier",
		Example: "  risknet list lift 41.7 --reason error\n  risknet list lift --kind ip 203.0.113.9", Args: cobra.ExactArgs(1)}
	kindName := kindFlag(cmd, "the argument is an identifier of this kind")
	reasonName := cmd.Flags().String("reason", "withdrawn", "withdrawn, or error when it was wrong")
	text := cmd.Flags().String("note", "", "why, in words")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		reason, err := risk.ParseLiftReason(*reasonName)
		if err != nil {
			return usageError{err.Error()}
		}
		c, signer, err := author(cmd)
		if err != nil {
			return err
		}
		defer c.Close()
		ids, err := liftTargets(cmd, c, *kindName, args[0], signer.Reporter.String())
		if err != nil {
			return err
		}
		receipt, err := client.Lift(cmd.Context(), signer, reason, *text, ids...)
		if err != nil {
			return err
		}
		out := struct {
			Lifted []string `json:"lifted"`
			Size   uint64   `json:"size"`
		}{Size: receipt.Leaf + 1}
		for _, id := range ids {
			out.Lifted = append(out.Lifted, id.String())
		}
		return emit(cmd, out, func(w io.Writer) { fmt.Fprintln(w, "lifted "+strings.Join(out.Lifted, ", ")) })
	}
	return cmd
}

// liftTargets is the listing of that id, or what the reporter itself has in
// force about the identifier.
func liftTargets(cmd *cobra.Command, c *client.Client, kindName, argument, reporter string) ([]risk.ListingID, error) {
	if kindName == "" {
		id, err := risk.ParseItemID(argument)
		if err != nil {
			return nil, usagef("%v; or give --kind and an identifier", err)
		}
		return []risk.ListingID{id}, nil
	}
	kind, err := parseKind(kindName)
	if err != nil {
		return nil, err
	}
	listings, err := c.Listings(cmd.Context(), kind, argument, 0)
	if err != nil {
		return nil, err
	}
	var ids []risk.ListingID
	for _, l := range listings {
		if l.Reporter != reporter || l.EndedAtMs != 0 || l.ExpiresAtMs <= time.Now().UnixMilli() {
			continue
		}
		id, err := risk.ParseItemID(l.Id)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("%s: this institution has no listing in force about it; see list get", kind)
	}
	return ids, nil
}

func newListExportCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "export", Short: "Write all listings, one JSON object a line",
		Example: "  risknet list export --format ndjson > listings.ndjson", Args: cobra.NoArgs}
	format := cmd.Flags().String("format", "ndjson", "ndjson")
	ended := cmd.Flags().Bool("ended", false, "also listings that have ended")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *format != "ndjson" {
			return usagef("format: %q is not known; use ndjson", *format)
		}
		c, err := dial(cmd)
		if err != nil {
			return err
		}
		defer c.Close()
		out := newRowWriter(cmd)
		err = c.Export(cmd.Context(), *ended, func(l *apiv1.Listing) error { return out.row(listingOf(l)) })
		return out.end(err)
	}
	return cmd
}
