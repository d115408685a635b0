package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/risk"
)

// pausing is between two messages of a judge who must not be in the way: one message of
// 64, of which a third look for what is listed at the store, takes milliseconds.
const pausing = 50 * time.Millisecond

// judge asks every node and knows what the answers must be: members below a number are
// listed, those of a chunk exactly from some size of the ledger on, and nobody else.
type judge struct {
	network *network
	listed  int
	book    chunkBook
	right   atomic.Int64
	wrong   atomic.Pointer[error]
}

func newJudge(n *network, listed int) *judge {
	return &judge{network: n, listed: listed, book: chunkBook{sizes: map[int]uint64{}}}
}

// know: the chunk with this number is listed from this size on, and was not before.
func (j *judge) know(chunk int, size uint64) { j.book.note(chunk, size) }

// fault is the first wrong answer.
func (j *judge) fault() error {
	if err := j.wrong.Load(); err != nil {
		return *err
	}
	return nil
}

// asking is a judge at work.
type asking struct {
	judge  *judge
	cancel context.CancelFunc
	group  sync.WaitGroup
}

// ask asks every node of the network as it is now, until it is stopped.
func (j *judge) ask(ctx context.Context, pauses time.Duration) *asking {
	ctx, cancel := context.WithCancel(ctx)
	a := &asking{judge: j, cancel: cancel}
	for i, node := range j.network.nodes {
		a.group.Go(func() {
			dice := rand.New(rand.NewPCG(uint64(i), uint64(j.listed)))
			for ctx.Err() == nil && j.fault() == nil {
				j.stream(ctx, node, dice, pauses)
				pause(ctx, 20*time.Millisecond) // it is down, or begins anew
			}
		})
	}
	return a
}

func (a *asking) stop() error {
	a.cancel()
	a.group.Wait()
	return a.judge.fault()
}

// expected is the truth about one check.
type expected struct {
	member int
	from   uint64 // listed in answers of at least this size, and in no other; never is 0
}

// window is how many messages are on their way on one stream.
const window = 4

// stream asks one node until something ends that, which is for the node to have.
func (j *judge) stream(ctx context.Context, node plannedNode, dice *rand.Rand, pauses time.Duration) {
	conn, err := j.network.client.Conn(node.API)
	if err != nil {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := apiv1.NewChecksClient(conn).CheckStream(ctx)
	if err != nil {
		return
	}
	asked := make(chan []expected, window)
	var sender sync.WaitGroup
	defer sender.Wait()
	defer cancel()
	sender.Go(func() {
		defer close(asked)
		for ctx.Err() == nil {
			truth, request := j.questions(dice)
			select {
			case asked <- truth:
			case <-ctx.Done():
				return
			}
			if stream.Send(request) != nil || pauses > 0 && !pause(ctx, pauses) {
				return
			}
		}
	})
	for truth := range asked {
		answers, err := stream.Recv()
		if err != nil {
			return
		}
		if err := j.hold(truth, answers); err != nil {
			err = fmt.Errorf("%s: %w", node.Name, err)
			j.wrong.CompareAndSwap(nil, &err)
			return
		}
	}
}

const always = 1

// questions are 64 checks of six subjects, one of which somebody may have listed.
func (j *judge) questions(dice *rand.Rand) ([]expected, *apiv1.CheckBatchRequest) {
	truth := make([]expected, 64)
	request := &apiv1.CheckBatchRequest{Checks: make([]*apiv1.CheckRequest, len(truth))}
	for i := range truth {
		e := expected{member: -1 - dice.IntN(1<<30)}
		switch dice.IntN(3) {
		case 0:
			e = expected{member: dice.IntN(j.listed), from: always}
		case 1:
			if chunk, size, ok := j.book.pick(dice.Uint64()); ok {
				e = expected{member: j.listed + chunk*risk.MaxItems + dice.IntN(risk.MaxItems), from: size}
			}
		}
		one := &apiv1.CheckRequest{Payment: &apiv1.Payment{Amount: 100, Currency: "CNY", Phase: "in"}}
		for k := range subjects {
			value := member(-1 - dice.IntN(1<<30))
			if k == i%subjects {
				value = member(e.member)
			}
			one.Subjects = append(one.Subjects, &apiv1.Subject{Kind: risk.KindDevice.String(), Role: risk.RolePayee.String(), Value: value})
		}
		truth[i], request.Checks[i] = e, one
	}
	return truth, request
}

// hold compares answers with the truth, each at the size that it was given at.
func (j *judge) hold(truth []expected, answers *apiv1.CheckBatchResponse) error {
	if len(answers.Checks) != len(truth) {
		return fmt.Errorf("%d answers to %d questions", len(answers.Checks), len(truth))
	}
	right := int64(0)
	for i, e := range truth {
		a := answers.Checks[i]
		if codes.Code(a.ErrorCode) == codes.ResourceExhausted {
			continue // refused for want of time, which is neither
		}
		if a.Error != "" {
			return fmt.Errorf("%s: %s", member(e.member), a.Error)
		}
		if must := e.from != 0 && a.Size >= e.from; a.Listed != must {
			return fmt.Errorf("%s is answered listed %t at size %d; it is listed from %d on (0 is never)", member(e.member), a.Listed, a.Size, e.from)
		}
		right++
	}
	j.right.Add(right)
	return nil
}
