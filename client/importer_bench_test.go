package client_test

import (
	"context"
	"testing"
	"time"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/risk"
)

// signing is a sender whose commands nobody takes.
type signing struct{ *client.Author }

func (s signing) Do(_ context.Context, p risk.Params, items []risk.Item, bodies []risk.Body) (*apiv1.Receipt, error) {
	signed, err := s.Sign(p, items, bodies)
	if err != nil {
		return nil, err
	}
	signed.Encode()
	receipt := &apiv1.Receipt{Outcomes: make([]*apiv1.Outcome, len(items))}
	created := &apiv1.Outcome{Status: risk.Created.String()}
	for i := range items {
		receipt.Outcomes[i] = created
	}
	return receipt, nil
}

// What an import costs whoever sends it, apart from the sending.
func BenchmarkImporter(b *testing.B) {
	const count = 50 * risk.MaxItems
	template := client.NewReport(risk.KindDevice, time.Now())
	if err := template.Set("expires", "1h"); err != nil {
		b.Fatal(err)
	}
	keys := testKeyring(b, 1)
	to := signing{newNetwork(b).author()}
	b.ReportAllocs()
	for b.Loop() {
		rows, err := template.OpenRows(client.BenchValues(count, time.Now()), time.Now(), client.RowOptions{Format: client.FormatValues})
		if err != nil {
			b.Fatal(err)
		}
		im := &client.Importer{Template: template, Keys: keys, To: to}
		if got, err := im.Run(b.Context(), rows); err != nil || got.Accepted != count {
			b.Fatal(got, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/count, "ns/listing")
}
