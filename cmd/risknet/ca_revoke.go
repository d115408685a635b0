package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/node"
	"github.com/risknet/risknet/risk"
)

type revokedJSON struct {
	Fingerprint string `json:"fingerprint"`
	Identity    string `json:"identity,omitempty"`
	Size        uint64 `json:"size"`
}

func newCARevokeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "revoke --certificate FILE | --fingerprint HEX",
		Short: "End a certificate before its time, on every node",
		Long: `End a certificate whose key was stolen or whose holder has left. Every node refuses
it from then on, at all its ports and when it dials, and ends the connections that
it has. It is known by its key: other certificates for the same key end with it,
and one with a new key is not affected. This cannot be undone. One hub key signs it.

Of a node's certificate: issue another first (ca issue) and put it in the node's
directory, or the node is cut off until then.`,
		Example: "  risknet ca revoke --certificate teller/tls.pem --reason stolen\n  risknet ca revoke --fingerprint 5e0c…73 --yes",
		Args:    cobra.NoArgs}
	file := cmd.Flags().String("certificate", "", "PEM `file` of the certificate")
	digits := cmd.Flags().String("fingerprint", "", "SHA-256 of its public key (SubjectPublicKeyInfo), 64 `hex` digits")
	reason := cmd.Flags().String("reason", "", "why, in a few words; it stands in the ledger")
	yes := cmd.Flags().Bool("yes", false, "do not ask")
	cmd.MarkFlagsMutuallyExclusive("certificate", "fingerprint")
	cmd.MarkFlagsOneRequired("certificate", "fingerprint")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		out, fingerprint, err := whatToRevoke(*file, *digits)
		if err != nil {
			return err
		}
		c, signer, err := author(cmd)
		if err != nil {
			return err
		}
		defer c.Close()
		if err := notOwn(c.Profile(), fingerprint); err != nil {
			return err
		}
		if err := confirm(cmd, *yes, "No node will ever let %s in again. Revoke it?", described(out)); err != nil {
			return err
		}
		receipt, err := signer.Do(cmd.Context(), &risk.RevokeCertificate{Fingerprint: risk.Hash(fingerprint), Reason: *reason}, nil, nil)
		if err != nil {
			return err
		}
		out.Size = receipt.Leaf + 1
		return emit(cmd, out, func(w io.Writer) { fmt.Fprintf(w, "%s is revoked\n", described(out)) })
	}
	return cmd
}

func described(r revokedJSON) string {
	if r.Identity == "" {
		return "the certificate of key " + r.Fingerprint
	}
	return r.Identity
}

func whatToRevoke(file, digits string) (revokedJSON, node.Fingerprint, error) {
	if file == "" {
		hash, err := risk.ParseHash(digits)
		if err != nil {
			return revokedJSON{}, node.Fingerprint{}, usagef("fingerprint: %v; it is the SHA-256 of the certificate's public key", err)
		}
		return revokedJSON{Fingerprint: hash.String()}, node.Fingerprint(hash), nil
	}
	cert, err := readCertificate(file)
	if err != nil {
		return revokedJSON{}, node.Fingerprint{}, fmt.Errorf("certificate: %w", err)
	}
	id, err := node.IdentityOf(cert)
	if err != nil {
		return revokedJSON{}, node.Fingerprint{}, err
	}
	fingerprint := node.FingerprintOf(cert)
	return revokedJSON{Fingerprint: risk.Hash(fingerprint).String(), Identity: id.URI().String()}, fingerprint, nil
}

func readCertificate(file string) (*x509.Certificate, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%w; name a PEM file", err)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("%s holds no PEM certificate; name the right file", file)
	}
	return x509.ParseCertificate(block.Bytes)
}

// notOwn keeps a profile from cutting itself off in the middle of its command.
func notOwn(p *client.Profile, fingerprint node.Fingerprint) error {
	pair, err := tls.LoadX509KeyPair(p.Certificate, p.Key)
	if err != nil {
		return fmt.Errorf("profile: certificate: %w", err)
	}
	if node.FingerprintOf(pair.Leaf) == fingerprint {
		return errors.New("certificate: is the one that this profile connects with; issue another, put it into the profile, and revoke this one with that")
	}
	return nil
}
