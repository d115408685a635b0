package main

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/audit"
	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/risk"
)

type stageJSON struct {
	Reporter string `json:"reporter"`
	Stage    string `json:"stage"`
	Size     uint64 `json:"size"`
}

type advanceOptions struct {
	reporter, to, comment, proof string
	node, salt                   string
	purposes                     []string
}

func newInstitutionAdvanceCommand() *cobra.Command {
	var o advanceOptions
	cmd := &cobra.Command{Use: "advance --reporter ID --to STAGE", Short: "Move an institution to another stage",
		Long: `Moves an institution along the way that the field has: applied, vetted (机构准入),
sandbox (联调测试), shadow (生产验证), signed (协议签约), live; between live and
quarantined; and over suspended to exited, from which nobody comes back.

To shadow it takes the report of a conformance run at the institution's node that
passed; to signed, that node's root is compared with the hub's first, and the purposes
are named. Which node is the institution's, its salt shows: the application commits to
the name that the node's record has. Signed, live, suspended and exited need the hub's threshold of keys.

JSON: {"reporter","stage","size"}; the move can be seen from size on.`,
		Example: "  risknet --profile hub.yaml institution advance --reporter 1cf7… --to vetted --comment 'file 2026/17'\n" +
			"  risknet --profile hub.yaml institution advance --reporter 1cf7… --to shadow --node n4 --salt 5f0c… --proof conformance.json\n" +
			"  risknet --profile hub.yaml institution advance --reporter 1cf7… --to signed --node n4 --salt 5f0c… --purposes transaction_screening",
		Args: cobra.NoArgs}
	flags := cmd.Flags()
	flags.StringVar(&o.reporter, "reporter", "", "the institution's reporting `id` (required)")
	flags.StringVar(&o.to, "to", "", "the `stage` (required)")
	flags.StringVar(&o.comment, "comment", "", "one line for the ledger")
	flags.StringVar(&o.proof, "proof", "", "report `file` of `institution conformance`; to shadow")
	flags.StringVar(&o.node, "node", "", "the institution's own node by `name`; to shadow and to signed")
	flags.StringVar(&o.salt, "salt", "", "what `institution apply --send` gave, in `hex`: it shows that the node is the institution's; to shadow and to signed")
	flags.StringSliceVar(&o.purposes, "purposes", nil, "what it may use shared data for: onboarding, transaction_screening, aml, investigation; to signed")
	_ = cmd.MarkFlagRequired("reporter")
	_ = cmd.MarkFlagRequired("to")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return o.run(cmd) }
	return cmd
}

func newInstitutionSuspendCommand() *cobra.Command {
	o := advanceOptions{to: risk.StageSuspended.String()}
	cmd := &cobra.Command{Use: "suspend --reporter ID", Short: "Take an institution out of the network's business",
		Long: "Suspends an institution: it may send nothing any more, and the way leads to exited\n" +
			"alone. For doubt that may pass, use `institution advance --to quarantined`.",
		Example: "  risknet --profile hub.yaml institution suspend --reporter 1cf7… --comment 'licence withdrawn'", Args: cobra.NoArgs}
	cmd.Flags().StringVar(&o.reporter, "reporter", "", "the institution's reporting `id` (required)")
	cmd.Flags().StringVar(&o.comment, "comment", "", "one line for the ledger")
	_ = cmd.MarkFlagRequired("reporter")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return o.run(cmd) }
	return cmd
}

