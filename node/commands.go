package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/check"
	"github.com/risknet/risknet/consensus"
	"github.com/risknet/risknet/ledger"
	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/rules"
	"github.com/risknet/risknet/store"
)

// commandService takes signed commands. It adds nothing to them: any node may
// carry a command, and none can change it.
type commandService struct {
	apiv1.UnimplementedCommandsServer
	node *Node
}

func (s *commandService) Submit(ctx context.Context, req *apiv1.SubmitRequest) (*apiv1.Receipt, error) {
	if err := knownFieldsOnly(req); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	var promise []byte
	receipt, err := s.node.submit(ctx, req, true, func(note []byte) { promise = note })
	if err != nil {
		s.node.metrics.submits.WithLabelValues("failed").Inc()
		return nil, withPromise(err, promise)
	}
	receipt.Promise = promise
	s.node.metrics.submits.WithLabelValues(receipt.Result).Inc()
	if err := s.node.show(ctx, req, receipt); err != nil {
		return nil, err
	}
	return receipt, nil
}

// submit has a command ordered and applied: here if this node leads, otherwise
// by the leader, if the command may still take that one hop. Promised hears the
// leader's word, of each leader that gave one.
func (n *Node) submit(ctx context.Context, req *apiv1.SubmitRequest, mayForward bool, promised func(note []byte)) (*apiv1.Receipt, error) {
	signed, err := risk.DecodeSigned(req.Signed)
	if err != nil {
		return nil, refusalStatus(err)
	}
	if n.Head().Size == 0 {
		return nil, errNoState
	}
	if !n.wasPromised(req, signed, mayForward) {
		if err := n.courtesy(signed); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, n.cfg.Limits.SubmitWait)
	defer cancel()
	if !mayForward {
		return n.propose(ctx, signed, promised)
	}
	return n.ordered(ctx, req, signed, promised)
}

// wasPromised reports whether a node of the network hands over what it has promised as
// a leader. That becomes a leaf, if only one that says that its author's key was retired
// meanwhile.
func (n *Node) wasPromised(req *apiv1.SubmitRequest, signed *risk.Signed, fromOutside bool) bool {
	if fromOutside || len(req.Promise) == 0 {
		return false
	}
	net, err := n.store.Network()
	if err != nil || net == nil {
		return false
	}
	nodes, err := n.store.Nodes()
	if err != nil {
		return false
	}
	return slices.ContainsFunc(nodes, func(of *risk.PutNode) bool {
		key, err := ledger.NewVerifier(net.Origin, of.LogKey.Bytes[:])
		if err != nil {
			return false
		}
		promise, err := ledger.OpenPromise(req.Promise, key)
		return err == nil && risk.Hash(promise.Command) == signed.ID()
	})
}

// askAgain is how long a command waits for a leader that may be another by then.
const askAgain = 50 * time.Millisecond

// ordered has a command ordered by whoever leads. It waits through an election:
// the same bytes are applied once, however often they are handed over.
func (n *Node) ordered(ctx context.Context, req *apiv1.SubmitRequest, signed *risk.Signed, promised func(note []byte)) (*apiv1.Receipt, error) {
	for {
		_, moved := n.order.Leadership()
		receipt, err := n.propose(ctx, signed, promised)
		if errors.Is(err, consensus.ErrNotLeader) {
			receipt, err = n.forward(ctx, req, moved, promised)
		}
		if status.Code(err) != codes.Unavailable {
			return receipt, err
		}
		timer := time.NewTimer(askAgain)
		select {
		case <-moved:
		case <-timer.C:
		case <-n.closing:
			return nil, err
		case <-ctx.Done():
			return nil, err
		}
		timer.Stop()
	}
}

// errNoState is what a node answers that is not founded or has only just begun a
// new life: another may be asked.
var errNoState = status.Error(codes.Unavailable, check.ErrEmpty.Error())

