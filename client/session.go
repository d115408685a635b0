package client

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	apiv1 "github.com/risknet/risknet/api/v1"
)

// session is one life of a lane's stream: a goroutine sends, one receives.
type session struct {
	lane   *lane
	stream grpc.ClientStream
	silent *time.Timer  // ends a stream that owes an answer
	slots  chan *flight // that may be filled

	mu     sync.Mutex // never held while something is sent or received
	flying []*flight  // sent and not answered, in order
}

// flight is a message on its way.
type flight struct {
	calls  []*call
	data   []byte
	sentAt time.Duration
}

// session opens the stream, and serves until it breaks. Then the lane rests for so long.
func (l *lane) session() (rest time.Duration, err error) {
	ctx, cancel := context.WithCancelCause(l.asker.ctx)
	defer cancel(nil)
	s := &session{lane: l}
	s.silent = time.AfterFunc(l.asker.cfg.AnswerWithin, func() { cancel(errSilent) })
	defer s.silent.Stop()
	ready := make(chan time.Time)
	go func() {
		defer close(ready)
		err = s.open(ctx)
	}()
	l.refuse(ready, errRequeue)
	<-ready
	if err != nil {
		err = whyEnded(ctx, err)
		return l.rest(false, err), err
	}
	l.rise()
	err = s.serve(ctx, cancel)
	l.state.Store(laneDown)
	l.since.Store(0)
	if status.Code(err) == codes.FailedPrecondition {
		l.asker.renewKeys(l.asker.keys.Load()) // before anybody asks with the old ones again
	}
	rest = l.rest(len(s.flying) > 0, err) // only what was asked can be at fault
	s.fail(err)
	return rest, err
}

// whyEnded names the cause where the stream was ended from this side.
func whyEnded(ctx context.Context, err error) error {
	switch {
	case errors.Is(context.Cause(ctx), errSilent):
		return errSilent
	case ctx.Err() == nil && status.Code(err) == codes.Canceled:
		return status.Error(codes.Unavailable, "the node gave the stream up")
	}
	return endedEarly(err)
}

// open has an empty message answered: a node that hangs still takes connections.
func (s *session) open(ctx context.Context) error {
	s.lane.conn.ResetConnectBackoff()
	stream, err := s.lane.conn.NewStream(ctx, &apiv1.Checks_ServiceDesc.Streams[0], apiv1.Checks_CheckStream_FullMethodName, batchOption)
	if err != nil {
		return err
	}
	s.stream = stream
	_ = stream.SendMsg(&rawBatch{}) // the receipt knows why it fails
	err = stream.RecvMsg(&rawAnswers{})
	s.silent.Stop()
	return err
}

// serve carries messages until the stream breaks, and says why it did.
func (s *session) serve(ctx context.Context, cancel context.CancelCauseFunc) error {
	s.slots = make(chan *flight, s.lane.asker.cfg.Window)
	for range cap(s.slots) {
		s.slots <- &flight{}
	}
	var sender sync.WaitGroup
	sender.Go(func() { s.send(ctx) })
	err := whyEnded(ctx, s.receive())
	cancel(err)
	sender.Wait()
	return err
}

// send gathers what has come since a message last left, and sends it. It leaves it to
// the receiver to find out why a stream takes no more.
func (s *session) send(ctx context.Context) {
	for {
		var f *flight
		select {
		case f = <-s.slots:
		case <-ctx.Done():
			return
		}
		select {
		case one := <-s.lane.queue:
			s.gather(f, one)
		case <-ctx.Done():
			return
		}
		s.push(f)
		_ = s.stream.SendMsg(&rawBatch{f.data})
	}
}

// maxBatchBytes keeps a message under the limit of a node.
const maxBatchBytes = 1 << 20

// gather takes what is there, and waits for nothing.
func (s *session) gather(f *flight, one attempt) {
	limit := s.lane.asker.cfg.Batch
	if s.lane.state.Load() == laneProbed {
		limit = 1
	}
	f.calls, f.data = append(f.calls[:0], one.call), append(f.data[:0], one.request...)
	for len(f.calls) < limit && len(f.data) < maxBatchBytes {
		select {
		case one := <-s.lane.queue:
			f.calls, f.data = append(f.calls, one.call), append(f.data, one.request...)
		default:
			return
		}
	}
}

// push notes a message before it is sent, so that none is lost between both.
func (s *session) push(f *flight) {
	f.sentAt = s.lane.asker.sinceBegun()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flying = append(s.flying, f)
	if len(s.flying) == 1 {
		s.due()
	}
}

// pop gives the message that was answered; nil if none was due.
func (s *session) pop() *flight {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.flying) == 0 {
		return nil
	}
	f := s.flying[0]
	s.flying = slices.Delete(s.flying, 0, 1)
	s.due()
	return f
}

// due starts to wait for the answer to the oldest message.
func (s *session) due() {
	if len(s.flying) == 0 {
		s.lane.since.Store(0)
		s.silent.Stop()
		return
	}
	s.lane.since.Store(int64(s.flying[0].sentAt))
	s.silent.Reset(s.lane.asker.cfg.AnswerWithin)
}

// receive hands answers to those who asked, until the stream breaks. It always listens,
// so a stream that breaks while nobody asks is known before somebody does.
func (s *session) receive() error {
	answers := &rawAnswers{}
	for {
		if err := s.stream.RecvMsg(answers); err != nil {
			return err
		}
		f := s.pop()
		if f == nil {
			return status.Error(codes.Internal, "the node gave an answer to no question; see that client and node are of one version")
		}
		if len(answers.checks) != len(f.calls) {
			err := status.Errorf(codes.Internal, "the node gave %d answers to %d questions; see that client and node are of one version", len(answers.checks), len(f.calls))
			f.fail(s.lane, err)
			return err
		}
		for i, c := range f.calls {
			c.outcomes <- outcome{lane: s.lane, answer: answers.checks[i]}
		}
		s.lane.well()
		s.slots <- f
	}
}

// fail answers what was on its way when the stream broke. The first message is the one
// that the node refused, if it refused one; it has not looked at those behind it.
func (s *session) fail(err error) {
	for _, f := range s.flying {
		f.fail(s.lane, err)
		if !retryable(err) {
			err = errRequeue
		}
	}
}

func (f *flight) fail(l *lane, err error) {
	for _, c := range f.calls {
		c.outcomes <- outcome{lane: l, err: err, alone: len(f.calls) > 1}
	}
}