func (o *advanceOptions) run(cmd *cobra.Command) error {
	params := &risk.Advance{Comment: o.comment}
	var err error
	if params.Reporter, err = risk.ParseID(o.reporter); err != nil {
		return usagef("reporter: %v; see institution list", err)
	}
	if params.To, err = risk.ParseStage(o.to); err != nil {
		return usagef("to: %v", err)
	}
	if params.Purposes, err = client.ParsePurposes(o.purposes); err != nil {
		return usagef("purposes: %v", err)
	}
	c, signer, err := author(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	if o.proof != "" || o.node != "" {
		if err := o.examine(cmd, c, params); err != nil {
			return err
		}
	}
	receipt, err := signer.Do(cmd.Context(), params, nil, nil)
	if err != nil {
		return err
	}
	out := stageJSON{o.reporter, params.To.String(), receipt.Leaf + 1}
	return emit(cmd, out, func(w io.Writer) { fmt.Fprintf(w, "%s is %s now\n", out.Reporter, out.Stage) })
}

// examine looks at the institution's own node, and not at whichever is named: the
// node's record names its institution, and the salt opens the applicant's commitment to
// that very name.
func (o *advanceOptions) examine(cmd *cobra.Command, c *client.Client, params *risk.Advance) error {
	network, err := c.Network(cmd.Context())
	if err != nil {
		return err
	}
	at := slices.IndexFunc(network.Nodes, func(n *apiv1.Node) bool { return n.Name == o.node })
	switch {
	case o.node == "":
		return usagef("node: is missing; name the institution's own node")
	case at < 0:
		return fmt.Errorf("node: the network has no node %q; see cluster status", o.node)
	}
	node := network.Nodes[at]
	if err := o.isItsNode(cmd, c, params.Reporter, node); err != nil {
		return err
	}
	if o.proof != "" {
		text, err := os.ReadFile(o.proof)
		if err != nil {
			return fmt.Errorf("proof: %w; name the report of `institution conformance`", err)
		}
		if params.Proof, err = client.ProveConformance(text, network.NetworkId, node.Api, time.Now()); err != nil {
			return fmt.Errorf("proof: %s: %w", o.proof, err)
		}
		return nil
	}
	head, err := o.sameRoot(cmd, node)
	params.Size, params.Root = head.Size, head.Root
	return err
}

func (o *advanceOptions) isItsNode(cmd *cobra.Command, c *client.Client, reporter risk.ID, node *apiv1.Node) error {
	raw, err := hex.DecodeString(o.salt)
	if err != nil || len(raw) != 16 {
		return usagef("salt: %q is not the one that `institution apply --send` gave, 32 hex digits: it shows whose node %s is", o.salt, o.node)
	}
	list, err := c.Institutions(cmd.Context())
	if err != nil {
		return err
	}
	want := risk.CommitInstitution([16]byte(raw), reporter, node.Institution)
	for _, one := range list {
		if one.Reporter == reporter.String() && bytes.Equal(one.Commitment, want[:]) {
			return nil
		}
	}
	return fmt.Errorf("node: %s is a node of %s, and %s has applied under another name: name its own node, and its own salt", node.Name, node.Institution, reporter)
}

// sameRoot compares the institution's node with the hub's own.
func (o *advanceOptions) sameRoot(cmd *cobra.Command, n *apiv1.Node) (risk.Head, error) {
	if len(n.LogKey) != 32 {
		return risk.Head{}, fmt.Errorf("node: the record of %s has no log key", n.Name)
	}
	a, err := openAudit(cmd)
	if err != nil {
		return risk.Head{}, err
	}
	defer a.log.Close()
	record := &risk.PutNode{Name: n.Name, HTTP: n.Http, LogKey: risk.PublicKey{Algorithm: risk.Ed25519, Bytes: [32]byte(n.LogKey)}}
	return audit.SameRoot(cmd.Context(), a.log, audit.Network{TLS: a.tls}, record)
}

type applyOptions struct {
	name, role          string
	keys                []string
	draft, cosign, send string
	signingKey          string
}

func newInstitutionApplyCommand() *cobra.Command {
	var o applyOptions
	cmd := &cobra.Command{Use: "apply --name NAME --reporter-key FILE --draft FILE", Short: "Bring an application into the ledger, signed by hub and applicant",
		Long: `An application is signed by the hub and by one of the applicant's own keys, so that
nobody is entered under a key that is not its own. The hub drafts it, the applicant
signs the file (which needs no profile and no network), and the hub sends it, within
a day. The applicant signs only if the name and the role are its own, and all keys:
it gives --name (and --role), and names the keys beside --signing-key with
--reporter-key. Which network it is to join is told as it signs. Where both keys are at hand, --signing-key does all
at once.

JSON: {"reporter","stage","size"} of --draft and --cosign, where stage is drafted or
signed; {"name","role","reporter","salt","size"} when it is sent.`,
		Example: "  risknet --profile hub.yaml institution apply --name acme-pay --reporter-key acme.key.pub --draft acme.json\n" +
			"  risknet institution apply --cosign acme.json --name acme-pay --signing-key acme.key\n" +
			"  risknet --profile hub.yaml institution apply --send acme.json",
		Args: cobra.NoArgs}
	flags := cmd.Flags()
	flags.StringVar(&o.name, "name", "", "the institution's name; it does not enter the ledger")
	flags.StringVar(&o.role, "role", "member", "member or auditor")
	flags.StringArrayVar(&o.keys, "reporter-key", nil, "Ed25519 public key `file` (PEM); the first one signs the application; may be repeated")
	flags.StringVar(&o.draft, "draft", "", "write the application to this `file`")
	flags.StringVar(&o.cosign, "cosign", "", "sign this application `file` as the applicant")
	flags.StringVar(&o.send, "send", "", "send this application `file`")
	flags.StringVar(&o.signingKey, "signing-key", "", "the applicant's own key `file` (PEM PKCS#8)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		switch {
		case o.cosign != "":
			return o.cosigned(cmd)
		case o.send != "":
			return o.sent(cmd)
		case o.name == "":
			return usagef("name: is missing; give the institution's name, or --cosign or --send a file")
		}
		return o.drafted(cmd)
	}
	return cmd
}