// courtesy refuses early what the network would refuse later, so that it costs
// one node and not all. Nobody relies on it.
func (n *Node) courtesy(signed *risk.Signed) error {
	cmd, err := n.store.Verify(signed, n.now().UnixMilli())
	if err != nil {
		return refusalStatus(err)
	}
	switch p := cmd.Params.(type) {
	case *risk.PublishRules:
		if _, err := rules.Compile(signed.Bodies[0].Data); err != nil {
			return status.Errorf(codes.InvalidArgument, "rules: %v", err)
		}
	case *risk.OpenEpoch:
		return n.holdsKey(p)
	case *risk.RaiseProtocol:
		if p.Version > risk.ProtocolVersion {
			return status.Errorf(codes.FailedPrecondition, "version: this node applies protocols up to %d; upgrade the nodes first", risk.ProtocolVersion)
		}
	}
	return nil
}

// holdsKey keeps a hub from opening an epoch whose key has not been handed out:
// every node without it would have to stop.
func (n *Node) holdsKey(p *risk.OpenEpoch) error {
	for _, k := range n.secrets {
		if k.Epoch == p.Epoch && risk.CommitEpochKey(k.Secret) == p.Commitment {
			return nil
		}
	}
	return status.Errorf(codes.FailedPrecondition, "epoch: %s does not hold the key of epoch %d, or holds another; hand it to every node and restart them first", n.cfg.Name, p.Epoch)
}

// propose has this node's raft order the command. It works on the leader alone.
func (n *Node) propose(ctx context.Context, signed *risk.Signed, promised func(note []byte)) (*apiv1.Receipt, error) {
	if n.clockSetBack.Swap(false) {
		n.order.ForgetStamps()
	}
	entry := risk.Entry{Proposer: n.id, Signed: signed}
	word := newWord(func() {
		if note := n.promise(signed, entry.At); note != nil {
			promised(note)
		}
	})
	result, _, err := n.order.ProposeStored(ctx, func(at int64) []byte {
		entry.At = at
		return entry.Encode()
	}, func() { close(word.stored) })
	word.end()
	switch {
	case errors.Is(err, consensus.ErrNotLeader):
		return nil, err
	case errors.Is(err, consensus.ErrHeld):
		return nil, status.Errorf(codes.Unavailable, "the leader takes nothing new (%v); send the same bytes again in a moment, another may lead by then", err)
	case errors.Is(err, consensus.ErrBusy):
		return nil, status.Errorf(codes.ResourceExhausted, "the leader has as many commands under way as it may; send the same bytes again in a moment")
	case err != nil:
		return nil, status.Errorf(codes.Unavailable, "the outcome is not known (%v); send the same bytes again, they are applied once", err)
	}
	applied, ok := result.(store.Applied)
	if !ok || applied.Err != nil {
		return nil, status.Errorf(codes.Internal, "apply: %v", applied.Err)
	}
	receipt := receiptOf(&applied)
	if receipt.Repeated {
		receipt.AtMs = n.stampOf(receipt.Leaf, receipt.AtMs)
	}
	return receipt, nil
}

// stampOf gives the time of a leaf; the given one if this node does not hold the
// leaf, because an image brought it up to date.
func (n *Node) stampOf(index uint64, otherwise int64) int64 {
	data, err := n.store.Leaf(index)
	if err != nil {
		return otherwise
	}
	leaf, err := risk.DecodeLeaf(data)
	if err != nil {
		return otherwise
	}
	return leaf.At
}

func receiptOf(a *store.Applied) *apiv1.Receipt {
	r := &apiv1.Receipt{CommandId: a.Result.ID[:], AtMs: a.At, Result: risk.Accepted.String()}
	refusal, outcomes := a.Result.Refusal, a.Result.Outcomes
	if first := a.Result.First; first != nil {
		r.Repeated, outcomes = true, first.Outcomes
		if first.Refusal != risk.Accepted {
			refusal = &risk.Error{Kind: first.Refusal, Text: "this command was refused when it was first seen"}
		}
	}
	if refusal != nil {
		r.Result, r.Field, r.Text = refusal.Kind.String(), refusal.Field, refusal.Text
	}
	r.Recorded = a.Result.Leaf || a.Result.First != nil
	r.Leaf = a.Leaf
	r.Outcomes = outcomeMessages(outcomes, a.Leaf)
	return r
}

