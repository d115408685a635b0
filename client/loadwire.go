package client

import (
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	apiv1 "github.com/risknet/risknet/api/v1"
)

// A load shares the machine with the node that it measures, so what it spends on
// coding is missing there. Its questions are encoded before it begins, and answers are
// looked at where they lie and never made into messages.

// loadQuestion is a message as it goes on the wire, sent again and again.
type loadQuestion struct {
	wire   mem.BufferSlice
	checks int
}

// newLoadQuestion encodes a batch for streams, or its first check alone for a call.
func newLoadQuestion(m *apiv1.CheckBatchRequest, unary bool) (*loadQuestion, error) {
	data, err := m.MarshalVT()
	if unary {
		data, err = m.Checks[0].MarshalVT()
	}
	return &loadQuestion{mem.BufferSlice{mem.SliceBuffer(data)}, len(m.Checks)}, err
}

// loadAnswer counts the answers in a message, and those among them that are none: with
// an error, or without advice and the state that it came from. One that the node had no
// time for is refused, and no error.
type loadAnswer struct {
	unary                 bool
	checks, errs, refused int
}

func (a *loadAnswer) read(data []byte) error {
	a.checks, a.errs, a.refused = 0, 0, 0
	if a.unary {
		return a.one(data)
	}
	return eachField(data, func(number protowire.Number, value []byte) error {
		if number == 1 {
			return a.one(value)
		}
		return nil
	})
}

// one reads a CheckResponse; the numbers are those of check.proto.
func (a *loadAnswer) one(data []byte) error {
	var advice, root, failed, refused bool
	err := eachField(data, func(number protowire.Number, value []byte) error {
		switch number {
		case 1:
			advice = len(value) > 0
		case 8:
			root = len(value) == 32
		case 13:
			failed = len(value) > 0
		case 17: // when to ask again
			refused = true
		}
		return nil
	})
	a.checks++
	switch {
	case failed && refused:
		a.refused++
	case failed || !advice || !root:
		a.errs++
	}
	return err
}

// eachField walks over a message; numbers have no value here.
func eachField(data []byte, visit func(protowire.Number, []byte) error) error {
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return protowire.ParseError(n)
		}
		data = data[n:]
		var value []byte
		if kind == protowire.BytesType {
			value, n = protowire.ConsumeBytes(data)
		} else {
			n = protowire.ConsumeFieldValue(number, kind, data)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		if err := visit(number, value); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// loadCodec is for these two alone.
type loadCodec struct{}

var loadOption = grpc.ForceCodecV2(encoding.CodecV2(loadCodec{}))

func (loadCodec) Name() string { return proto.Name }

func (loadCodec) Marshal(v any) (mem.BufferSlice, error) {
	q, ok := v.(*loadQuestion)
	if !ok {
		return nil, fmt.Errorf("load: a %T is no question", v)
	}
	return q.wire, nil
}

func (loadCodec) Unmarshal(data mem.BufferSlice, v any) error {
	a, ok := v.(*loadAnswer)
	if !ok {
		return fmt.Errorf("load: a %T is no answer", v)
	}
	buffer := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer buffer.Free()
	return a.read(buffer.ReadOnlyData())
}
