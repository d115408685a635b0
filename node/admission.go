package node

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
	"google.golang.org/protobuf/types/known/durationpb"

	apiv1 "github.com/risknet/risknet/api/v1"
)

// admission keeps checks from waiting for each other: what would wait for longer than
// limits.check_wait is refused at once, so that the rest is answered in time and a
// caller asks another node instead of waiting for this one. It says no at three
// moments, each as early as the matter can be known:
//
//   - at the door, when the headers of a call have come and nothing was spent on it yet,
//     if those before it take too long by what calls took lately;
//   - when its turn comes, if it has waited for too long, or if its caller has stopped
//     waiting;
//   - between the checks of a batch, if its caller has stopped waiting.
//
// Nobody is refused while few wait: a machine that stood still for a moment would else
// refuse what it could answer now. Commands, and all that is no check, pass: that the
// queue of checks is short is what keeps them from starving.
//
// All of it is counters that are read and written without a lock. They are allowed to
// be a little behind, since each is put right by the next call.
type admission struct {
	patience time.Duration // zero refuses nothing
	clock    func() int64  // nanoseconds, never set back

	arrived atomic.Int64 // serial of the last call that was let in at the door
	started atomic.Int64 // serial of the last one whose turn came
	turn    atomic.Int64 // when that was
	each    atomic.Int64 // nanoseconds that each call ahead has cost one of late

	mailed atomic.Int64 // bytes of the messages that wait on streams

	atDoor, late, expired prometheus.Counter

	full   error  // what a refused call is told
	answer []byte // what a refused check of a stream is told: an element of CheckBatchResponse
}

const (
	// crowd is how many must wait before any is refused.
	crowd = 64
	// retryWaits is how many check_waits a refused caller is asked to stay away.
	retryWaits = 5
	// longestRefused: gRPC keeps the timer of a call that is refused at the door, 300
	// bytes, until its deadline, for it never cancels such a call's context. Callers
	// choose the deadline, so one that has longer is refused when its turn comes, which
	// costs more and leaves nothing.
	longestRefused = 5 * time.Second
	// expiredEvery is how many checks of a batch come between two looks at whether its
	// caller still waits.
	expiredEvery = 8
)

func newAdmission(patience time.Duration, clock func() int64, count *prometheus.CounterVec) *admission {
	retry := retryWaits * patience
	text := fmt.Sprintf("checks: this node has more of them to answer than it can within limits.check_wait, %s; ask again after %s or ask another node, and give this one more cores if it happens often", patience, retry)
	full, err := status.New(codes.ResourceExhausted, text).WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(retry)})
	if err != nil {
		full = status.New(codes.ResourceExhausted, text)
	}
	var one rawResponse
	one.add(&apiv1.CheckResponse{Error: text, ErrorCode: uint32(codes.ResourceExhausted), RetryAfterMs: retry.Milliseconds()})
	return &admission{patience: patience, clock: clock, full: full.Err(), answer: one.data,
		atDoor: count.WithLabelValues("door"), late: count.WithLabelValues("late"), expired: count.WithLabelValues("expired")}
}

// monotonic is the clock of an admission.
func monotonic() func() int64 {
	begin := time.Now()
	return func() int64 { return int64(time.Since(begin)) }
}

// arrival is the context of a call that was let in: it knows when.
type arrival struct {
	context.Context
	at     int64
	serial int64
	ahead  int64 // calls that had come and whose turn had not

	refused bool // at the door, and told so when its turn comes
}

type arrivalKey struct{}

func (c *arrival) Value(key any) any {
	if key == (arrivalKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// door is asked when the headers of a call are there, on the goroutine that reads the
// connection.
func (a *admission) door(ctx context.Context, call *tap.Info) (context.Context, error) {
	if call.FullMethodName != apiv1.Checks_Check_FullMethodName && call.FullMethodName != apiv1.Checks_CheckBatch_FullMethodName {
		return ctx, nil
	}
	now := a.clock()
	ahead := a.arrived.Load() - a.started.Load()
	if a.crowded(now, ahead) {
		a.atDoor.Inc()
		if until, ok := ctx.Deadline(); ok && time.Until(until) > longestRefused {
			return &arrival{Context: ctx, refused: true}, nil
		}
		return ctx, a.full
	}
	return &arrival{Context: ctx, at: now, serial: a.arrived.Add(1), ahead: ahead}, nil
}

// crowded: half of the patience is for what is ahead at the door, the rest for what
// comes between. If nobody's turn has come for so long, then those ahead are gone, or
// the whole process stood still: letting one in shows which.
func (a *admission) crowded(now, ahead int64) bool {
	return a.patience > 0 && ahead >= crowd && ahead*a.each.Load() > int64(a.patience)/2 && now-a.turn.Load() < int64(a.patience)
}

// begin is asked when a call's turn has come.
func (a *admission) begin(ctx context.Context) error {
	c, ok := ctx.Value(arrivalKey{}).(*arrival)
	if !ok {
		return nil
	}
	if c.refused {
		return a.full
	}
	now := a.clock()
	waited := now - c.at
	a.turn.Store(now)
	if c.serial > a.started.Load() {
		a.started.Store(c.serial)
	}
	if c.ahead >= crowd/8 { // with fewer it is not they who make one wait
		each := a.each.Load()
		a.each.Store(each + (waited/c.ahead-each)/8)
	}
	switch {
	case ctx.Err() != nil:
		a.expired.Inc()
		return status.FromContextError(ctx.Err()).Err()
	case a.patience > 0 && waited > int64(a.patience) && a.arrived.Load()-c.serial >= crowd:
		a.late.Inc()
		return a.full
	}
	return nil
}

// refuse answers each check of a message with why it was not looked at.
func (a *admission) refuse(request []byte, out *rawResponse) error {
	a.late.Inc()
	out.data = out.data[:0]
	f := fields{message: "CheckBatchRequest", rest: request}
	for count := 0; f.next(); count++ {
		if f.number != 1 {
			f.unknown()
			break
		}
		if count == maxBatch {
			return errTooMany
		}
		out.data = append(out.data, a.answer...)
	}
	if f.err != nil {
		return status.Error(codes.InvalidArgument, f.err.Error())
	}
	return nil
}

var errTooMany = status.Errorf(codes.InvalidArgument, "checks: more than %d in one message; at most %d are allowed", maxBatch, maxBatch)
