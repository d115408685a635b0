package node

import (
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/risk"
)

const checkWait = 10 * time.Millisecond

// gate is an admission on a clock that the test moves.
type gate struct {
	*admission
	t   *testing.T
	now time.Duration
}

func newGate(t *testing.T) *gate {
	g := &gate{t: t, now: time.Hour}
	g.admission = newAdmission(checkWait, func() int64 { return int64(g.now) }, newMetrics(&Node{}).refused)
	return g
}

var oneCheck = &tap.Info{FullMethodName: apiv1.Checks_Check_FullMethodName}

// comes brings so many calls to the door that are let in.
func (g *gate) comes(ctx context.Context, n int) (calls []context.Context) {
	g.t.Helper()
	for i := range n {
		call, err := g.door(ctx, oneCheck)
		if err != nil {
			g.t.Fatalf("call %d of %d is refused at the door: %v", i, n, err)
		}
		calls = append(calls, call)
	}
	return calls
}

func TestACallIsAdmittedByItsAge(t *testing.T) {
	over, stop := context.WithDeadline(context.Background(), time.Unix(1, 0))
	defer stop()
	gone, leave := context.WithCancel(context.Background())
	leave()
	for _, test := range []struct {
		name   string
		caller context.Context
		behind int // calls that come after it
		waits  time.Duration
		want   codes.Code
	}{
		{"fresh", context.Background(), 0, 0, codes.OK},
		{"fresh in a crowd", context.Background(), crowd, checkWait, codes.OK},
		{"late, and nearly alone", context.Background(), crowd - 1, time.Second, codes.OK},
		{"late in a crowd", context.Background(), crowd, checkWait + 1, codes.ResourceExhausted},
		{"deadline over", over, 0, 0, codes.DeadlineExceeded},
		{"caller gone", gone, 0, 0, codes.Canceled},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := newGate(t)
			call := g.comes(test.caller, 1)[0]
			g.comes(context.Background(), test.behind)
			g.now += test.waits
			if got := status.Code(g.begin(call)); got != test.want {
				t.Errorf("it is answered %s, want %s", got, test.want)
			}
		})
	}
}

// turns lets calls begin, one after the other, each of which takes so long.
func (g *gate) turns(calls []context.Context, each time.Duration) {
	for _, call := range calls {
		g.now += each
		_ = g.begin(call)
	}
}

func TestTheDoorShutsAtCapacityAndOpensAgain(t *testing.T) {
	g := newGate(t)
	const each = 50 * time.Microsecond
	waiting := g.comes(context.Background(), 100)
	g.turns(waiting[:40], each) // what a call costs is learned
	waiting = waiting[40:]
	refused := 0
	for range 1000 { // nobody is answered meanwhile
		call, err := g.door(context.Background(), oneCheck)
		if err != nil {
			refused++
			continue
		}
		waiting = append(waiting, call)
	}
	if wait := time.Duration(len(waiting)) * each; refused == 0 || wait > 2*checkWait || len(waiting) < crowd {
		t.Fatalf("%d wait, for %v, and %d are refused", len(waiting), wait, refused)
	}
	g.turns(waiting, each)
	if n := testutil.ToFloat64(g.late); n > float64(len(waiting))/2 {
		t.Errorf("%v of %d that were let in are refused when their turn comes", n, len(waiting))
	}
	g.comes(context.Background(), crowd)
	if n := testutil.ToFloat64(g.atDoor); int(n) != refused {
		t.Errorf("%v refusals are counted, not %d", n, refused)
	}
}

// Calls whose callers went away before they were read whole have no turn.
func TestCallsThatVanishDoNotShutTheDoor(t *testing.T) {
	g := newGate(t)
	g.turns(g.comes(context.Background(), 100), time.Millisecond)
	g.arrived.Add(10_000)
	if _, err := g.door(context.Background(), oneCheck); status.Code(err) != codes.ResourceExhausted {
		t.Fatalf("10,000 seem to wait, and the door is open (%v)", err)
	}
	g.now += checkWait
	g.turns(g.comes(context.Background(), 1), 0)
	g.comes(context.Background(), crowd)
}

