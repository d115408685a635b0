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

// checkRows are checks over gRPC: six clean subjects, a hundred rules, TLS.
func (n *network) checkRows(o options) []row {
	var address string
	prepare := func(ctx context.Context) (func(), error) {
		at, stop, err := n.startEcho(ctx)
		address = at
		return stop, err
	}
	load := func(l client.Load, echo bool) func(ctx context.Context) (float64, error) {
		l.Duration, l.Subjects = o.each, subjects
		return func(ctx context.Context) (float64, error) {
			if echo {
				l.Address = address
			}
			result, err := n.client.Load(ctx, l)
			if err == nil && result.Errors > 0 {
				err = fmt.Errorf("%d of %d checks failed", result.Errors, result.Checks)
			}
			return float64(result.Checks) / result.Seconds, err
		}
	}
	rows := []row{
		{name: "unary", what: "one call a check, 50 callers", reach: 0.8},
		{name: "stream", what: "one message a check, 64 in flight", least: 172_000},
		{name: "batch", what: "64 checks a message, tokens given", least: 450_000},
		{name: "raw", what: "64 checks a message, raw identifiers", least: 200_000},
	}
	loads := map[string]client.Load{"unary": {Mode: "unary"}, "stream": {Mode: "stream", Callers: 16}, "batch": {Mode: "batch"}, "raw": {Mode: "batch", Raw: true}}
	for i := range rows {
		r := &rows[i]
		r.peer, r.unit, r.prepare = "a bare gRPC echo", "checks/s", prepare
		r.theirs, r.ours = load(loads[r.name], true), load(loads[r.name], false)
	}
	return rows
}
