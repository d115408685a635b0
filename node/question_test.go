package node

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/risk"
)

// whole is a question with all its fields.
func whole() *apiv1.CheckRequest {
	return &apiv1.CheckRequest{
		Payment: &apiv1.Payment{TransactionId: "t-1", TimeMs: 5, Amount: 100, Currency: "CNY", Mcc: "5411", Channel: "netsunion",
			Scene: "qr", Country: "CN", PayerCountry: "SG", Phase: "in", Purpose: "aml"},
		Subjects: []*apiv1.Subject{
			{Kind: "ip", Tokens: []*apiv1.AskedToken{{Scope: &apiv1.Scope{Family: 1, Length: 24}, Epoch: 2, Token: make([]byte, 16)}}},
			{Kind: "email", Role: "payee", Tokens: []*apiv1.AskedToken{{Kind: "domain", Scope: &apiv1.Scope{Family: 3, Length: 2}, Token: []byte("0123456789abcdef")}, {Token: make([]byte, 16)}}},
			{Kind: "phone", Role: "payer", Value: "+8613800138000"},
		},
		MinSize: 3, MaxAgeMs: -4, ScopesVersion: 1 << 40, Explain: true,
	}
}

func TestAQuestionIsReadWhole(t *testing.T) {
	data, err := proto.Marshal(whole())
	if err != nil {
		t.Fatal(err)
	}
	var q question
	for range 2 { // the second time in the room of the first
		if err := q.read(data); err != nil {
			t.Fatal(err)
		}
	}
	sameQuestion(t, &q, whole())
}

// sameQuestion holds what was read to the message.
func sameQuestion(t *testing.T, q *question, m *apiv1.CheckRequest) {
	t.Helper()
	p := m.GetPayment()
	want := risk.Payment{TransactionID: p.GetTransactionId(), Time: p.GetTimeMs(), Amount: p.GetAmount(), Currency: p.GetCurrency(), MCC: p.GetMcc(),
		Channel: p.GetChannel(), Scene: p.GetScene(), Country: p.GetCountry(), PayerCountry: p.GetPayerCountry(),
		Phase: q.payment.Phase, Purpose: q.payment.Purpose}
	if q.payment != want || q.phase != p.GetPhase() || q.purpose != p.GetPurpose() {
		t.Errorf("payment is %+v, not %+v", q.payment, want)
	}
	if q.minSize != m.MinSize || q.maxAgeMillis != m.MaxAgeMs || q.scopesVersion != m.ScopesVersion || q.explain != m.Explain {
		t.Errorf("the question is %+v, not %v", q, m)
	}
	if len(q.subjects) != len(m.Subjects) {
		t.Fatalf("%d subjects, not %d", len(q.subjects), len(m.Subjects))
	}
	for i, s := range m.Subjects {
		one := q.subjects[i]
		if one.kind.String() != s.Kind || one.value != s.Value || s.Role != "" && one.role.String() != s.Role || one.to-one.from != len(s.Tokens) {
			t.Errorf("subject %d is %+v, not %v", i, one, s)
			continue
		}
		for j, tok := range s.Tokens {
			got := q.tokens[one.from+j]
			kind := s.Kind
			if tok.Kind != "" {
				kind = tok.Kind
			}
			if got.Kind.String() != kind || got.Epoch != risk.Epoch(tok.Epoch) || !slices.Equal(got.Token[:], tok.Token) ||
				uint32(got.Scope.Family) != tok.GetScope().GetFamily() || uint32(got.Scope.Length) != tok.GetScope().GetLength() {
				t.Errorf("subject %d token %d is %+v, not %v", i, j, got, tok)
			}
		}
	}
}

