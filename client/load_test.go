package client_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/rules"
)

func TestALoadCountsWhatTheNodeAnswers(t *testing.T) {
	p := newPKI(t)
	n := p.startNode(t, map[string]bool{tokenOf(t, risk.KindDevice, "risknet-bench-listed-0"): true})
	n.keyring = keyringResponse(1, &apiv1.Scope{Family: 1, Length: 32})
	for _, mode := range client.LoadModes {
		c := dialNode(t, p, n.address, "")
		got, err := c.Load(t.Context(), client.Load{Mode: mode, Duration: 150 * time.Millisecond, Subjects: 6, Hits: 0.5})
		if err != nil {
			t.Fatal(err)
		}
		if got.Checks == 0 || got.Errors != 0 || got.Seconds < 0.1 || got.Percentile(99) < got.Percentile(50) || got.Percentile(50) <= 0 {
			t.Errorf("%s: %+v", mode, got)
		}
	}
	if n.raw != 0 {
		t.Errorf("%d raw values were sent", n.raw)
	}
}

func TestServerUseComesFromTheNodesOwnMetrics(t *testing.T) {
	p := newPKI(t)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "# HELP risknet_checks_total x\nrisknet_checks_total{advice=\"allow\"} 40\nrisknet_checks_total{advice=\"deny\"} 2\nrisknet_checks_total_other 7\n")
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{p.server}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: p.pool}
	server.StartTLS()
	defer server.Close()
	profile := p.profile(t, "127.0.0.1:1")
	profile.HTTP = server.Listener.Addr().String()
	c, err := client.Dial(profile, "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got, err := c.ServerUse(t.Context()); err != nil || got.Checks != 42 {
		t.Errorf("got %+v (%v)", got, err)
	}
}

func TestBenchmarkRulesCompile(t *testing.T) {
	for _, n := range []int{1, 100, risk.MaxRules} {
		program, err := rules.Compile(client.BenchRules(n))
		if err != nil {
			t.Fatalf("%d rules: %v", n, err)
		}
		if len(program.Rules()) != n {
			t.Errorf("%d rules instead of %d", len(program.Rules()), n)
		}
	}
}

func TestBenchmarkValuesAreThatMany(t *testing.T) {
	text, err := io.ReadAll(client.BenchValues(1000, time.Unix(1, 0)))
	if err != nil || strings.Count(string(text), "\n") != 1000 {
		t.Errorf("%d lines (%v)", strings.Count(string(text), "\n"), err)
	}
}

func FuzzMetrics(f *testing.F) {
	f.Add("risknet_checks_total{a=\"b\"} 1\nrisknet_checks_total 2 1700000000\n")
	f.Add("risknet_checks_total }\n")
	f.Fuzz(func(t *testing.T, text string) {
		if n, err := client.SumMetric(strings.NewReader(text), "risknet_checks_total"); err != nil && n != 0 {
			t.Fatalf("%g beside %v", n, err)
		}
	})
}

func BenchmarkCheckFile(b *testing.B) {
	p := newPKI(b)
	n := p.startNode(b, nil)
	n.keyring = keyringResponse(1, &apiv1.Scope{Family: 1, Length: 32}, &apiv1.Scope{Family: 1, Length: 24},
		&apiv1.Scope{Family: 3, Length: 2}, &apiv1.Scope{Family: 3, Length: 3})
	var text strings.Builder
	text.WriteString("ip,email\n")
	for i := range b.N {
		fmt.Fprintf(&text, "10.%d.%d.%d,someone%d@mail.example.org\n", i>>16&255, i>>8&255, i&255, i)
	}
	c := dialNode(b, p, n.address, "")
	rows, err := client.NewRowReader(strings.NewReader(text.String()), client.QuestionRows(client.RowOptions{Format: client.FormatCSV}))
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	checker := &client.Checker{Client: c, Answer: func(client.Answer) error { return nil }}
	if _, err := checker.Run(b.Context(), rows); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkImport(b *testing.B) {
	var text strings.Builder
	for i := range b.N {
		fmt.Fprintf(&text, "10.%d.%d.%d\n", i>>16&255, i>>8&255, i&255)
	}
	b.ResetTimer()
	got := importText(b, nil, risk.KindIP, text.String(), client.RowOptions{Format: client.FormatValues})
	if got.err != nil {
		b.Fatal(got.err)
	}
}

func TestALoadCountsAnswersThatAreNone(t *testing.T) {
	root := make([]byte, 32)
	data, err := (&apiv1.CheckBatchResponse{Checks: []*apiv1.CheckResponse{
		{Advice: "allow", Root: root, Listed: true, Size: 1 << 40, Reasons: []*apiv1.Reason{{Text: "x"}}},
		{Advice: "deny", Root: root, Error: "currency: XXX is none"},
		{Root: root}, {Advice: "allow"}, {},
	}}).MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	if checks, errs, err := client.CountAnswers(data); checks != 5 || errs != 4 || err != nil {
		t.Errorf("%d answers, %d of them none, %v", checks, errs, err)
	}
	if _, _, err := client.CountAnswers(data[:len(data)-1]); err == nil {
		t.Error("half a message is taken for a whole one")
	}
}
