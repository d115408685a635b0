package client_test

import (
	"strings"
	"testing"
	"time"

	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/risk"
)

// samples has a good value for each field of a listing and of a check.
var samples = map[string]string{
	"value": "203.0.113.7", "code": "7", "level": "1", "list": "hint", "expires": "30d", "source_date": "2026-01-31",
	"origin": "authority:court", "advice": "limit", "tier": "2", "role": "victim", "phases": "pre+in", "purposes": "aml;investigation",
	"handling": "3", "exit_days": "5", "effective": "2026-01-31", "found": "2026-01-31", "occurred_from": "2026-01-01",
	"occurred_to": "2026-01-02", "review": "2027-01-01", "category": "fraud", "channel": "GA", "reference": "no. 5", "listed": "2026-01-31", "delisted": "2026-02-28", "chain": "btc",
	"legal_basis": "Art. 16", "note": "n", "note_zh": "注", "exit_how": "h", "exit_papers": "p", "exit_whom": "w",
	"transaction_id": "t1", "time": "2026-01-31T12:00:00+08:00", "amount": "100", "currency": "CNY", "mcc": "5411",
	"scene": "qr", "country": "CN", "payer_country": "DE", "phase": "in", "purpose": "aml",
	"merchant": "acq/1", "person": "passport is not tested here", "company": "DE/HRB/1", "account": "0102/1", "card": "4111111111111111",
	"phone": "+442079460000", "email": "a@example.com", "device": "d", "terminal": "acq/1", "ip": "::1", "domain": "example.com",
	"url": "https://example.com/x", "wallet": "eth:0x52908400098527886E0F7030069857D2E4169EE7", "mini_program": "m", "agent": "DE/HRB/1", "store": "acq/1",
}

func TestEveryFieldCanBeSet(t *testing.T) {
	for _, field := range client.ReportFields() {
		report := client.NewReport(risk.KindIP, time.Now())
		if samples[field] == "" {
			t.Errorf("no sample for %s", field)
		} else if err := report.Set(field, samples[field]); err != nil {
			t.Errorf("listing: %v", err)
		}
	}
	for _, field := range client.QuestionFields() {
		var q client.Question
		name := field[strings.LastIndexByte(field, '.')+1:]
		if name == "person" {
			continue // its forms are the business of package token
		}
		if err := q.Set(field, samples[name]); err != nil {
			t.Errorf("check: %s: %v", field, err)
		}
	}
}

func TestADateOfListingIsNotStillToCome(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	report := client.NewReport(risk.KindIP, now)
	if err := report.Set("listed", "2026-11-24"); err != nil {
		t.Errorf("it is tomorrow in the east: %v", err)
	}
	if err := report.Set("listed", "2031-01-01"); err == nil || !strings.Contains(err.Error(), "still to come") {
		t.Errorf("got %v", err)
	}
}

func TestARecordNamesOneIdentifier(t *testing.T) {
	report := client.NewReport(risk.KindIP, time.Now())
	if err := report.Set("ip", "::1"); err != nil {
		t.Fatal(err)
	}
	if err := report.Set("card", "4111111111111111"); err == nil || !strings.Contains(err.Error(), "two identifiers") {
		t.Errorf("got %v", err)
	}
}

// FuzzFields: no text upsets a field, and no error repeats an identifier.
func FuzzFields(f *testing.F) {
	fields := append(client.ReportFields(), client.QuestionFields()...)
	for i, field := range fields {
		f.Add(uint8(i), samples[field])
	}
	f.Fuzz(func(t *testing.T, at uint8, text string) {
		field := fields[int(at)%len(fields)]
		report := client.NewReport(risk.KindIP, time.Now())
		_ = report.Set(field, text)
		var q client.Question
		err := q.Set(field, text)
		kind, kindErr := risk.ParseKind(field[strings.LastIndexByte(field, '.')+1:])
		if err != nil && kindErr == nil && len(text) > 8 && strings.Contains(err.Error(), text) {
			t.Fatalf("the error repeats the %s: %v", kind, err)
		}
	})
}
