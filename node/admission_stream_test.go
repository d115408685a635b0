package node

import (
	"context"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc/mem"
)

// endless is a caller who sends for ever and never reads an answer.
type endless struct {
	ctx   context.Context
	bytes int
}

func (e endless) Context() context.Context { return e.ctx }

func (e endless) RecvMsg(m any) error {
	m.(*rawRequest).take(mem.BufferSlice{mem.SliceBuffer(make([]byte, e.bytes))})
	return e.ctx.Err()
}

// However many streams there are, what waits on them is bounded; on each of them one
// message may wait, so none stands still for the others.
func TestWhatWaitsOnAllStreamsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const streams, each = 200, 100_000
		ctx, cancel := context.WithCancel(t.Context())
		a, inboxes := &admission{clock: func() int64 { return 0 }}, []*inbox(nil)
		for range streams {
			inboxes = append(inboxes, newInbox(endless{ctx, each}, a))
		}
		synctest.Wait()
		if held := a.mailed.Load(); held < inboxesBytes/2 || held > inboxesBytes+streams*2*each {
			t.Errorf("%d bytes wait", held)
		}
		for i, in := range inboxes {
			if m, err := in.next(); err != nil || len(m.data) != each {
				t.Fatalf("stream %d: %v", i, err)
			}
		}
		cancel()
		for _, in := range inboxes {
			close(in.left)
		}
		synctest.Wait()
		if held := a.mailed.Load(); held != 0 {
			t.Errorf("%d bytes wait when all have left", held)
		}
	})
}

// gRPC's pool has nothing between 32 KiB and a megabyte.
func TestARequestTakesNoMoreThanItIsLong(t *testing.T) {
	for _, size := range []int{pooledBytes, pooledBytes + 1, 1 << 20} {
		var r rawRequest
		r.take(mem.BufferSlice{mem.SliceBuffer(make([]byte, size/2)), mem.SliceBuffer(make([]byte, size-size/2))})
		if len(r.data) != size || cap(r.data) > size+size/4 {
			t.Errorf("%d bytes take %d", size, cap(r.data))
		}
		r.free()
	}
}
