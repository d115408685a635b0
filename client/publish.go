package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"google.golang.org/protobuf/proto"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/risk"
)

// Spread is how long publications took to protect, and lifts to clear, from when they
// were sent: until the receipt of the node that took them is back, and until the
// answer of the last node of the network is.
type Spread struct {
	Own, All         *hdrhistogram.Histogram // microseconds
	OwnLift, AllLift *hdrhistogram.Histogram
	Nodes            int
	Failures         int // of All and AllLift
}

// Pace is what MeasurePublish does and when.
type Pace struct {
	Count int
	// Every is the time from one report to the next, each lifted half-way between;
	// zero: one after the other. What is sent late because the one before it took
	// longer counts from when it was due.
	Every time.Duration
	Done  func(count int) // may be nil
}

// MeasurePublish reports one subject after the other and lifts it again.
//
// A question waits at each node (min_size) before a command is sent, and is answered
// by the first view that has it: asking takes none of the time that is measured.
func (c *Client) MeasurePublish(ctx context.Context, author *Author, pace Pace) (Spread, error) {
	p := &publishing{client: c, author: author, due: time.Now(), gap: pace.Every / 2,
		spread: Spread{Own: newHistogram(), All: newHistogram(), OwnLift: newHistogram(), AllLift: newHistogram()}}
	network, err := c.Network(ctx)
	if err != nil {
		return p.spread, err
	}
	for _, n := range network.Nodes {
		p.nodes = append(p.nodes, n.Api)
	}
	if len(p.nodes) == 0 {
		p.nodes = []string{c.Endpoint()}
	}
	p.spread.Nodes = len(p.nodes)
	if p.keys, err = c.FreshKeyring(ctx); err != nil {
		return p.spread, err
	}
	for i := range pace.Count {
		if err := p.pair(ctx, fmt.Sprintf("risknet-bench-publish-%d-%d", time.Now().UnixNano(), i)); err != nil {
			return p.spread, err
		}
		if pace.Done != nil {
			pace.Done(i + 1)
		}
	}
	return p.spread, ctx.Err()
}

// publishing is a measurement under way.
type publishing struct {
	client *Client
	author *Author
	keys   *Keyring
	nodes  []string
	size   uint64    // of the ledger, as far as it is known
	due    time.Time // of the next command
	gap    time.Duration
	spread Spread
}

// pair reports one subject and lifts it.
func (p *publishing) pair(ctx context.Context, value string) error {
	report := NewReport(risk.KindDevice, time.Now())
	_ = report.Set("expires", "1h")
	report.Value = value
	subject, err := report.subject()
	if err != nil {
		return err
	}
	item, body, err := report.finish(subject, p.keys.ring.ListSubject(subject))
	if err != nil {
		return err
	}
	q := Question{subjects: []askedSubject{{"", subject}}}
	in, _ := q.request(p.keys, nil)
	reported, err := p.step(ctx, in, true, item, body)
	if err != nil {
		return err
	}
	lift, empty := risk.Item{Op: risk.ItemLift, Target: risk.ItemID{Leaf: reported.Leaf}, Reason: risk.LiftWithdrawn}, risk.NewBody([]byte{})
	lift.Commitment = empty.Commit()
	_, err = p.step(ctx, in, false, lift, empty)
	return err
}

// step sends one command when it is due and measures until all nodes answer by it.
func (p *publishing) step(ctx context.Context, in *apiv1.CheckRequest, listed bool, item risk.Item, body risk.Body) (*apiv1.Receipt, error) {
	asking, cancel := context.WithCancel(ctx)
	defer cancel()
	seen := p.ask(asking, in, listed)
	start := p.due
	if wait := time.Until(p.due); wait > 0 {
		if !pause(ctx, wait) {
			return nil, ctx.Err()
		}
		start = time.Now()
	} else if p.gap == 0 {
		start = time.Now()
	}
	p.due = p.due.Add(p.gap)
	receipt, err := p.author.Do(ctx, &risk.Listings{}, []risk.Item{item}, []risk.Body{body})
	if err != nil {
		return nil, err
	}
	own, all := p.spread.Own, p.spread.All
	if !listed {
		own, all = p.spread.OwnLift, p.spread.AllLift
	}
	_ = own.RecordValue(max(1, time.Since(start).Microseconds()))
	p.size = max(p.size, receipt.Leaf+1)
	timeout := time.AfterFunc(metricsTimeout, cancel)
	defer timeout.Stop()
	last, err := seen()
	if err != nil {
		p.spread.Failures++
		return receipt, ctx.Err()
	}
	_ = all.RecordValue(max(1, last.Sub(start).Microseconds()))
	return receipt, nil
}

// ask asks every node until it answers that the subject is listed, or that it is not,
// from a state larger than the one known so far. Seen waits for all of them and gives
// the time of the last.
func (p *publishing) ask(ctx context.Context, in *apiv1.CheckRequest, listed bool) (seen func() (last time.Time, err error)) {
	var group sync.WaitGroup
	at, faults := make([]time.Time, len(p.nodes)), make([]error, len(p.nodes))
	for i, address := range p.nodes {
		question := proto.CloneOf(in)
		question.MinSize = p.size + 1
		group.Go(func() { at[i], faults[i] = p.client.seen(ctx, address, question, listed) })
	}
	return func() (last time.Time, err error) {
		group.Wait()
		for _, t := range at {
			if t.After(last) {
				last = t
			}
		}
		return last, errors.Join(faults...)
	}
}

func (c *Client) seen(ctx context.Context, address string, in *apiv1.CheckRequest, listed bool) (time.Time, error) {
	conn, err := c.Conn(address)
	if err != nil {
		return time.Time{}, err
	}
	for {
		answer, err := apiv1.NewChecksClient(conn).Check(ctx, in)
		switch {
		case err == nil && answer.Listed == listed:
			return time.Now(), nil
		case err == nil:
			in.MinSize = answer.Size + 1 // somebody else's command
		case !retryable(err):
			return time.Time{}, explain(address, err)
		case !pause(ctx, time.Millisecond):
			return time.Time{}, ctx.Err()
		}
		if ctx.Err() != nil {
			return time.Time{}, ctx.Err()
		}
	}
}
