package node

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/check"
	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/token"
)

// maxBatch is how many checks one message may carry.
const maxBatch = 1024

// checkService answers checks. A raw identifier ends here: it becomes tokens
// before anything else looks at the request.
type checkService struct {
	apiv1.UnimplementedChecksServer
	node      *Node
	admission *admission
	scratch   sync.Pool // of *checkScratch
}

// checkScratch is what one check needs and the next can use again.
type checkScratch struct {
	question question
	query    check.Query
	verdict  risk.Verdict
	asked    []risk.Asked
	known    []check.Known
	reply    reply
	advised  [risk.Deny + 1]uint32 // answers that are not in the metrics yet
}

func newCheckService(n *Node) *checkService {
	s := &checkService{node: n, admission: newAdmission(n.cfg.Limits.CheckWait, monotonic(), n.metrics.refused)}
	s.scratch.New = func() any { return &checkScratch{} }
	return s
}

// release counts what was answered, once for a message: two cores that count each check
// take the counter from each other.
func (s *checkService) release(scratch *checkScratch) {
	s.node.metrics.answered(&scratch.advised)
	s.scratch.Put(scratch)
}

// checksDesc is the service as the generated code describes it, but for one thing:
// requests are taken as bytes, see question.
var checksDesc = func() *grpc.ServiceDesc {
	desc := apiv1.Checks_ServiceDesc
	desc.Methods = []grpc.MethodDesc{
		rawMethod("Check", apiv1.Checks_Check_FullMethodName, (*checkService).one),
		rawMethod("CheckBatch", apiv1.Checks_CheckBatch_FullMethodName, (*checkService).many),
	}
	return &desc
}()

// rawMethod is what the generated code does for a method, with a request of bytes.
func rawMethod(name, full string, answer func(*checkService, context.Context, []byte) (any, error)) grpc.MethodDesc {
	return grpc.MethodDesc{MethodName: name, Handler: func(srv any, ctx context.Context, decode func(any) error, before grpc.UnaryServerInterceptor) (any, error) {
		if err := srv.(*checkService).admission.begin(ctx); err != nil {
			return nil, err
		}
		in := &rawRequest{}
		defer in.free()
		if err := decode(in); err != nil {
			return nil, err
		}
		handle := func(ctx context.Context, _ any) (any, error) {
			return answer(srv.(*checkService), ctx, in.data)
		}
		if before == nil {
			return handle(ctx, in)
		}
		return before(ctx, in, &grpc.UnaryServerInfo{Server: srv, FullMethod: full}, handle)
	}}
}

// one answers a CheckRequest.
func (s *checkService) one(ctx context.Context, request []byte) (any, error) {
	begin := time.Now()
	scratch := s.scratch.Get().(*checkScratch)
	defer s.release(scratch)
	out := &reply{}
	if err := s.answer(ctx, scratch, request, callerOf(ctx), out); err != nil {
		s.node.metrics.failed.Inc()
		return nil, err
	}
	s.node.metrics.took(begin, 1)
	return &out.message, nil
}

// many answers a CheckBatchRequest.
func (s *checkService) many(ctx context.Context, request []byte) (any, error) {
	out := &rawResponse{}
	_, err := s.batch(ctx, request, callerOf(ctx), out)
	return out, err
}

func (s *checkService) CheckStream(stream grpc.BidiStreamingServer[apiv1.CheckBatchRequest, apiv1.CheckBatchResponse]) error {
	return s.serve(stream)
}

// batch answers each check by itself: one that cannot be asked, or that its caller may
// not ask, gets an error in its place. What concerns the whole node, such as a state that
// is not reached, fails the batch, and so does a caller who has stopped waiting. It gives
// the number of checks.
func (s *checkService) batch(ctx context.Context, request []byte, who Identity, out *rawResponse) (count int, err error) {
	begin := time.Now()
	out.data = out.data[:0]
	scratch := s.scratch.Get().(*checkScratch)
	defer s.release(scratch)
	f := fields{message: "CheckBatchRequest", rest: request}
	for f.next() {
		if f.number != 1 {
			f.unknown()
			break
		}
		if count++; count > maxBatch {
			return count, errTooMany
		}
		if count%expiredEvery == 0 && ctx.Err() != nil {
			s.admission.expired.Inc()
			return count, status.FromContextError(ctx.Err()).Err()
		}
		one := f.bytes()
		if f.err != nil {
			break
		}
		if err := s.answer(ctx, scratch, one, who, &scratch.reply); err != nil {
			s.node.metrics.failed.Inc()
			if !ofThisQuestion(err) {
				return count, err
			}
			why := status.Convert(err)
			scratch.reply.message.Reset()
			scratch.reply.message.Error, scratch.reply.message.ErrorCode = why.Message(), uint32(why.Code())
		}
		out.add(&scratch.reply.message)
	}
	if f.err != nil {
		return count, status.Error(codes.InvalidArgument, f.err.Error())
	}
	s.node.metrics.took(begin, count)
	return count, nil
}

// ofThisQuestion says that those beside it in its batch can be answered. Tokens of old
// scopes are not of this kind: the caller made them all with one keyring.
func ofThisQuestion(err error) bool {
	code := status.Code(err)
	return code == codes.InvalidArgument || code == codes.PermissionDenied
}

// answerMessage is for those inside this process that have a message.
func (s *checkService) answerMessage(ctx context.Context, req *apiv1.CheckRequest, who Identity) (*apiv1.CheckResponse, error) {
	request, err := req.MarshalVT()
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	scratch := s.scratch.Get().(*checkScratch)
	defer s.release(scratch)
	out := &reply{}
	if err := s.answer(ctx, scratch, request, who, out); err != nil {
		return nil, err
	}
	return &out.message, nil
}

