package main

import (
	"strings"
	"testing"
	"time"

	apiv1 "github.com/risknet/risknet/api/v1"
)

func TestStatusWarnsOfCertificatesThatEndSoon(t *testing.T) {
	now := time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)
	row := func(name string, left time.Duration) *apiv1.StatusRow {
		return &apiv1.StatusRow{Name: name, Institution: "acme", CertificateExpiresAtMs: now.Add(left).UnixMilli()}
	}
	got := endingCertificates([]*apiv1.StatusRow{row("far", 30*24*time.Hour), row("near", 30*24*time.Hour-time.Second),
		row("tomorrow", 25*time.Hour), row("over", -time.Hour), {Name: "down", Role: "down"}}, now)
	if len(got) != 3 {
		t.Fatalf("%d warnings:\n%s", len(got), strings.Join(got, "\n"))
	}
	for i, want := range []string{"near (acme) ends at 2027-02-01T03:04:04Z, in 29 days", "tomorrow (acme) ends at 2027-01-03T04:04:05Z, in 1 day;", "over (acme) ended at 2027-01-02T02:04:05Z"} {
		if !strings.Contains(got[i], want) {
			t.Errorf("%s; want %q", got[i], want)
		}
	}
}
