package main

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/audit"
	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/node"
	"github.com/risknet/risknet/risk"
)

type replayedJSON struct {
	Size    uint64 `json:"size"`
	Root    string `json:"root"`
	Entries uint64 `json:"entries"`
	Time    string `json:"time"`
	Missing uint64 `json:"bodies_missing"`
	OK      bool   `json:"ok"`
}

type replayOptions struct {
	until uint64
	keys  string
	check checkOptions
}

func newAuditReplayCommand() *cobra.Command {
	var o replayOptions
	cmd := &cobra.Command{Use: "replay [--until SIZE] [--check FILE]", Short: "Apply the whole ledger again, and answer checks as of then",
		Long: `Applies every leaf with the bodies that are still kept, in a state of its own, and
holds the digest after each to the leaf's. With --until it stops at a size of the
ledger; with --check it then answers a file of checks as a node would have answered
them at that size: the same view, rules and clock.

Bodies that were destroyed, or that a revision has replaced since, are counted in
bodies_missing: a listing that had only such a body then does not speak.`,
		Example: "  risknet --profile auditor.yaml audit replay\n  risknet --profile auditor.yaml audit replay --until 1200 --check payments.csv --column ip_address=ip",
		Args:    cobra.NoArgs}
	flags := cmd.Flags()
	flags.Uint64Var(&o.until, "until", 0, "stop at so many leaves (default: all)")
	flags.StringVar(&o.check.file, "check", "", "answer every record of a csv or ndjson `file`; - is standard input")
	flags.StringArrayVar(&o.check.columns, "column", nil, "use column `name=field` of the file; may be repeated")
	flags.StringVar(&o.check.format, "format", "", "csv, ndjson, values or ipsum (default: by the content)")
	flags.StringVar(&o.keys, "token-keys", "", "`file` of token keys, for epochs that are closed (default: those in use, from the node)")
	kind := kindFlag(cmd, "every line of the file is one value of this kind")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		o.check.kind = *kind
		a, err := openAudit(cmd)
		if err != nil {
			return err
		}
		defer a.log.Close()
		return a.replay(cmd, o)
	}
	return cmd
}

func (a *auditor) replay(cmd *cobra.Command, o replayOptions) error {
	ctx := cmd.Context()
	signed, err := a.log.Checkpoint(ctx)
	if err != nil {
		return err
	}
	if o.until == 0 {
		o.until = signed.Size
	}
	options, end := a.options(cmd, true)
	replica, report, err := audit.VerifyAt(ctx, a.log, signed, o.until, options)
	end()
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	defer replica.Close()
	if o.check.file != "" {
		if report.Missing > 0 {
			note(cmd, "%d bodies are not kept any more: a listing whose body at that time was one of them does not speak", report.Missing)
		}
		return a.checkPast(cmd, replica, o)
	}
	out := replayedJSON{report.Size, hex.EncodeToString(report.Root[:]), report.Entries, moment(report.Time.UnixMilli()), report.Missing, true}
	return emit(cmd, out, func(w io.Writer) {
		fmt.Fprintf(w, "%s leaves applied again, each with the same outcome and digest; root %s at %s\n", many(int(out.Entries)), out.Root, out.Time)
	})
}

// checkPast answers a file of checks from the replica.
func (a *auditor) checkPast(cmd *cobra.Command, replica *audit.Replica, o replayOptions) error {
	keys, err := a.tokenKeys(cmd, o.keys)
	if err != nil {
		return err
	}
	past, err := replica.Past(cmd.Context(), keys)
	if err != nil {
		return err
	}
	said, err := past.Keyring()
	if err != nil {
		return err
	}
	ring, err := client.NewKeyring(said)
	if err != nil {
		return err
	}
	file, _, _, err := openInput(cmd, o.check.file)
	if err != nil {
		return err
	}
	defer file.Close()
	lines, err := o.check.rows(bufio.NewReader(file))
	if err != nil {
		return err
	}
	out := &answerWriter{rows: newRowWriter(cmd)}
	checker := &client.Checker{Answer: out.answer}
	answered, err := checker.RunOffline(cmd.Context(), lines, ring, past.Check)
	return errors.Join(out.rows.end(err), out.verdict(answered))
}

// tokenKeys come from the auditor's node, or from a file.
func (a *auditor) tokenKeys(cmd *cobra.Command, file string) ([]node.TokenKey, error) {
	if file != "" {
		return node.LoadTokenKeys(file)
	}
	c, err := dial(cmd)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	conn, err := c.Conn(a.profile.Endpoint)
	if err != nil {
		return nil, err
	}
	said, err := apiv1.NewTokensClient(conn).Keyring(cmd.Context(), &apiv1.KeyringRequest{})
	if err != nil {
		return nil, fmt.Errorf("token key: %w", err)
	}
	var keys []node.TokenKey
	for _, k := range said.Keys {
		if len(k.Secret) == 32 {
			keys = append(keys, node.TokenKey{Epoch: risk.Epoch(k.Epoch), Secret: [32]byte(k.Secret)})
		}
	}
	return keys, nil
}