func (o *applyOptions) drafted(cmd *cobra.Command) error {
	role, err := risk.ParseInstitutionRole(o.role)
	if err != nil {
		return usageError{err.Error()}
	}
	if o.draft == "" && o.signingKey == "" {
		return usagef("draft: is missing; name a file for the applicant to sign, or its --signing-key")
	}
	admission := client.Admission{Name: o.name, Role: role}
	if len(o.keys) == 0 && o.signingKey != "" {
		o.keys = []string{o.signingKey}
	}
	if admission.Keys, err = o.publicKeys(); err != nil {
		return err
	}
	if len(admission.Keys) == 0 {
		return usagef("reporter-key: is missing; give the public key that will sign the institution's reports")
	}
	c, signer, err := author(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	app, err := client.Draft(signer, admission)
	if err != nil {
		return err
	}
	if o.signingKey == "" {
		return o.write(cmd, o.draft, app, "drafted")
	}
	key, err := client.LoadSigningKey(o.signingKey)
	if err != nil {
		return fmt.Errorf("signing-key: %w", err)
	}
	if err := app.Cosign(key, admission); err != nil {
		return err
	}
	receipt, err := app.Send(cmd.Context(), signer)
	return o.applied(cmd, app, receipt, err)
}

func (o *applyOptions) write(cmd *cobra.Command, file string, app *client.Application, done string) error {
	text, err := json.MarshalIndent(app, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("draft: %w", err)
	}
	return emit(cmd, stageJSON{Reporter: app.Reporter, Stage: done}, func(w io.Writer) {
		fmt.Fprintf(w, "%s %s for %s\n", done, file, app.Reporter)
	})
}

func (o *applyOptions) cosigned(cmd *cobra.Command) error {
	role, err := risk.ParseInstitutionRole(o.role)
	switch {
	case err != nil:
		return usageError{err.Error()}
	case o.signingKey == "":
		return usagef("signing-key: is missing; name the applicant's own key")
	case o.name == "":
		return usagef("name: is missing; give the name under which you apply, as the auditor is to know you")
	}
	app, err := readApplication(o.cosign)
	if err != nil {
		return err
	}
	key, err := client.LoadSigningKey(o.signingKey)
	if err != nil {
		return fmt.Errorf("signing-key: %w", err)
	}
	beside, err := o.publicKeys()
	if err != nil {
		return err
	}
	if err := app.Cosign(key, client.Admission{Name: o.name, Role: role, Keys: beside}); err != nil {
		return err
	}
	network, err := app.Network()
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s applies as a %s of the network %s\n", o.name, role, network)
	return o.write(cmd, o.cosign, app, "signed")
}

func (o *applyOptions) publicKeys() (keys []risk.PublicKey, err error) {
	for _, path := range o.keys {
		key, err := client.LoadEitherKey(path)
		if err != nil {
			return nil, fmt.Errorf("reporter-key: %w", err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func (o *applyOptions) sent(cmd *cobra.Command) error {
	app, err := readApplication(o.send)
	if err != nil {
		return err
	}
	c, signer, err := author(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	receipt, err := app.Send(cmd.Context(), signer)
	return o.applied(cmd, app, receipt, err)
}

func readApplication(file string) (*client.Application, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("application: %w; name the file that `institution apply --draft` has written", err)
	}
	app, _, err := client.ParseApplication(text)
	return app, err
}

func (o *applyOptions) applied(cmd *cobra.Command, app *client.Application, receipt *apiv1.Receipt, err error) error {
	if err != nil {
		return err
	}
	out := admittedJSON{o.name, o.role, app.Reporter, fmt.Sprintf("%x", app.Salt), receipt.Leaf + 1}
	return emit(cmd, out, func(w io.Writer) {
		fmt.Fprintf(w, "%s has applied\nreporter: %s\nsalt:     %s  (keep it: it opens the commitment to the name)\n", cmp.Or(out.Name, "the institution"), out.Reporter, out.Salt)
	})
}

func newInstitutionConformanceCommand() *cobra.Command {
	var file string
	var publish bool
	cmd := &cobra.Command{Use: "conformance --report FILE", Short: "Run the network's conformance vectors against a node (联调测试)",
		Long: `Asks the profile's own node, as the institution's systems would, about identifiers
that nobody has and that the hub has listed for this, in many spellings; about others
that are not listed; and about what is no identifier. Each is asked raw and by tokens
made here. Ends with 1 if the node answers any of them otherwise than the vectors say.

The report also says whether this program makes the right normal forms, tokens and
commands. The hub need not believe it: it can run the vectors itself, with --endpoint
of the applicant's node.

The hub lists the identifiers with --publish; they expire after 30 days.

JSON: the report, {"network","node","protocol","vectors","time","size","root",
"probes","failures"}; with --publish {"listed"}.`,
		Example: "  risknet --profile hub.yaml institution conformance --publish\n  risknet --profile acme.yaml institution conformance --report conformance.json",
		Args:    cobra.NoArgs}
	cmd.Flags().StringVar(&file, "report", "", "write the report to this `file`")
	cmd.Flags().BoolVar(&publish, "publish", false, "list the vectors' identifiers, as the hub")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if publish {
			return publishConformance(cmd)
		}
		if file == "" {
			return usagef("report: is missing; name the file that the hub is to get")
		}
		return runConformance(cmd, file)
	}
	return cmd
}

func publishConformance(cmd *cobra.Command) error {
	c, signer, err := author(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	keys, err := c.Keyring(cmd.Context())
	if err != nil {
		return err
	}
	listed, err := client.PublishConformance(cmd.Context(), signer, keys)
	if err != nil {
		return err
	}
	return emit(cmd, map[string]int{"listed": listed}, func(w io.Writer) { fmt.Fprintf(w, "%s identifiers are listed\n", many(listed)) })
}

func runConformance(cmd *cobra.Command, file string) error {
	c, err := dial(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	report, err := client.RunConformance(cmd.Context(), c)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	err = emit(cmd, report, func(w io.Writer) {
		fmt.Fprintf(w, "%d probes, %d failed; the report is in %s\n", report.Probes, len(report.Failures), file)
		for _, failure := range report.Failures {
			fmt.Fprintln(w, " ", failure)
		}
	})
	if err == nil && len(report.Failures) > 0 {
		err = fmt.Errorf("conformance: %d of %d probes failed", len(report.Failures), report.Probes)
	}
	return err
}