// forward hands the command to the leader, as long as it leads; there it is not
// handed on again.
func (n *Node) forward(ctx context.Context, req *apiv1.SubmitRequest, moved <-chan struct{}, promised func(note []byte)) (*apiv1.Receipt, error) {
	peer, err := n.leader()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-moved:
			cancel()
		case <-ctx.Done():
		}
	}()
	receipt, err := handOver(ctx, peer, req, promised)
	if status.Code(err) == codes.Canceled || status.Code(err) == codes.DeadlineExceeded {
		return nil, status.Errorf(codes.Unavailable, "the leader did not answer in time; send the same bytes again, they are applied once")
	}
	return receipt, err
}

// handOver reads the leader's answers: its promise, and what became of the command.
func handOver(ctx context.Context, leader apiv1.PeersClient, req *apiv1.SubmitRequest, promised func(note []byte)) (*apiv1.Receipt, error) {
	stream, err := leader.Forward(ctx, req)
	if err != nil {
		return nil, err
	}
	for {
		answer, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil, status.Error(codes.Unavailable, "the leader gave no receipt; send the same bytes again in a moment")
		}
		if err != nil {
			return nil, err
		}
		if answer.Receipt != nil {
			return answer.Receipt, nil
		}
		promised(answer.Promise)
	}
}

// show waits until this node's own view has the command's leaf, so that the
// caller reads its own write here. A deadline gives visible:false.
func (n *Node) show(ctx context.Context, req *apiv1.SubmitRequest, r *apiv1.Receipt) error {
	wait := n.cfg.Limits.SubmitWait
	if req.WaitMs > 0 {
		wait = min(wait, millis(req.WaitMs))
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	size := uint64(0)
	if r.Recorded {
		size = r.Leaf + 1
	}
	view, err := n.checker.Wait(ctx, size)
	r.Visible = err == nil && r.Recorded
	if err != nil {
		view = n.checker.Load()
	}
	r.Head = headMessage(view.Head)
	return nil
}

// refusalStatus turns a refusal into a gRPC status whose text begins with the
// kind of refusal.
func refusalStatus(err error) error {
	refusal, ok := errors.AsType[*risk.Error](err)
	if !ok {
		return status.Error(codes.Internal, err.Error())
	}
	code := codes.InvalidArgument
	switch refusal.Kind {
	case risk.UnknownKey, risk.BadSignature, risk.KeyRetired:
		code = codes.Unauthenticated
	case risk.NotPermitted, risk.NeedsCosigner:
		code = codes.PermissionDenied
	case risk.TooNew, risk.TooOld, risk.WrongNetwork:
		code = codes.FailedPrecondition
	}
	return status.Error(code, refusal.Error())
}

// unheard takes promises that nobody waits for.
func unheard([]byte) {}

// bringFounding puts the founding commands in and returns when all of them are.
// They are the first leaves of the ledger, so a ledger that is as long has them.
func (n *Node) bringFounding(ctx context.Context, commands []*risk.Signed) error {
	for i, signed := range commands {
		for n.Head().Size < uint64(len(commands)) {
			_, moved := n.order.Leadership()
			receipt, err := n.propose(ctx, signed, unheard)
			if errors.Is(err, consensus.ErrNotLeader) && n.Head().Size > 0 {
				receipt, err = n.forward(ctx, &apiv1.SubmitRequest{Signed: signed.Encode()}, moved, unheard)
			}
			if err == nil && receipt.Result == risk.Accepted.String() {
				break
			}
			if err == nil {
				return fmt.Errorf("founding command %d: %s: %s %s", i+1, receipt.Result, receipt.Field, receipt.Text)
			}
			if !pause(ctx, 20*time.Millisecond) {
				return nil
			}
		}
	}
	return nil
}

// pause waits; it is false when the context ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