// answer answers one question. The request's bytes stay as they are until it returns.
func (s *checkService) answer(ctx context.Context, scratch *checkScratch, request []byte, who Identity, out *reply) error {
	question := &scratch.question
	if err := question.read(request); err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	if err := s.node.awaitSize(ctx, question.minSize); err != nil {
		return err
	}
	if s.node.Head().Size == 0 { // not even founded: it has never heard of anything
		return errNoState
	}
	if err := s.node.lacksKey(); err != nil {
		return status.Error(codes.Unavailable, err.Error())
	}
	for {
		keys := s.node.keys.Load()
		if err := s.ask(scratch, who, keys); err != nil {
			return err
		}
		if err := s.node.checker.Check(&scratch.query, &scratch.verdict); errors.Is(err, check.ErrEmpty) {
			return errNoState
		} else if err != nil {
			return status.Error(codes.InvalidArgument, err.Error())
		}
		// Scopes, and the lack of a key, are known before the view that has a listing of
		// them: if neither came in between, the view holds nothing that was not asked for.
		if err := s.node.lacksKey(); err != nil {
			return status.Error(codes.Unavailable, err.Error())
		}
		if s.node.keys.Load().scopesVersion == keys.scopesVersion {
			break
		}
	}
	if scratch.verdict.Advice.Valid() {
		scratch.advised[scratch.verdict.Advice]++
	}
	s.node.noteCheck(who, scratch)
	out.fill(&scratch.verdict)
	out.message.Unenforced = s.node.unenforced.Load()
	if question.explain {
		return s.explain(&scratch.query, &out.message)
	}
	return nil
}

// ask fills the query: payment, subjects, and for each subject the tokens.
func (s *checkService) ask(scratch *checkScratch, who Identity, keys *keyState) error {
	q, question := &scratch.query, &scratch.question
	if err := s.node.mayAskFor(question.payment.Purpose); err != nil {
		return status.Error(codes.PermissionDenied, err.Error())
	}
	q.Payment, q.MaxAge = question.payment, millis(question.maxAgeMillis)
	q.Subjects, scratch.asked = q.Subjects[:0], scratch.asked[:0]
	for i := range question.subjects {
		subject := &question.subjects[i]
		asked, err := s.tokens(scratch, subject, who, keys)
		if err != nil {
			if _, ok := status.FromError(err); ok {
				return err
			}
			return status.Errorf(codes.InvalidArgument, "subjects[%d].%v", i, err)
		}
		q.Subjects = append(q.Subjects, check.Subject{Kind: subject.kind, Role: subject.role, Asked: asked})
	}
	return nil
}

// tokens gives those of a subject: the ones that came with the question, or those of
// the raw value.
func (s *checkService) tokens(scratch *checkScratch, one *askedSubject, who Identity, keys *keyState) ([]risk.Asked, error) {
	question, given := &scratch.question, one.to > one.from
	switch {
	case one.value == "" && !given && question.scopesVersion == 0:
		return nil, errors.New("value: is empty; give the identifier or its tokens")
	case one.value != "" && given:
		return nil, errors.New("value: give either the identifier or its tokens, not both")
	case one.value != "":
		if err := s.node.mayUse(who, doorRaw); err != nil {
			return nil, status.Errorf(codes.PermissionDenied, "subjects: %v; send tokens", err)
		}
		from := len(scratch.asked)
		var err error
		if scratch.asked, err = keys.ring.Ask(scratch.asked, one.kind, one.value, keys.scopes); err != nil {
			return nil, err
		}
		return scratch.asked[from:len(scratch.asked):len(scratch.asked)], nil
	case question.scopesVersion < keys.scopesVersion:
		return nil, status.Errorf(codes.FailedPrecondition, "scopes_version: the tokens were made under version %d and scopes in use are at %d; get the keyring again", question.scopesVersion, keys.scopesVersion)
	default:
		return question.tokens[one.from:one.to:one.to], nil
	}
}

// explain adds how each rule was evaluated, metered.
func (s *checkService) explain(q *check.Query, resp *apiv1.CheckResponse) error {
	traces, err := s.node.checker.Explain(q)
	if err != nil {
		return status.Error(codes.Internal, err.Error())
	}
	for _, t := range traces {
		m := &apiv1.RuleTrace{Rule: t.Rule.ID, Value: t.Fired, Cost: t.Cost}
		if t.Err != nil {
			m.Error = t.Err.Error()
		}
		resp.Trace = append(resp.Trace, m)
	}
	return nil
}

// awaitSize waits, within bounds, until the view has at least size leaves.
func (n *Node) awaitSize(ctx context.Context, size uint64) error {
	if size == 0 || n.checker.Load().Head.Size >= size {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, n.cfg.Limits.SizeWait)
	defer cancel()
	view, err := n.checker.Wait(ctx, size)
	if err != nil {
		return status.Errorf(codes.Unavailable, "min_size: this node has not reached size %d in time, it is at %d; ask again or ask another node", size, n.checker.Load().Head.Size)
	}
	_ = view
	return nil
}

// keyState is what turns raw identifiers into the tokens to ask.
type keyState struct {
	ring          *token.Keyring
	keys          []TokenKey
	scopes        token.ScopesInUse
	scopesVersion uint64 // see risk.Scopes; at least 1
}
