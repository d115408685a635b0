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
	patient := row{name: "stream-p99", what: "the same, p99 of a message", peer: anEcho, unit: "ms", most: 5}
	return []trial{
		n.checks(o, client.Load{Mode: "unary"}, row{name: "unary", what: "one call a check, 50 callers", reach: 0.8}),
		n.checks(o, client.Load{Mode: "stream", Callers: 16}, row{name: "stream", what: "one message a check, 64 in flight", least: 172_000}, patient),
		n.checks(o, client.Load{Mode: "batch"}, row{name: "batch", what: "64 checks a message, tokens given", least: 450_000}),
		n.checks(o, client.Load{Mode: "batch", Raw: true}, row{name: "raw", what: "64 checks a message, raw identifiers", least: 200_000}),
	}
}

const anEcho = "a bare gRPC echo"

// checks is one load beside an echo of the same messages: checks a second and, if a row
// asks for it, the time of a message.
func (n *network) checks(o options, l client.Load, r row, latency ...row) trial {
	r.peer, r.unit = anEcho, "checks/s"
	l.Duration, l.Subjects = o.each, subjects
	address := ""
	ask := func(ctx context.Context, at string) (figures, error) {
		load := l
		load.Address = at
		result, err := n.client.Load(ctx, load)
		if err == nil && result.Errors > 0 {
			err = fmt.Errorf("%d of %d checks failed", result.Errors, result.Checks)
		}
		seen := figures{r.name: float64(result.Checks) / result.Seconds}
		for _, p99 := range latency {
			seen[p99.name] = float64(result.Percentile(99).Microseconds()) / 1000
		}
		return seen, err
	}
	return trial{rows: append([]row{r}, latency...),
		prepare: func(ctx context.Context) (stop func(), err error) {
			address, stop, err = n.startEcho(ctx)
			return stop, err
		},
		measure: func(ctx context.Context) (theirs, ours figures, err error) {
			if theirs, err = ask(ctx, address); err != nil {
				return nil, nil, fmt.Errorf("%s: %w", anEcho, err)
			}
			ours, err = ask(ctx, "")
			return theirs, ours, err
		}}
}
