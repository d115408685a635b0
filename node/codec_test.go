package node

import (
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/risknet/risknet/api/v1"
)

// unknownField is field 999, which no message here has.
var unknownField = protowire.AppendVarint(protowire.AppendTag(nil, 999, protowire.VarintType), 1)

func TestUnknownFieldsAreRefusedHoweverDeep(t *testing.T) {
	sound := func() *apiv1.Subject {
		return &apiv1.Subject{Kind: "ip", Tokens: []*apiv1.AskedToken{{Scope: &apiv1.Scope{Family: 1, Length: 24}}}}
	}
	if err := knownSubjectFields(sound()); err != nil {
		t.Fatalf("a sound subject: %v", err)
	}
	for name, spoil := range map[string]func(*apiv1.Subject) proto.Message{
		"subject": func(s *apiv1.Subject) proto.Message { return s },
		"token":   func(s *apiv1.Subject) proto.Message { return s.Tokens[0] },
		"scope":   func(s *apiv1.Subject) proto.Message { return s.Tokens[0].Scope },
	} {
		s := sound()
		spoil(s).ProtoReflect().SetUnknown(unknownField)
		if err := knownSubjectFields(s); err == nil {
			t.Errorf("%s: a field that nobody knows was taken", name)
		}
	}
	if err := knownFieldsOnly((*apiv1.Payment)(nil)); err != nil {
		t.Errorf("an absent payment: %v", err)
	}
}

// The codec writes the same bytes as the reflective one, and reads them back.
func TestTheFastCodecIsTheSameOnTheWire(t *testing.T) {
	codec := newWireCodec()
	for _, m := range []*apiv1.CheckRequest{
		{},
		{Payment: &apiv1.Payment{Amount: 7, Currency: "CNY"}, Subjects: []*apiv1.Subject{{Kind: "ip", Value: "203.0.113.7"}}},
		{Subjects: []*apiv1.Subject{{Kind: "device", Value: string(make([]byte, 5000))}}},
	} {
		data, err := codec.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		slow := &apiv1.CheckRequest{}
		if err := proto.Unmarshal(data.Materialize(), slow); err != nil || !proto.Equal(slow, m) {
			t.Errorf("reflection reads %v, %v", slow, err)
		}
		fast := &apiv1.CheckRequest{}
		if err := codec.Unmarshal(data, fast); err != nil || !proto.Equal(fast, m) {
			t.Errorf("the codec reads %v, %v", fast, err)
		}
		data.Free()
	}
}
