package node

import (
	"fmt"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	protobuf "google.golang.org/protobuf/proto"

	apiv1 "github.com/risknet/risknet/api/v1"
)

// vtMessage is what the generated code offers beside reflection: about three
// times cheaper, with the same bytes on the wire.
type vtMessage interface {
	MarshalToSizedBufferVT(data []byte) (int, error)
	UnmarshalVT(data []byte) error
	SizeVT() int
}

// wireCodec is the codec "proto": generated code where there is some (all of
// api/v1), reflection for the rest (health, reflection).
type wireCodec struct{ fallback encoding.CodecV2 }

// newWireCodec is given to each server and connection; nothing is registered
// for the whole process.
func newWireCodec() encoding.CodecV2 {
	return wireCodec{fallback: encoding.GetCodecV2(proto.Name)}
}

func (c wireCodec) Name() string { return proto.Name }

func (c wireCodec) Marshal(v any) (mem.BufferSlice, error) {
	m, ok := v.(vtMessage)
	if !ok {
		return c.fallback.Marshal(v)
	}
	size := m.SizeVT()
	if mem.IsBelowBufferPoolingThreshold(size) {
		buf := make([]byte, size)
		if _, err := m.MarshalToSizedBufferVT(buf); err != nil {
			return nil, err
		}
		return mem.BufferSlice{mem.SliceBuffer(buf)}, nil
	}
	pool := mem.DefaultBufferPool()
	buf := pool.Get(size)
	if _, err := m.MarshalToSizedBufferVT((*buf)[:size]); err != nil {
		pool.Put(buf)
		return nil, err
	}
	return mem.BufferSlice{mem.NewBuffer(buf, pool)}, nil
}

func (c wireCodec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(vtMessage)
	if !ok {
		return c.fallback.Unmarshal(data, v)
	}
	buf := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer buf.Free()
	if err := m.UnmarshalVT(buf.ReadOnlyData()); err != nil {
		return fmt.Errorf("request: %w", err)
	}
	return nil
}

// knownFieldsOnly refuses messages that carry fields this program does not know:
// a caller that thinks it asked for something must not be answered as if it had
// not.
func knownFieldsOnly(messages ...protobuf.Message) error {
	for _, m := range messages {
		if unknown := m.ProtoReflect().GetUnknown(); len(unknown) > 0 {
			return fmt.Errorf("request: %s has %d bytes of fields that this node does not know; use the .proto files of its version", m.ProtoReflect().Descriptor().Name(), len(unknown))
		}
	}
	return nil
}

// knownSubjectFields looks into a subject and its tokens.
func knownSubjectFields(s *apiv1.Subject) error {
	if err := knownFieldsOnly(s); err != nil {
		return err
	}
	for _, t := range s.GetTokens() {
		if err := knownFieldsOnly(t, t.GetScope()); err != nil {
			return err
		}
	}
	return nil
}
