package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/risknet/risknet/node"
)

func newCACommand() *cobra.Command {
	return newNoun("ca", "Issue certificates with the network's CA, and revoke them", newCAIssueCommand(), newCARevokeCommand())
}

type issuedJSON struct {
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
	Identity    string `json:"identity"`
	Until       string `json:"until"`
}

type issueOptions struct {
	ca, caKey, out string
	identity       node.Identity
	hosts          []string
}

func newCAIssueCommand() *cobra.Command {
	var o issueOptions
	cmd := &cobra.Command{
		Use:   "issue --role ROLE --institution NAME --name NAME --out DIR",
		Short: "Issue a certificate and its key, valid for a year",
		Long: `Issue a certificate and its key, valid for a year, as tls.pem and tls.key in DIR.
Both are new each time; what is there is replaced. A node needs its hosts: every
name and address at which others reach it. A running node sees within seconds
that its files were replaced, and needs no restart. The old certificate stays
valid until its own end, or until it is revoked.`,
		Example: "  risknet ca issue --ca ca.pem --ca-key ca.key --role node --institution acme --name n2 --host 192.0.2.7 --out /etc/risknet\n" +
			"  risknet ca issue --ca ca.pem --ca-key ca.key --role member --institution acme --name teller --out teller",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			out, err := o.issue(time.Now())
			if err != nil {
				return err
			}
			return emit(cmd, out, func(w io.Writer) {
				fmt.Fprintf(w, "issued %s and %s to %s until %s\n", out.Certificate, out.Key, out.Identity, out.Until)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.ca, "ca", "ca.pem", "the CA's certificate `file`")
	flags.StringVar(&o.caKey, "ca-key", "ca.key", "the CA's key `file`")
	flags.StringVar(&o.identity.Role, "role", "", strings.Join(certificateRoles, ", ")+" (required)")
	flags.StringVar(&o.identity.Institution, "institution", "", "whose it is (required)")
	flags.StringVar(&o.identity.Name, "name", "", "name of the node, program or person (required)")
	flags.StringArrayVar(&o.hosts, "host", nil, "a `name` or address at which a node is reached; may be repeated")
	flags.StringVar(&o.out, "out", "", "`directory` to write into (required)")
	for _, name := range []string{"role", "institution", "name", "out"} {
		_ = cmd.MarkFlagRequired(name)
	}
	_ = cmd.RegisterFlagCompletionFunc("role", cobra.FixedCompletions(certificateRoles, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

var certificateRoles = []string{node.RoleNode, node.RoleHub, node.RoleMember, node.RoleAuditor, node.RoleOperator}

func (o *issueOptions) check() error {
	switch {
	case !slices.Contains(certificateRoles, o.identity.Role):
		return usagef("role: %q is not known; use %s", o.identity.Role, strings.Join(certificateRoles, ", "))
	case !plainName(o.identity.Institution):
		return usagef("institution: %q is not a name; use letters, digits, dots, - and _", o.identity.Institution)
	case !plainName(o.identity.Name):
		return usagef("name: %q is not a name; use letters, digits, dots, - and _", o.identity.Name)
	case o.identity.Role == node.RoleNode && len(o.hosts) == 0:
		return usagef("host: is missing; others check that a node's certificate names the host that they reach it at")
	}
	for _, host := range o.hosts {
		if _, _, err := net.SplitHostPort(host); err == nil || host == "" {
			return usagef("host: %q is not a name or an address; leave the port out", host)
		}
	}
	return nil
}

// plainName keeps a name from saying more parts of the identity's URI.
func plainName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("-_.", c))
	})
}

func (o *issueOptions) issue(now time.Time) (issuedJSON, error) {
	certPEM, err := os.ReadFile(o.ca)
	if err != nil {
		return issuedJSON{}, fmt.Errorf("ca: %w; name the network's CA certificate", err)
	}
	keyPEM, err := os.ReadFile(o.caKey)
	if err != nil {
		return issuedJSON{}, fmt.Errorf("ca-key: %w; whoever founded the network has it", err)
	}
	authority, err := node.LoadAuthority(certPEM, keyPEM)
	if err != nil {
		return issuedJSON{}, err
	}
	o.identity.Network = authority.Network()
	cert, key, err := authority.Issue(o.identity, o.hosts, now)
	if err != nil {
		return issuedJSON{}, err
	}
	out := issuedJSON{Certificate: filepath.Join(o.out, "tls.pem"), Key: filepath.Join(o.out, "tls.key"),
		Identity: o.identity.URI().String(), Until: now.AddDate(1, 0, 0).UTC().Format(time.DateOnly)}
	if err := os.MkdirAll(o.out, 0o700); err != nil {
		return out, fmt.Errorf("out: %w", err)
	}
	// If we crash between the two, they do not belong together and the node says
	// so when it starts; the command can be repeated.
	return out, errors.Join(replaceFile(out.Key, key, 0o600), replaceFile(out.Certificate, cert, 0o644))
}

// replaceFile writes a file beside the old one and switches it in.
func replaceFile(path string, text []byte, mode os.FileMode) error {
	temp := path + ".new"
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return os.Rename(temp, path)
}
