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

func newKeyCommand() *cobra.Command {
	return newNoun("key", "Make, add and retire the keys that sign for an institution",
		newKeyNewCommand(), newKeyShowCommand(), newKeyAddCommand(), newKeyRetireCommand(), newKeyListCommand())
}

type newKeyJSON struct {
	File       string `json:"file"`
	PublicFile string `json:"public_file,omitempty"`
	Public     string `json:"public"`
	ID         string `json:"id"`
}

func newKeyNewCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "new --out FILE",
		Short: "Make a signing key on this machine; the network does not know it yet",
		Long: `Make an Ed25519 signing key. FILE (PEM, mode 0600) holds the secret and goes
nowhere; FILE.pub holds the public half, which others need to add or admit it.`,
		Example: "  risknet key new --out acme-2027.key", Args: cobra.NoArgs}
	file := cmd.Flags().String("out", "", "the `file` to write (required)")
	_ = cmd.MarkFlagRequired("out")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		public, err := client.NewSigningKey(*file)
		if err != nil {
			return fmt.Errorf("out: %w", err)
		}
		out := newKeyJSON{*file, *file + ".pub", fmt.Sprintf("%x", public.Bytes), public.ID().String()}
		return emit(cmd, out, func(w io.Writer) {
			fmt.Fprintf(w, "made %s (secret) and %s\nid:     %s\npublic: %s\n", out.File, out.PublicFile, out.ID, out.Public)
		})
	}
	return cmd
}

func newKeyShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "show FILE",
		Short:   "Say the id and the public half of a key in a file, of either half",
		Example: "  risknet key show acme-2027.key", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			public, err := client.LoadEitherKey(args[0])
			if err != nil {
				return fmt.Errorf("FILE: %w", err)
			}
			out := newKeyJSON{File: args[0], Public: fmt.Sprintf("%x", public.Bytes), ID: public.ID().String()}
			return emit(cmd, out, func(w io.Writer) { fmt.Fprintf(w, "id:     %s\npublic: %s\n", out.ID, out.Public) })
		}}
}

type keyChangeJSON struct {
	Reporter string `json:"reporter"`
	ID       string `json:"id"`
	Size     uint64 `json:"size"`
}

// reporterFlag adds --reporter; without it an institution speaks of itself.
func reporterFlag(cmd *cobra.Command) func(risk.ID) (risk.ID, error) {
	text := cmd.Flags().String("reporter", "", "reporting `id` of the institution (default the profile's own)")
	return func(own risk.ID) (risk.ID, error) {
		if *text == "" {
			return own, nil
		}
		id, err := risk.ParseID(*text)
		if err != nil {
			return id, usagef("reporter: %v; see institution list", err)
		}
		return id, nil
	}
}

func newKeyAddCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "add --key FILE | --public HEX",
		Short: "Let one more key sign for an institution",
		Long: `Let one more key sign for an institution; those that it has stay. An institution
adds its own with a key that it has. The hub adds its own, and one of another
institution that has none left, with as many of its keys as the network was
founded to ask for (cosigning_keys of the profile).`,
		Example: "  risknet key add --key acme-2027.key\n  risknet key add --reporter 5a386e6b68a2007898b5d3ce4845ae65 --key acme-2027.key.pub",
		Args:    cobra.NoArgs}
	file := cmd.Flags().String("key", "", "PEM `file` of the new key; of a private key only the public half is sent")
	hex := cmd.Flags().String("public", "", "the new public key, 64 `hex` digits")
	reporter := reporterFlag(cmd)
	cmd.MarkFlagsMutuallyExclusive("key", "public")
	cmd.MarkFlagsOneRequired("key", "public")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		key, err := givenKey(*file, *hex)
		if err != nil {
			return err
		}
		return changeKeys(cmd, reporter, func(of risk.ID) (risk.Params, keyChangeJSON, string) {
			return &risk.AddKey{Reporter: of, Key: key}, keyChangeJSON{ID: key.ID().String()}, "signs from now on"
		})
	}
	return cmd
}

func givenKey(file, hex string) (risk.PublicKey, error) {
	if file != "" {
		key, err := client.LoadEitherKey(file)
		if err != nil {
			return key, fmt.Errorf("key: %w", err)
		}
		return key, nil
	}
	key, err := client.ParsePublicKey(hex)
	if err != nil {
		return key, usagef("public: %v", err)
	}
	return key, nil
}

func newKeyRetireCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "retire --id KEYID",
		Short: "End a key: what it signs from then on is refused",
		Long: `End a key, at once or after a while. What it signed before stands. A retired key
never comes back. The hub retires a stolen key of another institution with one
key of its own, one of the hub's own keys needs the founding threshold.`,
		Example: "  risknet key retire --id 8f0c2a6be1f94c5d8f0c2a6be1f94c5d\n  risknet key retire --id 8f0c2a6be1f94c5d8f0c2a6be1f94c5d --after 7d",
		Args:    cobra.NoArgs}
	text := cmd.Flags().String("id", "", "the key's `id`, as key list shows it (required)")
	after := daysFlag(cmd, "after", 0, "let it sign so much longer")
	reporter := reporterFlag(cmd)
	yes := cmd.Flags().Bool("yes", false, "do not ask, also about the last key of an institution")
	_ = cmd.MarkFlagRequired("id")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		id, err := risk.ParseID(*text)
		if err != nil {
			return usagef("id: %v; see key list", err)
		}
		if *after < 0 {
			return usagef("after: is past; leave it out to end the key at once")
		}
		at, says := int64(0), "is retired"
		if *after > 0 {
			at = time.Now().Add(time.Duration(*after)).UnixMilli()
			says = "is retired from " + moment(at)
		}
		if err := askAboutLastKey(cmd, *yes, reporter, id); err != nil {
			return err
		}
		return changeKeys(cmd, reporter, func(of risk.ID) (risk.Params, keyChangeJSON, string) {
			return &risk.RetireKey{Reporter: of, Key: id, At: at}, keyChangeJSON{ID: id.String()}, says
		})
	}
	return cmd
}

// askAboutLastKey keeps an institution from locking itself out without knowing.
func askAboutLastKey(cmd *cobra.Command, yes bool, reporter func(risk.ID) (risk.ID, error), id risk.ID) error {
	c, err := dial(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	own, _ := risk.ParseID(c.Profile().Reporter)
	of, err := reporter(own)
	if err != nil {
		return err
	}
	keys, err := c.AuthorKeys(cmd.Context(), of)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if k.Id != id.String() && keyState(k) == "active" {
			return nil
		}
	}
	return confirm(cmd, yes, "This is the last key of %s. Without one it signs nothing, until the hub adds one (key add --reporter). Retire it?", of)
}

// changeKeys signs a change of the keys of the institution that was meant.
func changeKeys(cmd *cobra.Command, reporter func(risk.ID) (risk.ID, error),
	change func(risk.ID) (risk.Params, keyChangeJSON, string)) error {
	if _, err := reporter(risk.ID{}); err != nil {
		return err
	}
	c, signer, err := author(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	of, err := reporter(signer.Reporter)
	if err != nil {
		return err
	}
	params, out, says := change(of)
	receipt, err := signer.Do(cmd.Context(), params, nil, nil)
	if err != nil {
		return err
	}
	out.Reporter, out.Size = of.String(), receipt.Leaf+1
	return emit(cmd, out, func(w io.Writer) { fmt.Fprintf(w, "key %s of %s %s\n", out.ID, out.Reporter, says) })
}

type keyJSON struct {
	ID        string `json:"id"`
	State     string `json:"state"`
	Public    string `json:"public"`
	From      string `json:"from"`
	RetiredAt string `json:"retired_at"`
}

func newKeyListCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List an institution's keys, those that are retired too",
		Example: "  risknet key list\n  risknet key list --reporter 5a386e6b68a2007898b5d3ce4845ae65 -o json", Args: cobra.NoArgs}
	reporter := reporterFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if _, err := reporter(risk.ID{}); err != nil {
			return err
		}
		c, err := dial(cmd)
		if err != nil {
			return err
		}
		defer c.Close()
		own, _ := risk.ParseID(c.Profile().Reporter)
		of, err := reporter(own)
		if err != nil {
			return err
		}
		if of.IsZero() {
			return usagef("reporter: is missing, and the profile has none; name an institution")
		}
		keys, err := c.AuthorKeys(cmd.Context(), of)
		if err != nil {
			return err
		}
		out, lines := []keyJSON{}, []table.Row{}
		for _, k := range keys {
			row := keyJSON{k.Id, keyState(k), fmt.Sprintf("%x", k.Public), moment(k.FromMs), moment(k.RetiredAtMs)}
			out = append(out, row)
			lines = append(lines, table.Row{row.ID, paint(row.State), row.From, row.RetiredAt})
		}
		return emit(cmd, out, func(w io.Writer) { rows(w, table.Row{"id", "state", "from", "retired"}, lines) })
	}
	return cmd
}

// keyState is active until the moment at which a key is retired.
func keyState(k *apiv1.AuthorKey) string {
	if k.RetiredAtMs != 0 && k.RetiredAtMs <= time.Now().UnixMilli() {
		return "retired"
	}
	return "active"
}
