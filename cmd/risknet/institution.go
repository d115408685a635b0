package main

import (
	"fmt"
	"io"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/risk"
)

func newInstitutionCommand() *cobra.Command {
	return newNoun("institution", "See who is in the network, and take somebody in",
		newInstitutionListCommand(), newInstitutionApplyCommand(), newInstitutionAdvanceCommand(), newInstitutionSuspendCommand(),
		newInstitutionConformanceCommand(), newInstitutionAdmitCommand())
}

type institutionJSON struct {
	Reporter   string `json:"reporter"`
	Role       string `json:"role"`
	Keys       uint32 `json:"keys"`
	AdmittedAt string `json:"admitted_at"`
	Commitment string `json:"commitment"`
	Stage      string `json:"stage"`
	Purposes   string `json:"purposes"`
	Reported   uint64 `json:"reported"`
	Errors     uint64 `json:"errors"`
	Precision  uint32 `json:"precision"`
}

func newInstitutionListCommand() *cobra.Command {
	return &cobra.Command{Use: "list", Short: "List the institutions by their reporting ids",
		Long: `Lists the institutions by their reporting ids; their names are in no ledger.

JSON: [{"reporter","role","keys","admitted_at","commitment","stage","purposes"}]; the
purposes are those of the move to signed, with + between.`,
		Example: "  risknet institution list", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := dial(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			list, err := c.Institutions(cmd.Context())
			if err != nil {
				return err
			}
			out, lines := []institutionJSON{}, []table.Row{}
			for _, i := range list {
				out = append(out, institutionJSON{i.Reporter, i.Role, i.Keys, moment(i.AdmittedAtMs), fmt.Sprintf("%x", i.Commitment), i.Stage, i.Purposes, i.Reported, i.Errors, i.Precision})
				lines = append(lines, table.Row{i.Reporter, i.Role, i.Stage, i.Purposes, i.Reported, i.Errors, i.Keys, moment(i.AdmittedAtMs)})
			}
			return emit(cmd, out, func(w io.Writer) {
				rows(w, table.Row{"reporter", "role", "stage", "purposes", "reported", "errors", "keys", "entered"}, lines)
			})
		}}
}

type admittedJSON struct {
	Name     string `json:"name"`
	Role     string `json:"role"`
	Reporter string `json:"reporter"`
	Salt     string `json:"salt"`
	Size     uint64 `json:"size"`
}

func newInstitutionAdmitCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "admit --name NAME --reporter-key FILE", Short: "Take in an institution at once, past all stages",
		Long: "Takes in an institution at once, by the hub's threshold of keys and past all stages:\n" +
			"for those that found the network. Others come by institution apply. Its peers see\n" +
			"only the reporting id. The salt opens the commitment to its name: keep it, and show\n" +
			"it to the auditor alone.\n\n" +
			`JSON: {"name","role","reporter","salt","size"}.`,
		Example: "  risknet institution admit --name acme-pay --role member --reporter-key acme.key.pub", Args: cobra.NoArgs}
	name := cmd.Flags().String("name", "", "the institution's name; it does not enter the ledger")
	roleName := cmd.Flags().String("role", "member", "member or auditor")
	files := cmd.Flags().StringArray("reporter-key", nil, "Ed25519 public key `file` (PEM) that will sign its reports; may be repeated")
	_ = cmd.MarkFlagRequired("name")
	_ = cmd.MarkFlagRequired("reporter-key")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		role, err := risk.ParseInstitutionRole(*roleName)
		if err != nil {
			return usageError{err.Error()}
		}
		admission := client.Admission{Name: *name, Role: role}
		for _, path := range *files {
			key, err := client.LoadPublicKey(path)
			if err != nil {
				return fmt.Errorf("reporter-key: %w", err)
			}
			admission.Keys = append(admission.Keys, key)
		}
		c, signer, err := author(cmd)
		if err != nil {
			return err
		}
		defer c.Close()
		opening, receipt, err := client.Admit(cmd.Context(), signer, admission)
		if err != nil {
			return err
		}
		out := admittedJSON{*name, role.String(), opening.Reporter.String(), fmt.Sprintf("%x", opening.Salt), receipt.Leaf + 1}
		return emit(cmd, out, func(w io.Writer) {
			fmt.Fprintf(w, "admitted %s as %s\nreporter: %s\nsalt:     %s  (keep it: it opens the commitment to the name)\n", out.Name, out.Role, out.Reporter, out.Salt)
		})
	}
	return cmd
}
