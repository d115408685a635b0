package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/risknet/risknet/audit"
	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/ledger"
)

type provenJSON struct {
	Size    uint64  `json:"size"`
	Root    string  `json:"root"`
	Leaf    *uint64 `json:"leaf,omitempty"`
	Command string  `json:"command,omitempty"`
	Kind    string  `json:"kind,omitempty"`
	Since   *uint64 `json:"since,omitempty"`
	File    string  `json:"file,omitempty"`
	OK      bool    `json:"ok"`
}

type proveOptions struct {
	leaf             uint64
	since, out, file string
	key              string
}

func newAuditProveCommand() *cobra.Command {
	var o proveOptions
	cmd := &cobra.Command{Use: "prove --leaf N [--since CHECKPOINT] --out FILE", Short: "Make or verify a proof that needs no network",
		Long: `Makes a small file that proves, to whoever has the node's log key, that a leaf is in
the ledger, that the ledger has only grown since a checkpoint that was saved before,
or both. With --verify it checks such a file, offline, and with --leaf or --since that
it proves this leaf, or growth since this checkpoint.`,
		Example: "  risknet --profile auditor.yaml audit prove --leaf 17 --out leaf17.json\n" +
			"  risknet --profile auditor.yaml audit prove --since march.checkpoint --out since-march.json\n" +
			"  risknet audit prove --verify leaf17.json --log-key 'risknet.example/testnet+1cfd3b72+ASnrYY…'",
		Args: cobra.NoArgs}
	flags := cmd.Flags()
	flags.Uint64Var(&o.leaf, "leaf", 0, "prove this `leaf`")
	flags.StringVar(&o.since, "since", "", "prove growth since a checkpoint `file`")
	flags.StringVar(&o.out, "out", "", "`file` to write the proof in")
	flags.StringVar(&o.file, "verify", "", "verify this proof `file` instead")
	flags.StringVar(&o.key, "log-key", "", "note verifier key of the node that signed (default: the profile's)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var leaf *uint64
		if cmd.Flags().Changed("leaf") {
			leaf = &o.leaf
		}
		if o.file != "" {
			return o.verify(cmd, leaf)
		}
		if leaf == nil && o.since == "" {
			return usagef("leaf: is missing; say what to prove with --leaf or --since")
		}
		if o.out == "" {
			return usagef("out: is missing; name the file to write the proof in")
		}
		return o.prove(cmd, leaf)
	}
	return cmd
}

func (o *proveOptions) prove(cmd *cobra.Command, leaf *uint64) error {
	a, err := openAudit(cmd)
	if err != nil {
		return err
	}
	defer a.log.Close()
	var since []byte
	if o.since != "" {
		if since, err = os.ReadFile(o.since); err != nil {
			return fmt.Errorf("since: %w; name a file that `risknet audit verify --save` has written", err)
		}
	}
	data, err := audit.Prove(cmd.Context(), a.log, leaf, since)
	if err != nil {
		return err
	}
	if err := os.WriteFile(o.out, data, 0o644); err != nil {
		return fmt.Errorf("out: %w", err)
	}
	verifier, err := ledger.ParseVerifier(a.profile.LogKey)
	if err != nil {
		return err
	}
	return printProven(cmd, data, verifier, o.out)
}

func (o *proveOptions) verify(cmd *cobra.Command, leaf *uint64) error {
	if o.out != "" {
		return usagef("out: nothing is written with --verify; leave it out")
	}
	data, err := os.ReadFile(o.file)
	if err != nil {
		return fmt.Errorf("verify: %w; name a file that `risknet audit prove` has written", err)
	}
	if o.key == "" {
		path, _ := cmd.Flags().GetString("profile")
		if path == "" {
			return usagef("log-key: is missing; give it, or a profile that names it")
		}
		profile, err := client.LoadProfile(path)
		if err != nil {
			return err
		}
		o.key = profile.LogKey
	}
	verifier, err := ledger.ParseVerifier(o.key)
	if err != nil {
		return err
	}
	if err := o.proves(data, verifier, leaf); err != nil {
		return err
	}
	return printProven(cmd, data, verifier, o.file)
}

// proves holds a proof to what it was said to prove.
func (o *proveOptions) proves(data []byte, key ledger.Verifier, leaf *uint64) error {
	p, err := audit.VerifyProof(data, key)
	switch {
	case err != nil:
		return err
	case leaf != nil && p.Leaf == nil:
		return fmt.Errorf("proof: proves no leaf, and not leaf %d", *leaf)
	case leaf != nil && p.Index != *leaf:
		return fmt.Errorf("proof: proves leaf %d, and not leaf %d", p.Index, *leaf)
	case o.since == "":
		return nil
	}
	note, err := os.ReadFile(o.since)
	if err != nil {
		return fmt.Errorf("since: %w", err)
	}
	since, _, err := ledger.OpenCheckpoint(note, key.Name(), key)
	switch {
	case err != nil:
		return fmt.Errorf("since: %w", err)
	case p.Since == nil || *p.Since != since:
		return fmt.Errorf("proof: does not prove growth since the checkpoint of %d leaves in %s", since.Size, o.since)
	}
	return nil
}

func printProven(cmd *cobra.Command, data []byte, key ledger.Verifier, file string) error {
	p, err := audit.VerifyProof(data, key)
	if err != nil {
		return err
	}
	out := provenJSON{Size: p.Checkpoint.Size, Root: hex.EncodeToString(p.Checkpoint.Root[:]), File: file, OK: true}
	if p.Leaf != nil {
		line := audit.DescribeLeaf(p.Index, p.Leaf, p.Command)
		out.Leaf, out.Command, out.Kind = &p.Index, line.Command.String(), line.Kind
	}
	if p.Since != nil {
		out.Since = &p.Since.Size
	}
	return emit(cmd, out, func(w io.Writer) {
		if out.Leaf != nil {
			fmt.Fprintf(w, "leaf %d, a %s command, is in the ledger of %d leaves with root %s\n", *out.Leaf, out.Kind, out.Size, out.Root)
		}
		if out.Since != nil {
			fmt.Fprintf(w, "the ledger of %d leaves begins with all %d of the earlier checkpoint\n", out.Size, *out.Since)
		}
	})
}
