package chaos

import (
	"math"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
)

// History is what clients did to subjects and were told about them, for
// porcupine to judge. A read belongs in it only if it asked for the newest size
// that any client had seen: a node answers from its own copy, and promises no
// more than the size that it is asked for.
type History struct {
	mu    sync.Mutex
	start time.Time
	done  []porcupine.Operation
}

// act is the input of an operation: a write of a value, or a read.
type act struct {
	subject string
	write   bool
	listed  bool // what is written
}

// NewHistory begins with no subject listed.
func NewHistory() *History { return &History{start: time.Now()} }

// Now is the clock of a history.
func (h *History) Now() int64 { return time.Since(h.start).Nanoseconds() }

// Wrote adds a write that was acknowledged between two moments.
func (h *History) Wrote(client int, subject string, listed bool, call, end int64) {
	h.add(porcupine.Operation{ClientId: client, Input: act{subject, true, listed}, Call: call, Output: false, Return: end})
}

// Lost adds a write whose outcome nobody knows: it may happen at any time, or
// never, which is the same as at the end of time.
func (h *History) Lost(client int, subject string, listed bool, call int64) {
	h.Wrote(client, subject, listed, call, math.MaxInt64)
}

// Read adds what was answered.
func (h *History) Read(client int, subject string, listed bool, call, end int64) {
	h.add(porcupine.Operation{ClientId: client, Input: act{subject: subject}, Call: call, Output: listed, Return: end})
}

func (h *History) add(o porcupine.Operation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.done = append(h.done, o)
}

// register is one subject: listed or not.
var register = porcupine.Model{
	Partition: bySubject,
	Init:      func() any { return false },
	Step: func(state, input, output any) (bool, any) {
		if in := input.(act); in.write {
			return true, in.listed
		}
		return output.(bool) == state.(bool), state
	},
}

func bySubject(history []porcupine.Operation) [][]porcupine.Operation {
	index := map[string]int{}
	var parts [][]porcupine.Operation
	for _, o := range history {
		name := o.Input.(act).subject
		at, ok := index[name]
		if !ok {
			at = len(parts)
			index[name] = at
			parts = append(parts, nil)
		}
		parts[at] = append(parts[at], o)
	}
	return parts
}

// Linearizable judges a history. Decided is false if it could not be judged in
// the time given.
func Linearizable(h *History, patience time.Duration) (ok, decided bool, operations int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	result := porcupine.CheckOperationsTimeout(register, h.done, patience)
	return result == porcupine.Ok, result != porcupine.Unknown, len(h.done)
}
