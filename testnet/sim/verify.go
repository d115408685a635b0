package sim

import (
	"cmp"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/risknet/risknet/risk"
)

// verify holds the history of the clients against what must be true. It runs
// when everything has ended.
func (w *World) verify() {
	h := w.history
	w.watch.violations = append(w.watch.violations, h.complaints...)
	w.order(h.operations)
	w.answers(h.operations)
	w.linear(h.operations)
}

// order finds commands that share a leaf, and those that came to lie before one
// that had been acknowledged when they were sent.
func (w *World) order(all []*operation) {
	var writes []*operation
	for _, op := range all {
		if op.kind != check && op.outcome != open {
			writes = append(writes, op)
		}
	}
	slices.SortFunc(writes, func(a, b *operation) int { return cmp.Compare(a.leaf, b.leaf) })
	latest := time.Duration(-1)
	for i, op := range writes {
		if i > 0 && writes[i-1].leaf == op.leaf {
			w.watch.report("I1", "two commands are one leaf: %s; %s", writes[i-1], op)
		}
		if op.ret < latest {
			w.watch.report("I1", "%s lies behind a command that was sent after its receipt", op)
		}
		latest = max(latest, op.call)
	}
}

// answers holds each check against the ledger: what stood at its size.
func (w *World) answers(all []*operation) {
	writes := map[*subject][]*operation{}
	var acknowledged []*operation
	for _, op := range all {
		if op.kind != check && op.outcome != rejected {
			writes[op.subject] = append(writes[op.subject], op)
			if op.outcome == done {
				acknowledged = append(acknowledged, op)
			}
		}
	}
	slices.SortFunc(acknowledged, func(a, b *operation) int { return cmp.Compare(a.leaf, b.leaf) })
	horizon := earliestMissing(acknowledged)
	for _, op := range all {
		if op.kind == check && op.outcome == done {
			w.answer(op, writes[op.subject])
			w.ageOf(op, horizon)
		}
	}
}

// answer holds one check against its subject's writes, which are in their order.
func (w *World) answer(op *operation, writes []*operation) {
	if op.size < op.minSize {
		w.watch.report("I5", "%s", op)
	}
	expected, either := false, false
	for _, write := range writes {
		if write.outcome == open {
			either = either || write.call <= op.ret
		} else if write.leaf < op.size {
			expected = write.kind == list
		}
	}
	if op.listed != expected && !either {
		w.watch.report("I7", "expected listed %v: %s", expected, op)
	}
	if before, known := w.watch.heads[op.size]; known && string(op.root) != string(before.root[:]) {
		w.watch.report("I10", "size %d has root %s on %s and %x in an answer", op.size, before.root, before.by, op.root)
	}
}

// missing is the first acknowledgement of anything that lies at a leaf or later.
type missing struct {
	leaf uint64
	ret  time.Duration
}

func earliestMissing(acknowledged []*operation) []missing {
	list := make([]missing, len(acknowledged))
	first := time.Duration(1<<63 - 1)
	for i := len(acknowledged) - 1; i >= 0; i-- {
		first = min(first, acknowledged[i].ret)
		list[i] = missing{acknowledged[i].leaf, first}
	}
	return list
}

// ageOf holds an answer to what it says of its age: nothing is missing in it that
// was acknowledged before. Past the limit the declared policy joins it.
func (w *World) ageOf(op *operation, horizon []missing) {
	if len(op.root) != len(risk.Hash{}) || op.age < 0 {
		w.watch.report("I6", "an answer without head or age: %s", op)
	}
	i, _ := slices.BinarySearchFunc(horizon, op.size, func(m missing, size uint64) int { return cmp.Compare(m.leaf, size) })
	if i < len(horizon) && op.age < 1<<62 && horizon[i].ret < op.call-op.age-w.watch.setBack-time.Millisecond {
		w.watch.report("I6", "leaf %d was acknowledged at %s, and is not in an answer that says to be no older: %s", horizon[i].leaf, horizon[i].ret, op)
	}
	advice, err := risk.ParseAdvice(op.advice)
	if past := op.age > staleLimit; past != op.stale || err != nil || (past && advice < risk.StepUp) {
		w.watch.report("I6", "the limit is %s; stale %v, advice %q: %s", staleLimit, op.stale, op.advice, op)
	}
}

// staleLimit is the nodes' stale.max_age.
const staleLimit = 30 * time.Second

// register is one subject as porcupine sees it: listed or not.
var register = porcupine.Model{
	Init: func() any { return false },
	Step: func(state, input, output any) (bool, any) {
		op := input.(*operation)
		if op.kind == check {
			return op.listed == state.(bool), state
		}
		return true, op.kind == list
	},
	DescribeOperation: func(input, _ any) string { return input.(*operation).String() },
}

// linear has porcupine look for an order of a subject's commands, and of the
// checks that asked for everything that any client had seen, in which each takes
// effect between its call and its return.
func (w *World) linear(all []*operation) {
	subjects := map[*subject][]porcupine.Operation{}
	for _, op := range all {
		if op.outcome == rejected || (op.kind == check && (op.outcome == open || op.minSize == 0)) {
			continue
		}
		ret := int64(op.ret)
		if op.outcome == open {
			ret = 1 << 62
		}
		subjects[op.subject] = append(subjects[op.subject], porcupine.Operation{
			ClientId: len(subjects[op.subject]), Input: op, Call: int64(op.call), Return: ret})
	}
	for s, operations := range subjects {
		w.subjects++
		switch porcupine.CheckOperationsTimeout(register, operations, 10*time.Second) {
		case porcupine.Illegal:
			w.watch.report("linearizable", "%s: no order explains its %d operations", s.value, len(operations))
		case porcupine.Unknown:
			w.undecided++
		}
	}
}
