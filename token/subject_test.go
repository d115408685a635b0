package token_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/token"
)

func ipv4(n uint8) risk.Scope   { return risk.Scope{Family: risk.FamilyIPv4, Length: n} }
func ipv6(n uint8) risk.Scope   { return risk.Scope{Family: risk.FamilyIPv6, Length: n} }
func labels(n uint8) risk.Scope { return risk.Scope{Family: risk.FamilyDomain, Length: n} }

// same: spellings of one subject, and its normal form.
type same struct {
	raw   string
	value string
}

// wrong: an identifier that must be refused, and what the error says.
type wrong struct {
	raw  string
	says string
}

func accept(t *testing.T, kind risk.Kind, table []same) {
	t.Helper()
	for _, c := range table {
		s, err := token.Normalise(kind, c.raw)
		if err != nil || s.Value != c.value || s.Kind != kind {
			t.Errorf("%s %q: got %q, %v; want %q", kind, c.raw, s.Value, err, c.value)
			continue
		}
		again, err := token.Normalise(kind, s.Value)
		if err != nil || again.Value != s.Value || again.Scope != s.Scope {
			t.Errorf("%s %q: not stable: %q, %v", kind, s.Value, again.Value, err)
		}
	}
}

func refuse(t *testing.T, kind risk.Kind, table []wrong) {
	t.Helper()
	for _, c := range table {
		s, err := token.Normalise(kind, c.raw)
		if err == nil {
			t.Errorf("%s %q: accepted as %q", kind, c.raw, s.Value)
			continue
		}
		var known *risk.Error
		if !errors.As(err, &known) || known.Kind != risk.BadField || known.Field != kind.String() {
			t.Errorf("%s %q: not an error of the field: %#v", kind, c.raw, err)
		}
		if !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "; ") {
			t.Errorf("%s %q: error %q does not say %q with a cure", kind, c.raw, err, c.says)
		}
	}
}

func TestEveryKindRefuses(t *testing.T) {
	for _, kind := range risk.AllKinds() {
		refuse(t, kind, []wrong{
			{"", "is empty"},
			{" \t\n", "is empty"},
			{"a\x00b", "control character"},
			{"a\nb", "control character"},
			{"é\u0085b", "control character"},
			{"a\xff", "not UTF-8"},
			{strings.Repeat("1", token.MaxRawURLBytes+1), "longer than "},
		})
	}
	refuse(t, risk.KindCard, []wrong{{strings.Repeat("1", token.MaxRawBytes+1), "longer than 1024"}})
	for _, kind := range []risk.Kind{0, risk.Kinds, 255} {
		if _, err := token.Normalise(kind, "x"); err == nil || !strings.Contains(err.Error(), "kind") {
			t.Errorf("kind %d: %v", kind, err)
		}
	}
}

func TestOpaqueKindsKeepCase(t *testing.T) {
	for _, kind := range []risk.Kind{risk.KindDevice, risk.KindMiniProgram} {
		accept(t, kind, []same{{" wxAbC-01 ", "wxAbC-01"}, {"设备/7", "设备/7"}})
		refuse(t, kind, []wrong{{strings.Repeat("a", 256), "longer than 255"}})
	}
}

func TestOnlyANameIsWeak(t *testing.T) {
	for _, c := range []struct {
		kind risk.Kind
		raw  string
		weak bool
	}{
		{risk.KindPerson, "name/Zhang San", true},
		{risk.KindPerson, "CN-ID/11010519491231002X", false},
		{risk.KindPerson, "FR/PASSPORT/12AB34567", false},
		{risk.KindCompany, "name/Acme Ltd", true},
		{risk.KindAgent, "NAME/Acme Ltd", true},
		{risk.KindCompany, "GB/CH/01234567", false},
		{risk.KindDevice, "name/x", false},
	} {
		s, err := token.Normalise(c.kind, c.raw)
		if err != nil || s.Weak() != c.weak {
			t.Errorf("%s %q: weak %v, %v", c.kind, c.raw, s.Weak(), err)
		}
	}
}

func TestSubjectPrintsNoValue(t *testing.T) {
	s, err := token.Normalise(risk.KindEmail, "someone@example.org")
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("asked", "subject", s)
	for _, text := range []string{fmt.Sprint(s), fmt.Sprintf("%+v %#v %q %x %d", s, s, s, s, s), log.String()} {
		if strings.Contains(text, "someone") || strings.Contains(text, "736f6d65") || !strings.Contains(text, "email") {
			t.Errorf("printed as %s", text)
		}
	}
}
