package main

import (
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/risknet/risknet/audit"
	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/risk"
)

func newAuditCommand() *cobra.Command {
	return newNoun("audit", "Verify the ledger without trusting a node",
		newAuditVerifyCommand(), newAuditProveCommand(), newAuditReplayCommand(), newAuditMonitorCommand(),
		newAuditEvidenceCommand(), newAuditTailCommand())
}

// auditor is a profile with the ledger that it names.
type auditor struct {
	profile *client.Profile
	tls     *tls.Config
	log     *audit.Log
	network risk.Hash // zero if the profile names none
}

func openAudit(cmd *cobra.Command) (*auditor, error) {
	path, _ := cmd.Flags().GetString("profile")
	if path == "" {
		return nil, usagef("profile: is missing; name one with --profile or %s", client.ProfileEnv)
	}
	profile, err := client.LoadProfile(path)
	if err != nil {
		return nil, err
	}
	a := &auditor{profile: profile}
	if a.tls, err = profile.TLS(); err != nil {
		return nil, err
	}
	if profile.Network != "" {
		if a.network, err = risk.ParseHash(profile.Network); err != nil {
			return nil, err
		}
	} else {
		note(cmd, "profile: names no network; what is verified is that the ledger agrees with itself")
	}
	a.log, err = audit.OpenLog(profile.HTTP, profile.LogKey, a.tls)
	return a, err
}

// options show progress as leaves are applied.
func (a *auditor) options(cmd *cobra.Command, bodies bool) (audit.Options, func()) {
	m := newMeter(cmd, "leaves", 0)
	return audit.Options{Network: a.network, Bodies: bodies, Progress: func(done, of uint64) { m.done(int(done)) }}, m.end
}

type nodeStateJSON struct {
	Name    string `json:"name"`
	Size    uint64 `json:"size"`
	Records uint64 `json:"records"`
	OK      bool   `json:"ok"`
	Error   string `json:"error,omitempty"`
}

type verifiedJSON struct {
	Size      uint64          `json:"size"`
	Root      string          `json:"root"`
	Entries   uint64          `json:"entries"`
	OK        bool            `json:"ok"`
	Network   string          `json:"network,omitempty"`
	SignedBy  string          `json:"signed_by,omitempty"`
	Cosigned  []string        `json:"cosigned_by,omitempty"`
	Error     string          `json:"error,omitempty"`
	BadLeaf   *uint64         `json:"bad_leaf,omitempty"`
	BadTile   string          `json:"bad_tile,omitempty"`
	BadRecord string          `json:"bad_record,omitempty"`
	BadNode   string          `json:"bad_node,omitempty"`
	Nodes     []nodeStateJSON `json:"nodes,omitempty"`
}

// blame says in fields what an error is about.
func (v *verifiedJSON) blame(err error) {
	v.OK = false
	if v.Error != "" || err == nil {
		return
	}
	v.Error = err.Error()
	if bad, ok := errors.AsType[*audit.BadLeaf](err); ok {
		v.BadLeaf = &bad.Leaf
	}
	if bad, ok := errors.AsType[*audit.BadTile](err); ok {
		v.BadTile = bad.Tile.Path()
	}
	if bad, ok := errors.AsType[*audit.BadRecord](err); ok {
		v.BadRecord = hex.EncodeToString(bad.Key)
	}
}

func newAuditVerifyCommand() *cobra.Command {
	var state bool
	var save string
	cmd := &cobra.Command{Use: "verify [--state] [--save FILE]", Short: "Verify every leaf, signature and tile, and what each node stores",
		Long: `Reads the whole ledger of the profile's node over HTTP and applies the law to it
again: every signature, refusal, outcome and state digest, every tile, the root and
the checkpoint's signatures. With --state it then reads every record that each node
of the network stores and holds it to the digest in the ledger.

The only things that are trusted are the profile's network and log_key. Ends with 1
if anything is wrong, and names the first leaf, tile or record.`,
		Example: "  risknet --profile auditor.yaml audit verify --state\n  risknet --profile auditor.yaml audit verify --save march.checkpoint -o json",
		Args:    cobra.NoArgs}
	cmd.Flags().BoolVar(&state, "state", false, "read the records of every node too")
	cmd.Flags().StringVar(&save, "save", "", "save the checkpoint in a `file`, for `prove --since`")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		a, err := openAudit(cmd)
		if err != nil {
			return err
		}
		defer a.log.Close()
		return a.verify(cmd, state, save)
	}
	return cmd
}

func (a *auditor) verify(cmd *cobra.Command, state bool, save string) error {
	ctx := cmd.Context()
	if save != "" { // before an hour of reading
		if _, err := os.Stat(filepath.Dir(save)); err != nil {
			return fmt.Errorf("save: %w", err)
		}
	}
	signed, err := a.log.Checkpoint(ctx)
	if err != nil {
		return err
	}
	out := verifiedJSON{Size: signed.Size, Root: hex.EncodeToString(signed.Root[:])}
	o, end := a.options(cmd, false)
	replica, report, err := audit.VerifyAt(ctx, a.log, signed, signed.Size, o)
	end()
	if err != nil {
		out.blame(err)
		return errors.Join(printVerified(cmd, out), fmt.Errorf("audit: %w", err))
	}
	defer replica.Close()
	out.Entries, out.OK, out.Network, out.SignedBy = report.Entries, true, report.Network.String(), report.SignedBy
	for _, by := range report.Cosigners {
		out.Cosigned = append(out.Cosigned, by.Node)
	}
	if state {
		err = a.states(cmd, replica, &out)
	}
	if save != "" && err == nil {
		err = os.WriteFile(save, signed.Note, 0o644)
	}
	return errors.Join(printVerified(cmd, out), err)
}

