package main

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// protectionTrials are about how soon a report protects: sent to one node, until the
// slowest of all answers by it; and what the network costs that waits for one.
func (n *network) protectionTrials(o options) []trial {
	reports := trial{rows: []row{
		{name: "protect-p50", what: "report sent to one node → denied on the slowest of five, a report every 100 ms, p50", unit: "ms", most: 6},
		{name: "protect-p99", what: "the same, p99", unit: "ms", most: 15},
		{name: "lift-p50", what: "lift sent to one node → clear on the slowest of five, p50", unit: "ms", most: 6},
		{name: "lift-p99", what: "the same, p99", unit: "ms", most: 15},
	}, measure: func(ctx context.Context) (figures, figures, error) {
		var out struct {
			P50             float64 `json:"p50_ms"`
			P99             float64 `json:"p99_ms"`
			LiftP50         float64 `json:"lift_p50_ms"`
			LiftP99         float64 `json:"lift_p99_ms"`
			Nodes, Failures int
		}
		count := max(10, int(2*o.each/(100*time.Millisecond)))
		err := n.risknet(ctx, &out, "bench", "publish", "--every", "100ms", "--count", strconv.Itoa(count))
		if err == nil && (out.Failures > 0 || out.Nodes != n.size) { // the rest would look better than it is
			err = fmt.Errorf("%d of %d reports and lifts were not seen on all of %d nodes", out.Failures, 2*count, out.Nodes)
		}
		return nil, figures{"protect-p50": out.P50, "protect-p99": out.P99, "lift-p50": out.LiftP50, "lift-p99": out.LiftP99}, err
	}}
	idle := trial{rows: []row{{name: "idle", what: "what a node of five uses while nobody asks or reports", unit: "% of a core", most: 15}},
		prepare: func(ctx context.Context) (func(), error) { return func() {}, n.idle(ctx) },
		measure: func(ctx context.Context) (figures, figures, error) {
			used, err := n.share(ctx, 2*o.each)
			return nil, figures{"idle": 100 * used / float64(len(n.nodes))}, err
		}}
	return []trial{idle, reports}
}
