package sim

import (
	"context"
	"fmt"
	"maps"
	"time"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/client"
)

// contents compares what every node holds in the end with what was acknowledged:
// each listing once, in the state that the receipts gave it.
func (w *World) contents(ctx context.Context) error {
	var first map[string]bool
	for _, m := range w.machines {
		held, err := w.export(ctx, m)
		if err != nil {
			return fmt.Errorf("export of %s: %w", m.Name, err)
		}
		if first == nil {
			first = held
			w.acknowledged(held)
		} else if !maps.Equal(first, held) {
			w.watch.report("I3", "%s holds %d listings and %s %d, or in other states", w.machines[0].Name, len(first), m.Name, len(held))
		}
	}
	return nil
}

// export gives whether each listing of a node is in force.
func (w *World) export(ctx context.Context, m *machine) (map[string]bool, error) {
	c, err := w.dial("auditor", "auditor", m)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	held, now := map[string]bool{}, time.Now()
	err = c.Export(ctx, true, func(l *apiv1.Listing) error {
		held[l.Id] = client.InForce(l, now)
		return nil
	})
	return held, err
}

func (w *World) acknowledged(held map[string]bool) {
	h := w.history
	h.mu.Lock()
	defer h.mu.Unlock()
	inForce, unsure, unanswered := map[string]bool{}, map[string]bool{}, 0
	for _, op := range h.operations {
		switch {
		case op.kind == list && op.outcome == open:
			unanswered++
		case op.kind == lift && op.outcome == open:
			unsure[op.subject.listing] = true
		case op.kind != check && op.outcome == done:
			inForce[op.listing] = op.kind == list
		}
	}
	for id, want := range inForce {
		is, there := held[id]
		switch {
		case !there && want: // one that was lifted may be gone
			w.watch.report("I1", "listing %s was acknowledged and is not in the state", id)
		case there && is != want && !unsure[id]:
			w.watch.report("I1", "listing %s: in force is %v, and its receipts say %v", id, is, want)
		}
	}
	strange := 0
	for id := range held {
		if _, known := inForce[id]; !known {
			strange++
		}
	}
	if strange > unanswered {
		w.watch.report("I1", "%d listings are in the state, and only %d commands have no known outcome", strange, unanswered)
	}
}
