package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/risk"
)

// Asker asks checks for many goroutines at once, as a payment system does. Tokens are
// made in the goroutine that asks; what many ask at a time travels together, in batches
// over a few streams that stay open to each of a few nodes. A check that comes alone
// leaves at once: nothing waits for a batch to fill, a batch is what came while others
// were on their way.
//
// The client's own node is asked first. Another one is asked when that one is silent,
// refuses, or has ended its stream, within the time of the check. An answer is always a
// node's, unless AskerConfig.NoAnswer says what to do without one.
//
// A check may reach two nodes, or one twice, when a stream breaks or it is hedged. Each
// node that answers it counts the payment in its own dynamics.
type Asker struct {
	client *Client
	cfg    AskerConfig
	nodes  []*askedNode

	keys     atomic.Pointer[Keyring]
	changed  atomic.Pointer[chan struct{}] // closed when a lane comes up
	recent   latencies
	hedges   hedgeBudget
	calls    sync.Pool // of *call
	began    time.Time
	ctx      context.Context
	cancel   context.CancelCauseFunc
	fetching atomic.Pointer[fetch] // nil when no keyring is being fetched
	mu       sync.Mutex            // of what follows; never held while something is sent
	fetched  time.Time
	closed   bool
	group    sync.WaitGroup
}

// askedNode is a node and the streams to it.
type askedNode struct {
	address string
	index   int
	lanes   []*lane
}

// AskerConfig is how an Asker goes about it. The zero value suits a payment system that
// has its own node beside it.
type AskerConfig struct {
	// Nodes are the gRPC addresses of further nodes, in the order in which they stand
	// in for the client's own. Without them these are the nodes of the same institution,
	// by the network's records. A client that was given an endpoint asks that one alone.
	Nodes []string
	// OtherInstitutions has the nodes of other institutions stand in too, after those
	// of its own. A question holds tokens and no identifier, but whoever gets it sees
	// the payment that it is about, and that this institution asks about the tokens that
	// are listed. Without it the certificate of each node is held to the institution.
	OtherInstitutions bool
	// MostNodes bounds the nodes to which streams are kept; zero means 3.
	MostNodes int
	// Streams is how many go to each node; zero means 2.
	Streams int
	// Batch is how many checks one message carries at most; zero means 128.
	Batch int
	// Window is how many messages may be on their way on a stream; zero means 2.
	Window int
	// Queue is how many checks may wait for a stream. When the queues of all nodes are
	// full, a check is refused at once with RESOURCE_EXHAUSTED; zero means 4,096.
	Queue int
	// Timeout is how long a check goes on at most, if its context does not end before;
	// zero means 2 seconds.
	Timeout time.Duration
	// AnswerWithin is how long a stream may be silent while answers are due. Then it is
	// given up, and what was on it is asked elsewhere; zero means 500 ms.
	AnswerWithin time.Duration
	// MaxAge is for questions that have none of their own; see [Question].
	MaxAge time.Duration
	// Stale is what to do with an answer from a view that is older than that.
	Stale StalePolicy
	// NoAnswer is the advice of a check that no node has answered in time, with the
	// reason "no_answer"; it cannot be allow. Zero gives an error instead.
	NoAnswer risk.Advice
	// Hedge has a second node asked before the first one has failed.
	Hedge Hedge
}

// StalePolicy is what to do with a stale answer. None of them makes it an allow: the
// node has put its own stale policy into it.
type StalePolicy uint8

const (
	// StaleTake gives it as it is: advice, reason "stale", and Stale set.
	StaleTake StalePolicy = iota
	// StaleAskAnother asks the other nodes first, and takes the least old answer if
	// none of them has a fresh one.
	StaleAskAnother
	// StaleRefuse asks the other nodes first, and is an error if none of them has a
	// fresh answer.
	StaleRefuse
)

// Hedge says when a second node is asked before the first one has failed. The first
// answer counts.
type Hedge struct {
	On bool
	// After is how long the first node is waited for; zero means as long as 95 of a
	// hundred recent checks took.
	After time.Duration
	// Share bounds the checks that are asked twice, out of all; zero means 0.05.
	Share float64
}

const (
	defaultMostNodes    = 3
	defaultStreams      = 2
	defaultBatch        = 128
	defaultWindow       = 2
	defaultQueue        = 4096
	defaultTimeout      = 2 * time.Second
	defaultAnswerWithin = 500 * time.Millisecond
	defaultHedgeShare   = 0.05
	maxMessageChecks    = 1024 // a node takes no more; see check.proto
)

// ErrAskerClosed answers who asks after Close, or is waiting then.
var ErrAskerClosed = errors.New("asker: it was closed")

func (c AskerConfig) withDefaults() (AskerConfig, error) {
	c.MostNodes, c.Streams = cmp.Or(c.MostNodes, defaultMostNodes), cmp.Or(c.Streams, defaultStreams)
	c.Batch, c.Window, c.Queue = cmp.Or(c.Batch, defaultBatch), cmp.Or(c.Window, defaultWindow), cmp.Or(c.Queue, defaultQueue)
	c.Timeout, c.AnswerWithin = cmp.Or(c.Timeout, defaultTimeout), cmp.Or(c.AnswerWithin, defaultAnswerWithin)
	c.Hedge.Share = cmp.Or(c.Hedge.Share, defaultHedgeShare)
	switch {
	case c.MostNodes < 1 || c.MostNodes > maxTried || c.Streams < 1 || c.Window < 1 || c.Queue < 1 || c.Timeout < 0 || c.AnswerWithin < 0 || c.MaxAge < 0 || c.Hedge.After < 0:
		return c, fmt.Errorf("asker: a bound is negative, or there are more than %d nodes; leave out what is not needed", maxTried)
	case c.Batch < 1 || c.Batch > maxMessageChecks:
		return c, fmt.Errorf("asker: batch: %d; a message carries 1 to %d checks", c.Batch, maxMessageChecks)
	case c.NoAnswer == risk.Allow || c.NoAnswer != 0 && !c.NoAnswer.Valid():
		return c, fmt.Errorf("asker: no_answer: %v; silence is never an allow, use observe or more", c.NoAnswer)
	case c.Stale > StaleRefuse:
		return c, fmt.Errorf("asker: stale: %d is no policy", c.Stale)
	case c.Hedge.Share < 0 || c.Hedge.Share > 1:
		return c, fmt.Errorf("asker: hedge share: %g; give a share from 0 to 1", c.Hedge.Share)
	}
	return c, nil
}

