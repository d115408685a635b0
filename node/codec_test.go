package node

import (
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/risknet/risknet/api/v1"
)

func TestUnknownFieldsAreRefused(t *testing.T) {
	m := &apiv1.Override{}
	if err := knownFieldsOnly(m, (*apiv1.Payment)(nil)); err != nil {
		t.Fatal(err)
	}
	m.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 999, protowire.VarintType), 1))
	if err := knownFieldsOnly(m); err == nil {
		t.Error("a field that nobody knows was taken")
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
