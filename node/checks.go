package node

import (
	"context"
	"errors"
	"io"
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
	node    *Node
	scratch sync.Pool // of *checkScratch
}

// checkScratch is what one check needs and the next can use again.
type checkScratch struct {
	query   check.Query
	verdict risk.Verdict
	asked   []risk.Asked
}

func newCheckService(n *Node) *checkService {
	s := &checkService{node: n}
	s.scratch.New = func() any { return &checkScratch{} }
	return s
}

func (s *checkService) Check(ctx context.Context, req *apiv1.CheckRequest) (*apiv1.CheckResponse, error) {
	begin := time.Now()
	resp, err := s.answer(ctx, req, callerOf(ctx))
	if err != nil {
		s.node.metrics.failed.Inc()
		return nil, err
	}
	s.node.metrics.took(begin, 1)
	return resp, nil
}

func (s *checkService) CheckBatch(ctx context.Context, req *apiv1.CheckBatchRequest) (*apiv1.CheckBatchResponse, error) {
	return s.batch(ctx, req, callerOf(ctx))
}

func (s *checkService) CheckStream(stream grpc.BidiStreamingServer[apiv1.CheckBatchRequest, apiv1.CheckBatchResponse]) error {
	who := callerOf(stream.Context())
	for {
		req, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		resp, err := s.batch(stream.Context(), req, who)
		if err != nil {
			return err
		}
		if err := stream.Send(resp); err != nil {
			return err
		}
	}
}

// batch answers each check by itself: one that cannot be asked gets an error in
// its place. What concerns the whole node, such as a state that is not reached,
// fails the batch.
func (s *checkService) batch(ctx context.Context, req *apiv1.CheckBatchRequest, who Identity) (*apiv1.CheckBatchResponse, error) {
	if err := knownFieldsOnly(req); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	if len(req.Checks) > maxBatch {
		return nil, status.Errorf(codes.InvalidArgument, "checks: %d in one message; at most %d are allowed", len(req.Checks), maxBatch)
	}
	begin := time.Now()
	resp := &apiv1.CheckBatchResponse{Checks: make([]*apiv1.CheckResponse, len(req.Checks))}
	for i, one := range req.Checks {
		answer, err := s.answer(ctx, one, who)
		if err != nil {
			s.node.metrics.failed.Inc()
			if status.Code(err) != codes.InvalidArgument {
				return nil, err
			}
			answer = &apiv1.CheckResponse{Error: status.Convert(err).Message()}
		}
		resp.Checks[i] = answer
	}
	s.node.metrics.took(begin, len(req.Checks))
	return resp, nil
}

func (s *checkService) answer(ctx context.Context, req *apiv1.CheckRequest, who Identity) (*apiv1.CheckResponse, error) {
	if err := knownFieldsOnly(req, req.Payment); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	if err := s.node.awaitSize(ctx, req.MinSize); err != nil {
		return nil, err
	}
	if s.node.Head().Size == 0 { // not even founded: it has never heard of anything
		return nil, errNoState
	}
	if err := s.node.lacksKey(); err != nil {
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	scratch := s.scratch.Get().(*checkScratch)
	defer s.scratch.Put(scratch)
	for {
		keys := s.node.keys.Load()
		if err := s.ask(scratch, req, who, keys); err != nil {
			return nil, err
		}
		if err := s.node.checker.Check(&scratch.query, &scratch.verdict); errors.Is(err, check.ErrEmpty) {
			return nil, errNoState
		} else if err != nil {
			return nil, status.Error(codes.InvalidArgument, err.Error())
		}
		// New scopes are set before the view that has a listing of them: if none
		// came in between, the view holds nothing that was not asked for.
		if s.node.keys.Load().scopesVersion == keys.scopesVersion {
			break
		}
	}
	s.node.metrics.answered(&scratch.verdict)
	s.node.noteCheck(who, scratch)
	resp := verdictMessage(&scratch.verdict)
	resp.Unenforced = s.node.unenforced.Load()
	if req.Explain {
		return resp, s.explain(&scratch.query, resp)
	}
	return resp, nil
}

// ask fills the query: payment, subjects, and for each subject the tokens.
func (s *checkService) ask(scratch *checkScratch, req *apiv1.CheckRequest, who Identity, keys *keyState) error {
	q := &scratch.query
	payment, err := paymentOf(req.Payment)
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	if err := s.node.mayAskFor(payment.Purpose); err != nil {
		return status.Error(codes.PermissionDenied, err.Error())
	}
	q.Payment, q.MaxAge = payment, millis(req.MaxAgeMs)
	q.Subjects, scratch.asked = q.Subjects[:0], scratch.asked[:0]
	if len(req.Subjects) > risk.MaxSubjects {
		return status.Errorf(codes.InvalidArgument, "subjects: %d given; at most %d are allowed", len(req.Subjects), risk.MaxSubjects)
	}
	for i, subject := range req.Subjects {
		from := len(scratch.asked)
		one, err := s.subject(scratch, subject, req.ScopesVersion, who, keys)
		if err != nil {
			if _, ok := status.FromError(err); ok {
				return err
			}
			return status.Errorf(codes.InvalidArgument, "subjects[%d].%v", i, err)
		}
		one.Asked = scratch.asked[from:len(scratch.asked):len(scratch.asked)]
		q.Subjects = append(q.Subjects, one)
	}
	return nil
}

func (s *checkService) subject(scratch *checkScratch, m *apiv1.Subject, version uint64, who Identity, keys *keyState) (check.Subject, error) {
	one := check.Subject{Role: risk.RoleOther}
	kind, err := risk.ParseKind(m.GetKind())
	if err != nil {
		return one, err
	}
	one.Kind = kind
	if m.GetRole() != "" {
		if one.Role, err = risk.ParseRole(m.GetRole()); err != nil {
			return one, err
		}
	}
	if err := knownSubjectFields(m); err != nil {
		return one, err
	}
	switch {
	case m.GetValue() == "" && len(m.GetTokens()) == 0 && version == 0:
		return one, errors.New("value: is empty; give the identifier or its tokens")
	case m.GetValue() != "" && len(m.GetTokens()) > 0:
		return one, errors.New("value: give either the identifier or its tokens, not both")
	case m.GetValue() != "" && s.node.mayUse(who, doorRaw) != nil:
		return one, status.Errorf(codes.PermissionDenied, "subjects: %v; send tokens", s.node.mayUse(who, doorRaw))
	case m.GetValue() != "":
		scratch.asked, err = keys.ring.Ask(scratch.asked, kind, m.GetValue(), keys.scopes)
		return one, err
	case version < keys.scopesVersion:
		return one, status.Errorf(codes.FailedPrecondition, "scopes_version: the tokens were made under version %d and scopes in use are at %d; get the keyring again", version, keys.scopesVersion)
	default:
		scratch.asked, err = askedOf(scratch.asked, kind, m.GetTokens())
		return one, err
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
