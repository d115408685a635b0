package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/risk"
)

const (
	// mostOpen is how many nodes have one check at a time.
	mostOpen = 2
	// mostRefusals is how often a check comes back to nodes that shed load: who sheds
	// is not helped by being asked for ever.
	mostRefusals = 3
	// firstPause and lastPause are between two rounds over nodes that all fail.
	firstPause, lastPause = 5 * time.Millisecond, 250 * time.Millisecond
	// maxTried bounds the nodes of an asker.
	maxTried = 64
)

// ErrStale is for [StaleRefuse]: no node has a view as fresh as was asked for.
var ErrStale = errors.New("asker: max_age: every node that answers has a view older than that; ask with a longer one, or see how the nodes are")

// call is where the lanes leave what became of a check. It is used again when no lane
// has it any more.
type call struct {
	outcomes chan outcome // has room for all that may come
	timer    *time.Timer
	request  []byte
	room     []risk.Asked
}

func newCall() *call {
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	return &call{outcomes: make(chan outcome, mostOpen), timer: timer}
}

// outcome is an answer as it came, or why there is none.
type outcome struct {
	lane   *lane
	answer []byte
	err    error
	// alone: another check of the same message may be the cause.
	alone bool
}

// asking is one check on its way to an answer. The goroutine that asks owns it.
type asking struct {
	asker    *Asker
	question *Question
	keys     *Keyring // that the request was made with
	call     *call
	began    time.Duration // after asker.began
	asked    time.Duration // when a lane last got it, after asker.began
	pause    time.Duration // the last one, while no node took it

	open     int    // lanes that have it
	tried    uint64 // nodes that have failed it since the last pause, a bit each
	alone    bool   // sent by itself from here on
	hedged   bool
	refusals int
	stale    *apiv1.CheckResponse // the least old one
	why      error                // it has no answer yet
}

func (s *asking) run(ctx context.Context) (*apiv1.CheckResponse, error) {
	a := s.asker
	s.call = a.calls.Get().(*call)
	defer s.leave()
	s.alone = s.question.MinSize > 0 // the node would let the whole message wait
	s.asked = s.began
	s.encode(a.keys.Load())
	s.call.timer.Reset(s.nextWake())
	for {
		for s.open == 0 {
			sent, err := s.send(ctx)
			if err != nil {
				return s.giveUp(err)
			}
			if sent {
				break
			}
		}
		select {
		case o := <-s.call.outcomes:
			s.open--
			answer, err := s.take(o)
			if answer != nil || err != nil {
				return answer, err
			}
		case <-s.call.timer.C:
			if err := s.late(); err != nil {
				return s.giveUp(err)
			}
		case <-ctx.Done():
			return s.giveUp(ctx.Err())
		case <-a.ctx.Done():
			return nil, ErrAskerClosed
		}
	}
}

// leave gives the call back, unless a lane may still put an outcome there.
func (s *asking) leave() {
	s.call.timer.Stop()
	if s.open == 0 {
		s.asker.calls.Put(s.call)
	}
}

// encode makes the tokens and the request. Lanes that have the old one keep it.
func (s *asking) encode(keys *Keyring) {
	room := s.call.request[:0]
	if s.open > 0 {
		room = nil
	}
	s.call.request, s.call.room = s.question.appendCheck(room, keys, s.call.room)
	s.keys = keys
}

// send hands the check to a lane. Where none takes it, it waits until one may.
func (s *asking) send(ctx context.Context) (sent bool, err error) {
	a := s.asker
	if f := a.fetching.Load(); f != nil && f.old == s.keys {
		return false, s.wait(ctx, f.done, s.left())
	}
	if keys := a.keys.Load(); keys != s.keys {
		s.encode(keys)
		s.tried = 0
	}
	changed := *a.changed.Load() // before the look, so that nothing is missed
	full, ok := s.give()
	switch {
	case ok:
		return true, nil
	case a.ctx.Err() != nil:
		return false, ErrAskerClosed
	case full:
		return false, a.errFull()
	case s.stale != nil, s.refusals >= mostRefusals: // nobody else is there to ask
		return false, s.why
	}
	rest := a.firstBack()
	if rest > s.left() && (s.refusals > 0 || a.shedding()) {
		return false, cmp.Or(s.why, errShedding)
	}
	if s.refusals == 0 {
		rest = 0
	}
	s.tried, s.pause = 0, min(max(2*s.pause, firstPause), lastPause)
	return false, s.wait(ctx, changed, min(s.left(), max(rest, s.pause)))
}

// wait ends with the signal or when the time is over, if that is not all the time that
// there is.
func (s *asking) wait(ctx context.Context, signal <-chan struct{}, most time.Duration) error {
	s.call.timer.Reset(max(0, most))
	select {
	case <-signal:
	case <-s.call.timer.C:
		if s.left() <= 0 {
			return s.timeout()
		}
	case <-ctx.Done():
		return ctx.Err()
	case <-s.asker.ctx.Done():
		return ErrAskerClosed
	}
	s.call.timer.Reset(max(0, s.nextWake()))
	return nil
}

