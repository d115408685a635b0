package node

import (
	"os"
	"path/filepath"
	"testing"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/risk"
)

func FuzzFoundingFile(f *testing.F) {
	signed := &risk.Signed{Header: []byte("header")}
	f.Add(FormatFounding([]*risk.Signed{signed}))
	f.Add([]byte{0, 0, 0, 9})
	f.Fuzz(func(t *testing.T, file []byte) {
		path := filepath.Join(t.TempDir(), "founding.bin")
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		if list, err := loadFounding(path, signed.ID()); err == nil && list[0].ID() != signed.ID() {
			t.Error("a founding of another network was taken")
		}
	})
}

func FuzzTokenKeyFile(f *testing.F) {
	f.Add(string(FormatTokenKeys([]TokenKey{{Epoch: 7}})))
	f.Add("1 zz\n# comment\n")
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "token.keys")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		keys, err := LoadTokenKeys(path)
		if err == nil && len(keys) == 0 {
			t.Error("no key and no error")
		}
	})
}

// A request from outside never panics on its way to nouns.
func FuzzCheckRequest(f *testing.F) {
	request := &apiv1.CheckRequest{
		Payment:  &apiv1.Payment{Amount: 5, Currency: "CNY", Phase: "in", Purpose: "aml"},
		Subjects: []*apiv1.Subject{{Kind: "ip", Tokens: []*apiv1.AskedToken{{Scope: &apiv1.Scope{Family: 1, Length: 32}, Token: make([]byte, 16)}}}},
	}
	seed, err := request.MarshalVT()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, data []byte) {
		m := &apiv1.CheckRequest{}
		if m.UnmarshalVT(data) != nil {
			return
		}
		payment, err := paymentOf(m.Payment)
		if err == nil && (payment.Amount < 0 || !payment.Phase.Valid() || !payment.Purpose.Valid()) {
			t.Errorf("taken as a payment: %+v", payment)
		}
		for _, s := range m.Subjects {
			asked, err := askedOf(nil, risk.KindIP, s.GetTokens())
			for _, a := range asked {
				if err == nil && !a.Scope.FitsKind(a.Kind) {
					t.Errorf("scope %v does not fit %v", a.Scope, a.Kind)
				}
			}
		}
	})
}