func TestABadQuestionNamesItsField(t *testing.T) {
	token := func(edit func(*apiv1.AskedToken)) func(*apiv1.CheckRequest) {
		return func(m *apiv1.CheckRequest) { edit(m.Subjects[1].Tokens[0]) }
	}
	unknown := protowire.AppendVarint(protowire.AppendTag(nil, 999, protowire.VarintType), 1)
	for want, edit := range map[string]func(*apiv1.CheckRequest){
		`payment.phase: "never" is not known`:     func(m *apiv1.CheckRequest) { m.Payment.Phase = "never" },
		`payment.purpose: "fun" is not known`:     func(m *apiv1.CheckRequest) { m.Payment.Purpose = "fun" },
		"payment.currency: \"yuan\" is not three": func(m *apiv1.CheckRequest) { m.Payment.Currency = "yuan" },
		`subjects[2].kind: "shoe" is not known`:   func(m *apiv1.CheckRequest) { m.Subjects[2].Kind = "shoe" },
		`subjects[2].role: "witness" is not`:      func(m *apiv1.CheckRequest) { m.Subjects[2].Role = "witness" },
		"subjects[1].tokens[0].token: has 15":     token(func(t *apiv1.AskedToken) { t.Token = t.Token[1:] }),
		"subjects[1].tokens[0].scope: family 256": token(func(t *apiv1.AskedToken) { t.Scope.Family = 256 }),
		"subjects[1].tokens[0].scope: ":           token(func(t *apiv1.AskedToken) { t.Scope.Family = 1 }),
		`subjects[1].tokens[0].kind: "x" is not`:  token(func(t *apiv1.AskedToken) { t.Kind = "x" }),
		"subjects: more than 16 are given":        func(m *apiv1.CheckRequest) { m.Subjects = slices.Repeat(m.Subjects, 22) },
		"is one of more than":                     func(m *apiv1.CheckRequest) { m.Subjects[1].Tokens = slices.Repeat(m.Subjects[1].Tokens, risk.MaxAsked) },
		"CheckRequest has field 999":              func(m *apiv1.CheckRequest) { m.ProtoReflect().SetUnknown(unknown) },
		"Payment has field 999":                   func(m *apiv1.CheckRequest) { m.Payment.ProtoReflect().SetUnknown(unknown) },
		"Subject has field 999":                   func(m *apiv1.CheckRequest) { m.Subjects[0].ProtoReflect().SetUnknown(unknown) },
		"AskedToken has field 999":                token(func(t *apiv1.AskedToken) { t.ProtoReflect().SetUnknown(unknown) }),
		"Scope has field 999":                     token(func(t *apiv1.AskedToken) { t.Scope.ProtoReflect().SetUnknown(unknown) }),
	} {
		m := whole()
		edit(m)
		data, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if err := new(question).read(data); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, not %q", err, want)
		}
	}
}

// What is read from any bytes is what the generated code reads from them.
func FuzzQuestion(f *testing.F) {
	data, err := proto.Marshal(whole())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte{})
	f.Add(data[:len(data)-3])
	f.Fuzz(func(t *testing.T, data []byte) {
		var q question
		if q.read(data) != nil {
			return
		}
		m := &apiv1.CheckRequest{}
		if err := m.UnmarshalVT(data); err != nil {
			t.Fatalf("the generated code refuses it: %v", err)
		}
		if q.payment.Amount < 0 || !q.payment.Phase.Valid() || !q.payment.Purpose.Valid() {
			t.Errorf("taken as a payment: %+v", q.payment)
		}
		for _, a := range q.tokens {
			if !a.Scope.FitsKind(a.Kind) {
				t.Errorf("scope %v does not fit %v", a.Scope, a.Kind)
			}
		}
		sameQuestion(t, &q, m)
	})
}

func BenchmarkReadQuestion(b *testing.B) {
	m := &apiv1.CheckRequest{Payment: whole().Payment, ScopesVersion: 1}
	for i := range 6 {
		m.Subjects = append(m.Subjects, &apiv1.Subject{Kind: "device", Role: "payer", Tokens: []*apiv1.AskedToken{{Epoch: 1, Token: fmt.Appendf(nil, "token of byte %02d", i)}}})
	}
	data, err := proto.Marshal(m)
	if err != nil {
		b.Fatal(err)
	}
	var q question
	b.ReportAllocs()
	for b.Loop() {
		if err := q.read(data); err != nil {
			b.Fatal(err)
		}
	}
}

func TestEachKindIsFoundByItsName(t *testing.T) {
	for _, kind := range risk.AllKinds() {
		if got, err := kindNamed(kind.String()); got != kind || err != nil {
			t.Errorf("%s: %s, %v", kind, got, err)
		}
	}
	for _, name := range []string{"", "x", "Device", "devicee"} {
		if got, err := kindNamed(name); err == nil {
			t.Errorf("%q is taken for %s", name, got)
		}
	}
}
