package node

import (
	"context"
	"fmt"
	"strings"
	"testing"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/check"
	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/token"
)

const benchBatch = 64

// ruled is a desk with a hundred rules of the shapes that institutions write, and some
// more; dynamics are on where they are given.
func ruled(b *testing.B, dynamics *check.Dynamics, more string) *desk {
	d := newDesk(b)
	var text strings.Builder
	text.WriteString("name: bench\non_error: {pre: step_up, in: step_up, post: observe}\nrules:\n" + more)
	for i := range 100 {
		when := fmt.Sprintf(`payment.mcc == "%d" && payment.amount > %d`, 5000+i%1000, 900_000+i)
		switch i % 4 {
		case 1:
			when = fmt.Sprintf(`payee.listed && payment.amount > %d`, 900_000+i)
		case 2:
			when = fmt.Sprintf(`any.reporters >= 2 && payment.country != "C%c"`, 'A'+rune(i%26))
		case 3:
			when = fmt.Sprintf(`payment.channel == "c%d" && payer.level == 1`, i)
		}
		fmt.Fprintf(&text, "- {id: b-%d, phase: in, when: '%s', advice: observe, reason: {en: b, zh: b}}\n", i, when)
	}
	var err error
	if d.checker, err = check.New(check.Config{Now: d.now, Dynamics: dynamics}); err != nil {
		b.Fatal(err)
	}
	if err := d.restored(); err != nil {
		b.Fatal(err)
	}
	d.checker.SetFresh(d.at)
	d.metrics = newMetrics(d.Node)
	view := d.checker.Load()
	d.checker.Absorb(check.Batch{Version: view.Version, Head: view.Head, Time: view.Time, Rules: []check.RuleSet{{Version: 1, Text: []byte(text.String())}}})
	if d.checker.Load().Program == nil {
		b.Fatal("the rules do not compile")
	}
	return d
}

// batches makes messages of questions about six clean subjects each.
func (d *desk) batches(raw bool) (messages [][]byte) {
	keys := d.keys.Load()
	for m := range 32 {
		in := &apiv1.CheckBatchRequest{}
		for i := m * benchBatch; i < (m+1)*benchBatch; i++ {
			one := &apiv1.CheckRequest{ScopesVersion: keys.scopesVersion, Payment: &apiv1.Payment{Amount: int64(i) * 17, Currency: "CNY",
				Mcc: fmt.Sprint(5000 + i%1000), Channel: "netsunion", Country: "CN", PayerCountry: "CN", Phase: "in"}}
			for _, s := range []struct{ kind, role, value string }{
				{"account", "payer", fmt.Sprintf("0102/%012x", i*7919)}, {"merchant", "payee", fmt.Sprintf("bench/%012x", i*7919)},
				{"ip", "", fmt.Sprintf("203.0.%d.%d", i>>8&255, i&255)}, {"device", "payer", fmt.Sprintf("bench-%012x", i*7919)},
				{"terminal", "payee", fmt.Sprintf("bench/%012x", i*7919)}, {"mini_program", "", fmt.Sprintf("bench-%012x", i*7919)},
			} {
				subject := &apiv1.Subject{Kind: s.kind, Role: s.role, Value: s.value}
				if kind, _ := risk.ParseKind(s.kind); !raw {
					asked, err := keys.ring.Ask(nil, kind, s.value, token.ScopesInUse{})
					if err != nil {
						d.t.Fatal(err)
					}
					subject.Value = ""
					for _, a := range asked {
						subject.Tokens = append(subject.Tokens, &apiv1.AskedToken{Scope: scopeMessage(a.Scope), Epoch: uint32(a.Epoch), Token: a.Token[:]})
					}
				}
				one.Subjects = append(one.Subjects, subject)
			}
			in.Checks = append(in.Checks, one)
		}
		data, err := in.MarshalVT()
		if err != nil {
			d.t.Fatal(err)
		}
		messages = append(messages, data)
	}
	return messages
}

// BenchmarkBatch is all that a node does with batches of 64 checks, but for the
// transport: with tokens and raw identifiers, and with and without what is to stay off
// this path, the journal and the dynamics. Times are of one check.
func BenchmarkBatch(b *testing.B) {
	moves := "- {id: m, phase: in, when: 'payer.count_1h > 100000', advice: observe, reason: {en: m, zh: m}}\n"
	for _, c := range []struct {
		name         string
		raw, journal bool
		dynamics     *check.Dynamics
		more         string
	}{
		{name: "tokens"},
		{name: "raw", raw: true},
		{name: "tokens/journal", journal: true},
		{name: "tokens/dynamics", dynamics: check.NewDynamics(32_768), more: moves},
		{name: "tokens/dynamics that no rule reads", dynamics: check.NewDynamics(32_768)},
	} {
		b.Run(c.name, func(b *testing.B) {
			d := ruled(b, c.dynamics, c.more)
			journal := d.look
			defer func() { d.look = journal }()
			if c.journal {
				ctx, stop := context.WithCancel(context.Background())
				done := make(chan struct{})
				go func() { _ = d.keepJournal(ctx); close(done) }()
				defer func() { stop(); <-done }()
			} else {
				d.look = nil
			}
			service, messages := newCheckService(d.Node), d.batches(c.raw)
			out, who := &rawResponse{}, Identity{Institution: "member", Role: RoleHub}
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < b.N; i += benchBatch {
				if _, err := service.batch(b.Context(), messages[i/benchBatch%len(messages)], who, out); err != nil {
					b.Fatal(err)
				}
			}
			if d.look != nil {
				b.ReportMetric(100*float64(journal.lost())/float64(b.N), "%dropped")
			}
		})
	}
}
