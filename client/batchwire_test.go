package client_test

import (
	"bytes"
	"testing"
	"time"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/client"
)

// The bytes are those of the generated code, also where a length takes several bytes.
func TestAQuestionIsEncodedAsTheGeneratedCodeDoes(t *testing.T) {
	var lengths []*apiv1.Scope
	for length := uint32(8); length <= 32; length++ {
		lengths = append(lengths, &apiv1.Scope{Family: 1, Length: length})
	}
	keys := testKeyring(t, 300, lengths...)
	full := &client.Question{MinSize: 1 << 40, MaxAge: 90 * time.Second, Explain: true,
		Payment: &apiv1.Payment{TransactionId: "t-1", TimeMs: 1_700_000_000_000, Amount: 12_345, Currency: "CNY", Mcc: "5411", Purpose: "aml"}}
	for field, value := range map[string]string{"payer.ip": "203.0.113.7", "payee.email": "a@mail.example.com", "url": "https://a.example.org/x",
		"device": "d-1", "payee.account": "0102/12345", "payer.card": "4111111111111111"} {
		if err := full.Set(field, value); err != nil {
			t.Fatal(err)
		}
	}
	for _, q := range []*client.Question{full, device(t, "bad"), {Payment: &apiv1.Payment{}}, {Payment: &apiv1.Payment{Amount: 1}}} {
		got, in := client.Encode(q, keys)
		want, err := (&apiv1.CheckBatchRequest{Checks: []*apiv1.CheckRequest{in}}).MarshalVT()
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("got  %x\nwant %x (%v)", got, want, err)
		}
	}
}
