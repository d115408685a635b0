package main

import (
	"context"
	"fmt"
	"strconv"
)

// overloadTrials ask for twice of what the node answers at most, at a rate that does
// not wait for answers. The generator has the same cores, so what it cannot send in
// time waits with it, and is in the p99 too.
func (n *network) overloadTrials(o options) []trial {
	var trials []trial
	for _, mode := range []string{"unary", "stream"} {
		goodput := row{name: "overload-" + mode, what: "asked for at twice the peak: answered in time, " + mode, peer: "its own peak", unit: "checks/s", reach: 0.9}
		p99 := row{name: "overload-" + mode + "-p99", what: "the same, p99 of what was answered, from the moment that it was due", unit: "ms", most: 20}
		trials = append(trials, trial{rows: []row{goodput, p99}, measure: func(ctx context.Context) (figures, figures, error) {
			peak, _, err := n.benchCheck(ctx, o, mode, 0)
			if err != nil {
				return nil, nil, err
			}
			at, late, err := n.benchCheck(ctx, o, mode, 2*peak)
			return figures{goodput.name: peak}, figures{goodput.name: at, p99.name: late}, err
		}})
	}
	return trials
}

// benchCheck gives the goodput a second, and the p99 in milliseconds; a rate of zero
// asks as fast as answers come.
func (n *network) benchCheck(ctx context.Context, o options, mode string, rate float64) (goodput, p99 float64, err error) {
	args := []string{"bench", "check", "--mode", mode, "--hits", "0", "--subjects", strconv.Itoa(subjects), "--duration", o.each.String()}
	if rate > 0 {
		args = append(args, "--rate", strconv.Itoa(int(rate)))
	}
	var out struct {
		Goodput float64 `json:"goodput_per_s"`
		P99     float64 `json:"p99_us"`
		Errors  int64   `json:"errors"`
	}
	err = n.risknet(ctx, &out, args...)
	if err == nil && out.Errors > 0 {
		err = fmt.Errorf("%d checks failed", out.Errors)
	}
	return out.Goodput, out.P99 / 1000, err
}