// NewAsker fetches the token keys from the client's own node, which must answer now, and
// opens the streams. The caller ends it with Close, and closes c after it.
func NewAsker(ctx context.Context, c *Client, cfg AskerConfig) (*Asker, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	keys, err := c.FreshKeyring(ctx)
	if err != nil {
		return nil, err
	}
	addresses, allowed, err := c.standIns(ctx, cfg)
	if err != nil {
		return nil, err
	}
	a := &Asker{client: c, cfg: cfg, began: time.Now()}
	a.ctx, a.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	a.keys.Store(keys)
	a.hedges.share = int64(cfg.Hedge.Share * hedgeUnit)
	a.calls.New = func() any { return newCall() }
	never := make(chan struct{})
	a.changed.Store(&never)
	for i, address := range addresses {
		node := &askedNode{address: address, index: i}
		a.nodes = append(a.nodes, node)
		config := c.tls
		if i > 0 && !cfg.OtherInstitutions {
			config = ofInstitutions(config, allowed)
		}
		for range cfg.Streams {
			conn, err := dialNode(address, config, c.reach)
			if err != nil {
				a.Close()
				return nil, err
			}
			node.lanes = append(node.lanes, newLane(a, node, conn))
		}
	}
	for _, node := range a.nodes {
		for _, l := range node.lanes {
			a.group.Go(l.run)
		}
	}
	return a, nil
}

// standIns gives the addresses to ask, the own one first, and the institutions whose
// nodes they may be.
func (c *Client) standIns(ctx context.Context, cfg AskerConfig) (addresses, allowed []string, err error) {
	addresses = []string{c.Endpoint()}
	if c.pinned {
		return addresses, nil, nil
	}
	// Another node could name itself here, and c may be with another one by now.
	own := c.home()
	defer own.Close()
	network, err := own.Network(ctx)
	if err != nil {
		return nil, nil, err
	}
	c.know(network)
	allowed = []string{c.profile.Institution}
	for _, n := range network.Nodes {
		if n.Api == c.Endpoint() { // it may serve several institutions
			allowed = append(allowed, n.Institution)
		}
	}
	further := cfg.Nodes
	if len(further) == 0 {
		further = recorded(network, allowed, cfg.OtherInstitutions)
	}
	for _, address := range further {
		if !slices.Contains(addresses, address) && len(addresses) < cfg.MostNodes {
			addresses = append(addresses, address)
		}
	}
	return addresses, allowed, nil
}

// recorded gives the nodes of those institutions, and behind them all others if they may
// be asked.
func recorded(network *apiv1.NetworkResponse, institutions []string, others bool) (list []string) {
	for _, same := range []bool{true, false} {
		for _, n := range network.Nodes {
			ours := n.Institution != "" && slices.Contains(institutions, n.Institution)
			if n.Api != "" && ours == same && (same || others) {
				list = append(list, n.Api)
			}
		}
	}
	return list
}

// Close ends all streams. Checks that wait are answered with [ErrAskerClosed].
func (a *Asker) Close() {
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.cancel(ErrAskerClosed)
	for _, node := range a.nodes {
		for _, l := range node.lanes {
			_ = l.conn.Close()
		}
	}
	a.group.Wait()
}

// spawn starts a goroutine that Close waits for.
func (a *Asker) spawn(work func()) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return false
	}
	a.group.Go(work)
	return true
}

// Check asks one question. It may be called by any number of goroutines; the question
// stays as it is. An error has the gRPC code of what kept it from being answered:
// RESOURCE_EXHAUSTED when too many checks wait, or a node sheds load.
func (a *Asker) Check(ctx context.Context, q *Question) (*apiv1.CheckResponse, error) {
	if err := q.check(); err != nil {
		return nil, err
	}
	question := *q
	question.MaxAge = cmp.Or(question.MaxAge, a.cfg.MaxAge)
	asking := asking{asker: a, question: &question, began: a.sinceBegun()}
	answer, err := asking.run(ctx)
	if err == nil || a.cfg.NoAnswer == 0 || !unanswered(err) {
		return answer, err
	}
	return a.noAnswer(err), nil
}

// reasonNoAnswer is the reason of a verdict that no node has given.
const reasonNoAnswer = "no_answer"

// noAnswer is the advice that the caller has declared for want of an answer.
func (a *Asker) noAnswer(err error) *apiv1.CheckResponse {
	advice := a.cfg.NoAnswer.String()
	return &apiv1.CheckResponse{Advice: advice, Stale: true, Reasons: []*apiv1.Reason{{Rule: reasonNoAnswer, Advice: advice,
		Subject: -1, Text: "no node has answered: " + err.Error(), TextZh: "没有节点作出应答"}}}
}

// unanswered errors say that nobody could answer, and not that the question is at fault
// or that the caller has gone.
func unanswered(err error) bool {
	return retryable(err) || errors.Is(err, ErrStale) || status.Code(err) == codes.FailedPrecondition
}
