package main

import (
	"context"
	"fmt"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/client"
)

const subjects = 6

// anAnswer is what the node says to a clean check.
func (n *network) anAnswer(ctx context.Context) ([]byte, error) {
	var answer *apiv1.CheckResponse
	q := client.Question{Payment: &apiv1.Payment{Amount: 100, Currency: "CNY", Phase: "in"}}
	if err := q.Set("payee.device", "nobody has this"); err != nil {
		return nil, err
	}
	answer, err := n.client.Check(ctx, &q)
	if err != nil {
		return nil, err
	}
	return answer.MarshalVT()
}

// checkTrials are checks over gRPC: six clean subjects, a hundred rules, TLS.
func (n *network) checkTrials(o options) []trial {
	trials := []trial{
		n.checks(o, row{name: "unary", what: "one call a check, 50 callers", reach: 0.8}, client.Load{Mode: "unary"}),
		n.checks(o, row{name: "stream", what: "one message a check, 64 in flight", least: 172_000}, client.Load{Mode: "stream", Callers: 16}),
		n.checks(o, row{name: "batch", what: "64 checks a message, tokens given", least: 450_000}, client.Load{Mode: "batch"}),
		n.checks(o, row{name: "raw", what: "64 checks a message, raw identifiers", least: 200_000}, client.Load{Mode: "batch", Raw: true}),
	}
	return trials
}

// checks is one load beside an echo of the same messages.
func (n *network) checks(o options, r row, l client.Load) trial {
	r.peer, r.unit = "a bare gRPC echo", "checks/s"
	l.Duration, l.Subjects = o.each, subjects
	address := ""
	ask := func(at func() string) func(ctx context.Context) (float64, error) {
		return func(ctx context.Context) (float64, error) {
			load := l
			load.Address = at()
			result, err := n.client.Load(ctx, load)
			if err == nil && result.Errors > 0 {
				err = fmt.Errorf("%d of %d checks failed", result.Errors, result.Checks)
			}
			return float64(result.Checks) / result.Seconds, err
		}
	}
	t := inTurn(r, ask(func() string { return address }), ask(func() string { return "" }))
	t.prepare = func(ctx context.Context) (stop func(), err error) {
		address, stop, err = n.startEcho(ctx)
		return stop, err
	}
	return t
}
