package sim

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/risknet/risknet/risk"
)

// subjectKind is what the clients list: it has neither prefixes nor parents.
const subjectKind = risk.KindDevice

// subject is one identifier. Its writer alone changes the fields below value.
type subject struct {
	number   int
	value    string
	listing  string // id of the listing in force, as far as its writer knows
	writes   int
	doubtful bool // the outcome of a command is not known; nothing more is written
}

// kind of an operation.
type kind int

const (
	list kind = iota
	lift
	check
)

func (k kind) String() string { return [...]string{"list", "lift", "check"}[k] }

// outcome of an operation.
type outcome int

const (
	open     outcome = iota // perhaps it has had its effect, perhaps it will
	done                    // it has
	rejected                // it never will
)

// operation is one call of a client and what it brought.
type operation struct {
	kind      kind
	subject   *subject
	call, ret time.Duration // ret is zero while it is under way
	outcome   outcome

	leaf    uint64 // of a command
	listing string

	minSize uint64 // of a check
	size    uint64
	root    []byte
	listed  bool
	age     time.Duration
	stale   bool
	advice  string
}

func (o *operation) String() string {
	if o.kind == check {
		return fmt.Sprintf("check of %s from %s to %s at size %d (asked for %d): listed %v, age %s", o.subject.value, o.call, o.ret, o.size, o.minSize, o.listed, o.age)
	}
	return fmt.Sprintf("%s of %s from %s to %s: leaf %d, outcome %d", o.kind, o.subject.value, o.call, o.ret, o.leaf, o.outcome)
}

// history is everything that clients did and were told.
type history struct {
	begin time.Time

	mu         sync.Mutex
	subjects   []*subject
	operations []*operation
	largest    uint64
	complaints []Violation
}

func newHistory(begin time.Time) *history { return &history{begin: begin} }

func (h *history) newSubject() *subject {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := &subject{number: len(h.subjects), value: fmt.Sprintf("device-%06d", len(h.subjects))}
	h.subjects = append(h.subjects, s)
	return s
}

// recentSubjects are those that checks ask about.
const recentSubjects = 24

func (h *history) anySubject(dice *rand.Rand) *subject {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := min(recentSubjects, len(h.subjects))
	if n == 0 {
		return nil
	}
	return h.subjects[len(h.subjects)-1-dice.IntN(n)]
}

func (h *history) call(k kind, s *subject) *operation {
	h.mu.Lock()
	defer h.mu.Unlock()
	op := &operation{kind: k, subject: s, call: time.Since(h.begin)}
	h.operations = append(h.operations, op)
	return op
}

func (h *history) returned(op *operation, size uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	op.ret = time.Since(h.begin)
	h.largest = max(h.largest, size)
}

// seen is the largest size that any client was ever told of.
func (h *history) seen() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.largest
}

func (h *history) complain(invariant, format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.complaints = append(h.complaints, Violation{Invariant: invariant, At: time.Since(h.begin), Text: fmt.Sprintf(format, args...)})
}