// gRPC would keep something of it until its deadline.
func TestACallWithALongDeadlineIsNotRefusedAtTheDoor(t *testing.T) {
	g := newGate(t)
	g.turns(g.comes(context.Background(), 100), time.Millisecond)
	g.arrived.Add(10_000)
	for within, atDoor := range map[time.Duration]bool{time.Second: true, time.Hour: false} {
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		call, err := g.door(ctx, oneCheck)
		if (err != nil) != atDoor {
			t.Errorf("a call that has %v is answered %v at the door", within, err)
		}
		if err == nil {
			err = g.begin(call)
		}
		if status.Code(err) != codes.ResourceExhausted {
			t.Errorf("a call that has %v is answered %v", within, err)
		}
	}
}

// What is no check passes, however many wait.
func TestCommandsPassTheDoor(t *testing.T) {
	g := newGate(t)
	g.turns(g.comes(context.Background(), 100), time.Millisecond)
	g.arrived.Add(10_000)
	for _, row := range permissions {
		call := &tap.Info{FullMethodName: row.Door}
		isCheck := call.FullMethodName == apiv1.Checks_Check_FullMethodName || call.FullMethodName == apiv1.Checks_CheckBatch_FullMethodName
		if ctx, err := g.door(context.Background(), call); (err != nil) != isCheck || g.begin(ctx) != nil {
			t.Errorf("%s: %v", row.Door, err)
		}
	}
}