// give puts the check into the queue of the first node that takes it. Full says that
// there was one, but without room.
func (s *asking) give() (full, ok bool) {
	one := attempt{call: s.call, request: s.call.request}
	patience, now := s.asker.hedgeAfter(), s.asker.sinceBegun()
	for _, avoidLate := range []bool{patience > 0, false} {
		for _, node := range s.asker.nodes {
			if s.tried&(1<<node.index) != 0 {
				continue
			}
			l := node.lane(now, avoidLate, patience)
			switch {
			case l == nil:
			case l.take(one, s.alone):
				s.tried |= 1 << node.index
				s.open++
				s.asked = now
				return false, true
			default:
				full = true
			}
		}
		if !avoidLate {
			break
		}
	}
	return full, false
}

// take looks at what became of the check at one node; neither answer nor error means
// that it goes on.
func (s *asking) take(o outcome) (*apiv1.CheckResponse, error) {
	if o.err == nil {
		answer, err := s.read(o)
		if status.Code(err) != codes.ResourceExhausted {
			return answer, err
		}
		o.err = err // of this check alone; the stream goes on
	}
	if s.asker.ctx.Err() != nil {
		return nil, ErrAskerClosed
	}
	err := explain(o.lane.node.address, o.err)
	switch code := status.Code(o.err); {
	case errors.Is(o.err, errRequeue): // no fault of the node: it may have it again
		s.tried &^= 1 << o.lane.node.index
	case code == codes.FailedPrecondition: // a scope or an epoch came into use
		s.why = err
		s.asker.renewKeys(s.keys)
	case code == codes.ResourceExhausted:
		s.why = err
		s.refusals++
	case retryable(o.err):
		s.why = err
	case o.alone && !s.alone:
		s.alone = true
		s.tried &^= 1 << o.lane.node.index
	default:
		return nil, err
	}
	return nil, nil
}

// read takes an answer, if it is one.
func (s *asking) read(o outcome) (*apiv1.CheckResponse, error) {
	answer := &apiv1.CheckResponse{}
	err := answer.UnmarshalVT(o.answer)
	switch {
	case err != nil:
		return nil, fmt.Errorf("answer of %s: %w", o.lane.node.address, err)
	case answer.ErrorCode == uint32(codes.ResourceExhausted):
		if answer.RetryAfterMs > 0 {
			most := mostRetry.Milliseconds() // before it is multiplied: what a node sends is any number
			o.lane.leaveAlone(time.Duration(min(answer.RetryAfterMs, most)) * time.Millisecond)
		}
		return nil, status.Error(codes.ResourceExhausted, answer.Error)
	case answer.Error != "":
		return nil, explain(o.lane.node.address, status.Error(cmp.Or(codes.Code(answer.ErrorCode), codes.InvalidArgument), answer.Error))
	case answer.Advice == "" || answer.Stale && answer.Advice == risk.Allow.String():
		return nil, fmt.Errorf("answer of %s: advice %q of a view that is stale (%t); see that client and node are of one version", o.lane.node.address, answer.Advice, answer.Stale)
	case !answer.Stale || s.asker.cfg.Stale == StaleTake:
		if s.asker.cfg.Hedge.On {
			s.asker.recent.note(s.asker.sinceBegun() - s.began)
			s.asker.hedges.earn()
		}
		return answer, nil
	}
	if s.stale == nil || answer.AgeMs < s.stale.AgeMs {
		s.stale = answer
	}
	s.why = ErrStale
	return nil, nil
}

// late asks a second node if it is time for that, and ends what has had its time.
func (s *asking) late() error {
	if s.left() <= 0 {
		return s.timeout()
	}
	if !s.hedged && s.open == 1 && s.asker.cfg.Hedge.On {
		s.hedged = true
		if s.asker.hedges.spend() {
			if _, ok := s.give(); !ok {
				s.asker.hedges.giveBack()
			}
		}
	}
	s.call.timer.Reset(max(0, s.nextWake()))
	return nil
}

// left is how much of the time for the check is left.
func (s *asking) left() time.Duration { return s.asker.cfg.Timeout - (s.asker.sinceBegun() - s.began) }

// nextWake is how long nothing has to be done if nothing comes.
func (s *asking) nextWake() time.Duration {
	left := s.left()
	after := s.asker.hedgeAfter()
	if after == 0 || s.hedged {
		return left
	}
	return min(left, max(0, after-(s.asker.sinceBegun()-s.asked)))
}

func (s *asking) timeout() error {
	return status.Errorf(codes.DeadlineExceeded, "asker: no node has answered within %s; ask again, or see how the nodes are", s.asker.cfg.Timeout)
}

// giveUp gives the stale answer if there is nothing better and that is good enough;
// otherwise the error, with what kept the check from being answered.
func (s *asking) giveUp(err error) (*apiv1.CheckResponse, error) {
	gone := errors.Is(err, context.Canceled) || errors.Is(err, ErrAskerClosed)
	if s.stale != nil && s.asker.cfg.Stale == StaleAskAnother && !gone {
		return s.stale, nil
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = status.Error(codes.DeadlineExceeded, "asker: no node has answered before the caller's deadline")
	}
	if s.why != nil && !gone && !errors.Is(err, s.why) {
		return nil, &lateError{err: err, why: s.why}
	}
	return nil, err
}

// lateError has the code of what ended the check, and tells what kept it so long.
type lateError struct{ err, why error }

func (e *lateError) Error() string {
	return status.Convert(e.err).Message() + "; " + e.why.Error()
}

func (e *lateError) GRPCStatus() *status.Status { return status.Convert(e.err) }

func (e *lateError) Unwrap() error { return e.why }
