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

// Whoever asks encodes its own question and reads its own answer, so that the one
// goroutine that sends and the one that receives only move bytes.

// rawBatch is a CheckBatchRequest, or a CheckRequest for a call by itself.
type rawBatch struct{ data []byte }

// rawAnswers is a CheckBatchResponse cut into its CheckResponses, or a single one.
type rawAnswers struct {
	single bool
	checks [][]byte
}

// appendCheck puts a question behind others as it stands in a CheckBatchRequest.
func appendCheck(data []byte, in *apiv1.CheckRequest) []byte {
	size := in.SizeVT()
	data = protowire.AppendTag(data, 1, protowire.BytesType)
	data = protowire.AppendVarint(data, uint64(size))
	from := len(data)
	data = append(data, make([]byte, size)...)
	_, _ = in.MarshalToSizedBufferVT(data[from:]) // it has the room, and cannot fail else
	return data
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