// A refused caller gets, over TLS, what to do and when; and others are served.
func TestARefusalSaysWhenToComeAgain(t *testing.T) {
	n := newCompany(t).Node
	n.cfg.Limits = DefaultConfig().Limits
	n.health, n.metrics = health.NewServer(), newMetrics(n)
	checks := newCheckService(n)
	a := checks.admission
	a.clock = func() int64 { return int64(time.Hour) }
	a.turn.Store(int64(time.Hour))
	a.arrived.Store(1000)
	a.each.Store(int64(time.Millisecond))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := n.newServer(checks)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	defer func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}()
	conn, err := n.peers.dial(place{n.creds.Identity.Institution, n.creds.Identity.Name, listener.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	_, err = apiv1.NewChecksClient(conn).Check(t.Context(), &apiv1.CheckRequest{})
	got := status.Convert(err)
	if got.Code() != codes.ResourceExhausted || !strings.Contains(got.Message(), "limits.check_wait") || len(got.Details()) != 1 {
		t.Fatalf("it says %v", err)
	}
	if hint, ok := got.Details()[0].(*errdetails.RetryInfo); !ok || hint.RetryDelay.AsDuration() != retryWaits*checkWait {
		t.Errorf("the hint is %v", got.Details())
	}
	if _, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil {
		t.Errorf("another call: %v", err)
	}
}

// mailStream is a stream of messages, all of which come before the first answer is taken.
type mailStream struct {
	ctx     context.Context
	all     [][]byte
	read    chan struct{} // closed when all are read
	next    int
	onFirst func()
	answers []*apiv1.CheckBatchResponse
}

func (l *mailStream) Context() context.Context { return l.ctx }

func (l *mailStream) RecvMsg(m any) error {
	if l.next == len(l.all) {
		close(l.read)
		return io.EOF
	}
	m.(*rawRequest).data = l.all[l.next]
	l.next++
	return nil
}

func (l *mailStream) SendMsg(m any) error {
	answer := &apiv1.CheckBatchResponse{}
	if err := answer.UnmarshalVT(append([]byte(nil), m.(*rawResponse).data...)); err != nil {
		return err
	}
	if l.answers = append(l.answers, answer); len(l.answers) == 1 {
		<-l.read
		l.onFirst()
	}
	return nil
}

// One message of a stream is refused for its age, those after it are answered, and
// the order stays.
func TestAStreamRefusesWhatHasWaitedTooLong(t *testing.T) {
	d := newDesk(t)
	s := newCheckService(d.Node)
	now := int64(0)
	s.admission = newAdmission(checkWait, func() int64 { return now }, d.metrics.refused)
	const messages, each = 100, 2
	l := &mailStream{ctx: t.Context(), read: make(chan struct{}), onFirst: func() { now = int64(checkWait) + 1 }}
	batch := &apiv1.CheckBatchRequest{}
	for range each {
		batch.Checks = append(batch.Checks, &apiv1.CheckRequest{ScopesVersion: 1 << 40, Subjects: []*apiv1.Subject{{Kind: "phone"}}})
	}
	data, err := batch.MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	for range messages {
		l.all = append(l.all, data)
	}
	if err := s.serve(l); err != nil {
		t.Fatal(err)
	}
	refused := 0
	for i, answer := range l.answers {
		if len(answer.Checks) != each {
			t.Fatalf("answer %d is of %d checks", i, len(answer.Checks))
		}
		late := answer.Checks[0].ErrorCode == uint32(codes.ResourceExhausted) && answer.Checks[0].RetryAfterMs == (retryWaits*checkWait).Milliseconds()
		if behind := messages - 1 - i; late != (i > 0 && behind*each >= crowd) {
			t.Fatalf("answer %d, with %d behind it: %v", i, behind, answer.Checks[0])
		}
		if late {
			refused++
		}
	}
	if n := testutil.ToFloat64(s.admission.late); len(l.answers) != messages || int(n) != refused {
		t.Errorf("%d answers, %v refusals counted, %d given", len(l.answers), n, refused)
	}
}

// What one question may not be asked for, or does not say, costs those beside it nothing.
func TestAForbiddenQuestionIsRefusedInItsPlace(t *testing.T) {
	d := newDesk(t)
	d.purposes.Store(uint32(risk.PurposeScreening))
	s, out := newCheckService(d.Node), &rawResponse{}
	phone := []*apiv1.Subject{{Kind: "phone", Value: "13800138000"}}
	request, err := (&apiv1.CheckBatchRequest{Checks: []*apiv1.CheckRequest{
		{Payment: &apiv1.Payment{Purpose: "transaction_screening"}, Subjects: phone},
		{Payment: &apiv1.Payment{Purpose: "aml"}, Subjects: phone},
		{Subjects: []*apiv1.Subject{{Kind: "phone"}}},
		{Payment: &apiv1.Payment{Purpose: "transaction_screening"}, Subjects: phone},
	}}).MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.batch(t.Context(), request, d.creds.Identity, out); err != nil {
		t.Fatal(err)
	}
	answers := &apiv1.CheckBatchResponse{}
	if err := answers.UnmarshalVT(out.data); err != nil {
		t.Fatal(err)
	}
	var got []codes.Code
	for _, a := range answers.Checks {
		if got = append(got, codes.Code(a.ErrorCode)); (a.Error == "") != (a.ErrorCode == 0) || (a.Error == "") != (a.Advice != "") {
			t.Errorf("an answer with advice %q, error %q", a.Advice, a.Error)
		}
	}
	if want := []codes.Code{codes.OK, codes.PermissionDenied, codes.InvalidArgument, codes.OK}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// A batch whose caller stops waiting is not finished.
func TestABatchEndsWithItsCaller(t *testing.T) {
	d := newDesk(t)
	s := newCheckService(d.Node)
	var request []byte
	one, err := (&apiv1.CheckBatchRequest{Checks: []*apiv1.CheckRequest{{Subjects: []*apiv1.Subject{{Kind: "phone", Value: "13800138000"}}}}}).MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	for range 5 * expiredEvery {
		request = append(request, one...)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	count, err := s.batch(ctx, request, d.creds.Identity, &rawResponse{})
	if status.Code(err) != codes.Canceled || count > expiredEvery {
		t.Errorf("%d checks were looked at (%v)", count, err)
	}
	if _, err := s.batch(t.Context(), request, d.creds.Identity, &rawResponse{}); err != nil {
		t.Errorf("the same, of a caller who waits: %v", err)
	}
}

func BenchmarkAdmission(b *testing.B) {
	a := newAdmission(checkWait, monotonic(), newMetrics(&Node{}).refused)
	b.ReportAllocs()
	for b.Loop() {
		ctx, err := a.door(context.Background(), oneCheck)
		if err != nil || a.begin(ctx) != nil {
			b.Fatal("refused")
		}
	}
}
