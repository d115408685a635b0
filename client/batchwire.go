package client

import (
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/risknet/risknet/risk"
)

// Whoever asks encodes its own question and reads its own answer, so that the one
// goroutine that sends and the one that receives only move bytes.

// rawBatch is a CheckBatchRequest, or a CheckRequest for a call by itself.
type rawBatch struct{ data []byte }

// rawAnswers is a CheckBatchResponse cut into its CheckResponses, or a single one.
type rawAnswers struct {
	single bool
	checks [][]byte
}

// appendCheck puts a question behind others as it stands in a CheckBatchRequest. It
// writes the bytes that the generated code would, without the forty messages and slices
// in between. The numbers are those of check.proto and common.proto.
func (q *Question) appendCheck(data []byte, k *Keyring, room []risk.Asked) ([]byte, []risk.Asked) {
	data, check := openField(data, 1)
	if q.Payment != nil {
		size := q.Payment.SizeVT()
		data = protowire.AppendVarint(protowire.AppendTag(data, 1, protowire.BytesType), uint64(size))
		data = append(data, make([]byte, size)...)
		_, _ = q.Payment.MarshalToSizedBufferVT(data[len(data)-size:]) // it has the room, and cannot fail else
	}
	for i := range q.subjects {
		data, room = k.appendSubject(data, &q.subjects[i], room)
	}
	data = appendNumber(data, 3, q.MinSize)
	data = appendNumber(data, 4, uint64(q.MaxAge.Milliseconds()))
	data = appendNumber(data, 5, k.version)
	if q.Explain {
		data = appendNumber(data, 6, 1)
	}
	return closeField(data, check), room
}

func (k *Keyring) appendSubject(data []byte, s *askedSubject, room []risk.Asked) ([]byte, []risk.Asked) {
	room = k.asked(s.subject, room)
	data, subject := openField(data, 2)
	data = appendText(data, 1, s.subject.Kind.String())
	data = appendText(data, 2, s.role)
	for i := range room {
		a := &room[i]
		var token int
		data, token = openField(data, 4)
		if a.Kind != s.subject.Kind {
			data = appendText(data, 1, a.Kind.String())
		}
		if a.Scope != (risk.Scope{}) {
			var scope int
			data, scope = openField(data, 2)
			data = appendNumber(data, 1, uint64(a.Scope.Family))
			data = appendNumber(data, 2, uint64(a.Scope.Length))
			data = closeField(data, scope)
		}
		data = appendNumber(data, 3, uint64(a.Epoch))
		data = append(protowire.AppendTag(data, 4, protowire.BytesType), byte(len(a.Token)))
		data = closeField(append(data, a.Token[:]...), token)
	}
	return closeField(data, subject), room
}

// openField begins a message in a message: its length is known when it is closed.
func openField(data []byte, number protowire.Number) ([]byte, int) {
	data = append(protowire.AppendTag(data, number, protowire.BytesType), 0)
	return data, len(data)
}

// closeField writes the length, and moves the message on if that takes more than a byte.
func closeField(data []byte, from int) []byte {
	size := len(data) - from
	if more := protowire.SizeVarint(uint64(size)) - 1; more > 0 {
		data = append(data, make([]byte, more)...)
		copy(data[from+more:], data[from:from+size])
	}
	protowire.AppendVarint(data[:from-1], uint64(size))
	return data
}

func appendNumber(data []byte, number protowire.Number, value uint64) []byte {
	if value == 0 {
		return data
	}
	return protowire.AppendVarint(protowire.AppendTag(data, number, protowire.VarintType), value)
}

func appendText(data []byte, number protowire.Number, text string) []byte {
	if text == "" {
		return data
	}
	return protowire.AppendString(protowire.AppendTag(data, number, protowire.BytesType), text)
}

// singleCheck is a question without what makes it a part of a batch.
func singleCheck(data []byte) []byte {
	_, _, tag := protowire.ConsumeTag(data)
	value, _ := protowire.ConsumeBytes(data[tag:])
	return value
}

// read cuts the message up; the parts lie in data.
func (a *rawAnswers) read(data []byte) error {
	a.checks = a.checks[:0]
	if a.single {
		a.checks = append(a.checks, data)
		return nil
	}
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return protowire.ParseError(n)
		}
		data = data[n:]
		if number != 1 || kind != protowire.BytesType {
			return fmt.Errorf("CheckBatchResponse has a field %d that this program does not know", number)
		}
		one, n := protowire.ConsumeBytes(data)
		if n < 0 {
			return protowire.ParseError(n)
		}
		a.checks, data = append(a.checks, one), data[n:]
	}
	return nil
}

// batchCodec is for these two alone.
type batchCodec struct{}

var batchOption = grpc.ForceCodecV2(encoding.CodecV2(batchCodec{}))

func (batchCodec) Name() string { return proto.Name }

// Marshal gives the bytes as they are: they stay so until the answer has come, and gRPC
// has let go of them then.
func (batchCodec) Marshal(v any) (mem.BufferSlice, error) {
	batch, ok := v.(*rawBatch)
	if !ok {
		return nil, fmt.Errorf("asker: a %T is no batch", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(batch.data)}, nil
}

// Unmarshal copies once; the answers outlive the transport's buffers.
func (batchCodec) Unmarshal(data mem.BufferSlice, v any) error {
	answers, ok := v.(*rawAnswers)
	if !ok {
		return fmt.Errorf("asker: a %T is no answer", v)
	}
	return answers.read(data.Materialize())
}
