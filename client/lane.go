package client

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	apiv1 "github.com/risknet/risknet/api/v1"
)

// lane is one stream to one node, opened again whenever it breaks. Its health is a
// circuit breaker: down after a failure, for longer with each one; then an empty message
// has to be answered, and questions go one at a time until one of them is.
type lane struct {
	asker *Asker
	node  *askedNode
	conn  *grpc.ClientConn
	queue chan attempt

	state    atomic.Int32
	failures atomic.Int32 // in a row
	since    atomic.Int64 // when the oldest message on its way was sent, after asker.began; 0 for none
	back     atomic.Int64 // until when it rests, likewise
	shed     atomic.Int64 // until when the node wants nothing more on the open stream, likewise
}

const (
	laneDown int32 = iota
	laneProbed
	laneUp
)

// attempt is a check in the hands of one lane, which answers it exactly once.
type attempt struct {
	call    *call
	request []byte
}

var (
	// errRequeue: what was on its way behind the message that the node refused.
	errRequeue = errors.New("asker: it was not looked at")
	errSilent  = status.Error(codes.Unavailable, "no answer came in time")
)

func newLane(a *Asker, node *askedNode, conn *grpc.ClientConn) *lane {
	return &lane{asker: a, node: node, conn: conn, queue: make(chan attempt, a.cfg.Queue)}
}

// lane gives the one with the shortest queue, if any may be used.
func (n *askedNode) lane(now time.Duration, avoidLate bool, patience time.Duration) *lane {
	var best *lane
	for _, l := range n.lanes {
		switch state := l.state.Load(); {
		case time.Duration(l.shed.Load()) > now:
		case state == laneDown, state == laneProbed && len(l.queue) > 0, avoidLate && l.late(now, patience):
		case best == nil || len(l.queue) < len(best.queue):
			best = l
		}
	}
	return best
}

// leaveAlone has the lane take no more checks for as long as its node asks for. The
// stream stays open, and what is on it already is answered.
func (l *lane) leaveAlone(rest time.Duration) {
	now, until := l.asker.sinceBegun(), l.shed.Load()
	if time.Duration(until) <= now { // else it rests, and a message of many was refused
		l.shed.CompareAndSwap(until, int64(now+jitter(rest)))
	}
}

// late: an answer is due for longer than a check is waited for.
func (l *lane) late(now, patience time.Duration) bool {
	since := l.since.Load()
	return since != 0 && now-time.Duration(since) > patience
}

// take has the lane answer the attempt; false if there is no room.
func (l *lane) take(one attempt, alone bool) bool {
	if alone {
		return l.asker.spawn(func() { l.askAlone(one) })
	}
	select {
	case l.queue <- one:
		return true
	default:
		return false
	}
}

// run keeps the stream open until the asker is closed.
func (l *lane) run() {
	for l.asker.ctx.Err() == nil {
		rest, err := l.session()
		if rest > 0 {
			timer := time.NewTimer(rest)
			l.refuse(timer.C, err)
			timer.Stop()
		}
	}
}

// rest says for how long the lane does so, and lets it be known.
func (l *lane) rest(opened bool, err error) time.Duration {
	rest := l.judge(opened, err)
	l.back.Store(int64(l.asker.sinceBegun() + rest))
	return rest
}

// judge says for how long the lane rests after its stream broke. What concerns
// questions and not the node costs it nothing, if it had answered before.
func (l *lane) judge(opened bool, err error) time.Duration {
	switch code := status.Code(err); {
	case code == codes.ResourceExhausted:
		return jitter(retryAfter(err))
	case opened && ofQuestion(code):
		return 0
	}
	failures := l.failures.Add(1)
	wait := firstWait
	for range min(failures-1, 10) {
		wait = nextWait(wait)
	}
	return jitter(wait)
}

// ofQuestion: the next question may well be answered.
func ofQuestion(code codes.Code) bool {
	return code == codes.InvalidArgument || code == codes.PermissionDenied || code == codes.FailedPrecondition
}

// jitter keeps many clients of one node from coming back at once.
func jitter(wait time.Duration) time.Duration { return wait/2 + rand.N(wait) }

const (
	// defaultRetry is for a node that sheds load and does not say for how long.
	defaultRetry = 100 * time.Millisecond
	mostRetry    = 30 * time.Second
)

// retryAfter is how long a node that sheds load wants to be left alone.
func retryAfter(err error) time.Duration {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok && info.GetRetryDelay().AsDuration() > 0 {
			return min(info.GetRetryDelay().AsDuration(), mostRetry)
		}
	}
	return defaultRetry
}

// refuse answers what comes into the queue until it may be sent again.
func (l *lane) refuse(until <-chan time.Time, err error) {
	for {
		select {
		case one := <-l.queue:
			one.call.outcomes <- outcome{lane: l, err: err}
		case <-until:
			return
		case <-l.asker.ctx.Done():
			return
		}
	}
}

// rise lets questions in, and tells those who wait.
func (l *lane) rise() {
	l.back.Store(0)
	if l.failures.Load() > 0 {
		l.state.Store(laneProbed)
	} else {
		l.state.Store(laneUp)
	}
	l.asker.tellChange()
}

// well notes that a question was answered.
func (l *lane) well() {
	if l.state.Load() == laneProbed {
		l.failures.Store(0)
		l.state.Store(laneUp)
		l.asker.tellChange()
	}
}

// askAlone asks what must not travel with others.
func (l *lane) askAlone(one attempt) {
	ctx, cancel := context.WithTimeout(l.asker.ctx, l.asker.cfg.AnswerWithin)
	defer cancel()
	answer := &rawAnswers{single: true}
	request := &rawBatch{bytes.Clone(singleCheck(one.request))} // gRPC may hold it for longer than we do
	o := outcome{lane: l, err: l.conn.Invoke(ctx, apiv1.Checks_Check_FullMethodName, request, answer, batchOption)}
	switch {
	case o.err == nil:
		o.answer = answer.checks[0]
	case status.Code(o.err) == codes.ResourceExhausted:
		l.leaveAlone(retryAfter(o.err))
	}
	one.call.outcomes <- o
}
