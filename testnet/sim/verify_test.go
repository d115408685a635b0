package sim

import (
	"testing"
	"time"

	"github.com/risknet/risknet/risk"
)

// told is a history in seconds: each case breaks one promise, or none.
type told struct {
	kind       kind
	call, ret  int
	leaf       uint64 // of a command
	size       uint64 // of a check
	minSize    uint64
	listed     bool
	age        time.Duration
	notStale   bool
	unanswered bool
}

var root [32]byte

func judge(lines []told) []Violation {
	w := &World{begin: time.Now(), history: newHistory(time.Now())}
	w.watch = newWatch(w)
	s := w.history.newSubject()
	for _, l := range lines {
		op := &operation{kind: l.kind, subject: s, call: time.Duration(l.call) * time.Second, ret: time.Duration(l.ret) * time.Second,
			outcome: done, leaf: l.leaf, size: l.size, minSize: l.minSize, listed: l.listed, root: root[:], age: l.age,
			stale: l.age > staleLimit && !l.notStale, advice: risk.StepUp.String()}
		if l.unanswered {
			op.outcome = open
		}
		w.history.operations = append(w.history.operations, op)
	}
	w.verify()
	return w.watch.violations
}

func TestAHistoryIsHeldToWhatWasPromised(t *testing.T) {
	listed := told{kind: list, call: 1, ret: 2, leaf: 10}
	lifted := told{kind: lift, call: 5, ret: 6, leaf: 20}
	for _, c := range []struct {
		name    string
		history []told
		want    string // the invariant that is broken; empty for none
	}{
		{"as it should be", []told{listed, {kind: check, call: 3, ret: 4, size: 11, minSize: 11, listed: true}, lifted,
			{kind: check, call: 7, ret: 8, size: 21, minSize: 21}}, ""},
		{"an old state, which says so", []told{listed, {kind: check, call: 40, ret: 41, size: 5, age: 39 * time.Second}}, ""},
		{"a command without an answer may be in or not", []told{{kind: list, call: 1, ret: 2, unanswered: true},
			{kind: check, call: 3, ret: 4, size: 11, minSize: 5, listed: true}}, ""},
		{"a listed one answered clear", []told{listed, {kind: check, call: 3, ret: 4, size: 12}}, "I7"},
		{"a lifted one comes back", []told{listed, lifted, {kind: check, call: 7, ret: 8, size: 22, listed: true}}, "I7"},
		{"older than asked for", []told{listed, {kind: check, call: 3, ret: 4, size: 5, minSize: 11, age: 20 * time.Second}}, "I5"},
		{"an old state that says to be fresh", []told{listed, {kind: check, call: 20, ret: 21, size: 5, age: time.Second}}, "I6"},
		{"past the limit without the policy", []told{{kind: check, call: 50, ret: 51, size: 5, age: 40 * time.Second, notStale: true}}, "I6"},
		{"two commands in one leaf", []told{listed, {kind: lift, call: 5, ret: 6, leaf: 10}}, "I1"},
		{"a later command before an acknowledged one", []told{listed, {kind: lift, call: 5, ret: 6, leaf: 9}}, "I1"},
		{"a check from before what a client knew", []told{listed, {kind: check, call: 3, ret: 4, size: 10, minSize: 9}}, "linearizable"},
	} {
		t.Run(c.name, func(t *testing.T) {
			found := map[string]bool{}
			for _, v := range judge(c.history) {
				found[v.Invariant] = true
			}
			if c.want == "" && len(found) > 0 || c.want != "" && !found[c.want] {
				t.Errorf("found %v, want %q", found, c.want)
			}
		})
	}
}

func TestTwoRootsAtOneSizeAreSeen(t *testing.T) {
	w := &World{begin: time.Now()}
	w.watch = newWatch(w)
	w.watch.head("n1", 7, standing{root: risk.Hash{1}, by: "n1"})
	w.watch.head("n2", 7, standing{root: risk.Hash{1}, digest: risk.Hash{1}, by: "n2"})
	w.watch.head("n3", 7, standing{root: risk.Hash{2}, by: "n3"})
	w.watch.node("n1", 1, 7, 9)
	w.watch.node("n1", 1, 6, 8)
	var found []string
	for _, v := range w.watch.violations {
		found = append(found, v.Invariant)
	}
	if len(found) != 4 || found[0] != "I3" || found[1] != "I10" || found[2] != "I2" || found[3] != "I10" {
		t.Errorf("found %v", found)
	}
}
