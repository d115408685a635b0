package main

import (
	"fmt"
	"io"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	apiv1 "github.com/risknet/risknet/api/v1"
)

func newClusterCommand() *cobra.Command {
	return newNoun("cluster", "See how the network's nodes are", newClusterStatusCommand(), newClusterWaitCommand(), newClusterRemoveCommand(), newClusterRecoverCommand(), newClusterProtocolCommand())
}

type statusJSON struct {
	Name         string `json:"name"`
	Role         string `json:"role"`
	Size         uint64 `json:"size"`
	Root         string `json:"root"`
	Lag          uint64 `json:"lag"`
	AgeMS        int64  `json:"age_ms"`
	Listings     uint64 `json:"listings"`
	RulesVersion uint32 `json:"rules_version"`
	Institution  string `json:"institution"`
	Digest       string `json:"digest"`
	LedgerFrom   uint64 `json:"ledger_from"`
	// CertificateExpiresAt is empty for a node that is down.
	CertificateExpiresAt string `json:"certificate_expires_at"`
}

func newClusterStatusCommand() *cobra.Command {
	return &cobra.Command{Use: "status", Short: "One row for each configured node, also one that is down",
		Example: "  risknet cluster status -o json", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := dial(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			list, err := c.Status(cmd.Context())
			if err != nil {
				return err
			}
			return emitStatus(cmd, list)
		}}
}

func emitStatus(cmd *cobra.Command, list []*apiv1.StatusRow) error {
	out, lines := []statusJSON{}, []table.Row{}
	for _, r := range list {
		s := statusJSON{r.Name, r.Role, r.Size, fmt.Sprintf("%x", r.Root), r.Lag, r.AgeMs, r.Listings, r.RulesVersion,
			r.Institution, fmt.Sprintf("%x", r.Digest), r.LedgerFrom, moment(r.CertificateExpiresAtMs)}
		out = append(out, s)
		if s.Role == "down" {
			lines = append(lines, table.Row{s.Name, paint(s.Role), s.Institution, "–", "–", "–", "–", "–", "–", "–"})
			continue
		}
		lines = append(lines, table.Row{s.Name, paint(s.Role), s.Institution, s.Size, s.Root[:min(16, len(s.Root))], s.Lag,
			ageText(s.AgeMS), many(s.Listings), s.RulesVersion, s.LedgerFrom})
	}
	for _, warning := range endingCertificates(list, time.Now()) {
		note(cmd, "%s", warning)
	}
	return emit(cmd, out, func(w io.Writer) {
		rows(w, table.Row{"node", "role", "institution", "size", "root", "lag", "age", "listings", "rules", "ledger from"}, lines)
	})
}

// renewWithin is how long before its end a certificate should be replaced.
const renewWithin = 30 * 24 * time.Hour

// endingCertificates says of which nodes the certificate ends soon.
func endingCertificates(list []*apiv1.StatusRow, now time.Time) (warnings []string) {
	for _, r := range list {
		left := time.UnixMilli(r.CertificateExpiresAtMs).Sub(now)
		if r.CertificateExpiresAtMs == 0 || left >= renewWithin {
			continue
		}
		ends := fmt.Sprintf("ends at %s, in %s", moment(r.CertificateExpiresAtMs), counted(int(left/(24*time.Hour)), "day"))
		if left <= 0 {
			ends = "ended at " + moment(r.CertificateExpiresAtMs)
		}
		warnings = append(warnings, fmt.Sprintf("warning: the certificate of %s (%s) %s; issue a new one with risknet ca issue and put it in the place of the old one, the node need not be restarted", r.Name, r.Institution, ends))
	}
	return warnings
}

// neverFresh is more than any age: a view that was never known to be complete has
// the longest there is.
const neverFresh = 100 * 365 * 24 * 3600 * 1000

// ageText is an age for people.
func ageText(ms int64) string {
	if ms > neverFresh {
		return "unknown"
	}
	if ms >= 10_000 {
		return (time.Duration(ms) * time.Millisecond).Round(time.Second).String()
	}
	return fmt.Sprintf("%d ms", ms)
}