func (a *auditor) states(cmd *cobra.Command, replica *audit.Replica, out *verifiedJSON) error {
	nodes, err := replica.States(cmd.Context(), a.tls)
	if err != nil {
		return err
	}
	if forbidden, ok := errors.AsType[*audit.ForbiddenError](nodes[0].Err); ok {
		out.OK = false
		return fmt.Errorf("state: %w; use the profile of the auditor or the hub", forbidden)
	}
	for _, n := range nodes {
		row := nodeStateJSON{Name: n.Name, Size: n.Size, Records: n.Records, OK: n.Err == nil}
		if n.Err != nil {
			row.Error = n.Err.Error()
			if out.OK {
				out.BadNode = n.Name
			}
			out.blame(n.Err)
			err = errors.Join(err, fmt.Errorf("audit: node %s: %w", n.Name, n.Err))
		}
		out.Nodes = append(out.Nodes, row)
	}
	return err
}

func printVerified(cmd *cobra.Command, out verifiedJSON) error {
	return emit(cmd, out, func(w io.Writer) {
		if out.Entries > 0 {
			fmt.Fprintf(w, "%s leaves are as the law gives them\nroot %s, signed by %s", many(int(out.Entries)), out.Root, out.SignedBy)
			if len(out.Cosigned) > 0 {
				fmt.Fprintf(w, ", cosigned by %s", strings.Join(out.Cosigned, ", "))
			}
			fmt.Fprintln(w)
		}
		lines := []table.Row{}
		for _, n := range out.Nodes {
			verdict := "as the ledger says"
			if !n.OK {
				verdict = n.Error
			}
			lines = append(lines, table.Row{n.Name, n.Size, n.Records, verdict})
		}
		if len(lines) > 0 {
			rows(w, table.Row{"node", "size", "records", "state"}, lines)
		}
	})
}

type leafJSON struct {
	Leaf     uint64         `json:"leaf"`
	At       string         `json:"at"`
	Kind     string         `json:"kind"`
	Author   string         `json:"author"`
	Command  string         `json:"command"`
	Result   string         `json:"result"`
	Items    int            `json:"items"`
	Outcomes map[string]int `json:"outcomes,omitempty"`
	Proposer string         `json:"proposer"`
}

func newAuditTailCommand() *cobra.Command {
	var filter audit.Filter
	var author string
	var from, last uint64
	var follow bool
	cmd := &cobra.Command{Use: "tail [--follow]", Short: "Read the ledger, leaf by leaf",
		Example: "  risknet --profile auditor.yaml audit tail --last 20\n  risknet --profile auditor.yaml audit tail --follow --kind listings --refused -o ndjson",
		Args:    cobra.NoArgs}
	flags := cmd.Flags()
	flags.Uint64Var(&from, "from", 0, "first `leaf` to show")
	flags.Uint64Var(&last, "last", 0, "begin so many leaves before the end")
	flags.BoolVarP(&follow, "follow", "f", false, "go on with new leaves until interrupted")
	flags.StringVar(&author, "author", "", "only commands of this reporting `id`")
	flags.StringVar(&filter.Kind, "kind", "", "only commands of this kind, such as listings or add_key")
	flags.BoolVar(&filter.Refused, "refused", false, "only what was refused, or has an item that was")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if author != "" {
			id, err := risk.ParseID(author)
			if err != nil {
				return usagef("author: %v", err)
			}
			filter.Author = id
		}
		a, err := openAudit(cmd)
		if err != nil {
			return err
		}
		defer a.log.Close()
		if last > 0 {
			signed, err := a.log.Checkpoint(cmd.Context())
			if err != nil {
				return err
			}
			from = signed.Size - min(last, signed.Size)
		}
		return tail(cmd, a, from, follow, filter)
	}
	return cmd
}

func tail(cmd *cobra.Command, a *auditor, from uint64, follow bool, filter audit.Filter) error {
	format, _ := formatOf(cmd)
	out := newRowWriter(cmd)
	err := audit.Tail(cmd.Context(), a.log, from, follow, filter, func(l *audit.Line) error {
		result := "accepted"
		if l.Refusal != "" {
			result = l.Refusal
		}
		row := leafJSON{l.Leaf, l.At.UTC().Format(time.RFC3339Nano), l.Kind, l.Author.String(), l.Command.String(), result, l.Items, l.Outcomes, l.Proposer.String()}
		if format != "human" {
			return errors.Join(out.row(row), out.flush(follow))
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "%8d  %s  %-14s %s  %s%s\n", l.Leaf, l.At.UTC().Format("2006-01-02 15:04:05.000"), l.Kind, l.Author, result, tally(l.Outcomes))
		return err
	})
	if format == "human" {
		return err
	}
	return errors.Join(err, out.end(err))
}

// tally says how many items became what.
func tally(outcomes map[string]int) string {
	var parts []string
	for _, status := range []string{"created", "revised", "extended", "unchanged", "lifted", "kept", "refused"} {
		if n := outcomes[status]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, status))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return ": " + strings.Join(parts, ", ")
}
