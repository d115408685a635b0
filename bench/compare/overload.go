package main

import (
	"context"
	"fmt"
	"strconv"

	"golang.org/x/sync/errgroup"
)

// overloadTrials ask for twice of what the node answers at most, at a rate that does
// not wait for answers. The generator has the same cores and cannot send all of it in
// time; how long an accepted check takes is seen by somebody else, who asks one after
// the other meanwhile, and beside the peak as well.
func (n *network) overloadTrials(o options) []trial {
	var trials []trial
	for _, mode := range []string{"unary", "stream"} {
		goodput := row{name: "overload-" + mode, what: "asked for at twice the peak: answered, " + mode, peer: "its own peak", unit: "checks/s", reach: 0.9}
		p99 := row{name: "overload-" + mode + "-p99", what: "the same, p99 of the accepted calls of a caller beside it", unit: "ms", most: 20}
		trials = append(trials, trial{rows: []row{goodput, p99}, measure: func(ctx context.Context) (figures, figures, error) {
			peak, _, err := n.besideCaller(ctx, o, mode)
			if err != nil {
				return nil, nil, err
			}
			flood, caller, err := n.besideCaller(ctx, o, mode, "--rate", strconv.Itoa(int(2*peak.Goodput)))
			return figures{goodput.name: peak.Goodput}, figures{goodput.name: flood.Goodput, p99.name: caller.Seen.P99 / 1000}, err
		}})
	}
	return trials
}

// besideCaller is a load, and what one caller meets with who asks meanwhile.
func (n *network) besideCaller(ctx context.Context, o options, mode string, more ...string) (load, caller loaded, err error) {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		load, err = n.benchCheck(ctx, o, mode, more...)
		return err
	})
	group.Go(func() (err error) {
		caller, err = n.benchCheck(ctx, o, "unary", "--callers", "1")
		return err
	})
	return load, caller, group.Wait()
}

// loaded is what a load from outside has met with.
type loaded struct {
	Goodput float64 `json:"goodput_per_s"`
	Errors  int64   `json:"errors"`
	Seen    struct {
		P99 float64 `json:"p99_us"`
	} `json:"uncorrected"`
}

// benchCheck asks from a process of its own, as fast as answers come if no rate is given.
func (n *network) benchCheck(ctx context.Context, o options, mode string, more ...string) (out loaded, err error) {
	args := []string{"bench", "check", "--mode", mode, "--hits", "0", "--subjects", strconv.Itoa(subjects), "--duration", o.each.String()}
	err = n.risknet(ctx, &out, append(args, more...)...)
	if err == nil && out.Errors > 0 {
		err = fmt.Errorf("%d checks failed", out.Errors)
	}
	return out, err
}
