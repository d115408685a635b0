package chaos

import (
	"encoding/hex"
	"fmt"
	"sort"
	"sync"
	"time"
)

// Invariant names one promise. The numbers are those of the reliability page.
type Invariant string

// The promises that a network is held to.
const (
	Kept         Invariant = "I1"  // an acknowledged command is never lost, reordered or applied twice
	Forward      Invariant = "I2"  // the applied index never goes back within one life of the state
	Same         Invariant = "I3"  // same size, same root and digest
	Agree        Invariant = "I4"  // data and applied index agree after every crash
	Fresh        Invariant = "I5"  // an answer is never older than min_size
	Honest       Invariant = "I6"  // each answer has head and age, and past the limit the declared policy
	NeverClear   Invariant = "I7"  // what is listed at N is never answered clear at N or later until lifted
	Bounded      Invariant = "I8"  // memory, disk, goroutines, descriptors are bounded
	Heals        Invariant = "I9"  // healthy within 30 s after the faults end
	Grows        Invariant = "I10" // heads only grow, never two roots at one size
	Linear       Invariant = "LIN" // reads that ask for the newest size are linearizable with writes
	Uninterrupt  Invariant = "AVA" // a node that was not struck answers every check
	StaysUp      Invariant = "UP"  // no process ends by itself
	violationCap           = 200   // further violations of one invariant are counted and not described
)

// Invariants lists all of them in the order of the page.
var Invariants = []Invariant{Kept, Forward, Same, Agree, Fresh, Honest, NeverClear, Bounded, Heals, Grows, Linear, Uninterrupt, StaysUp}

// Violation is one broken promise.
type Violation struct {
	Invariant Invariant `json:"invariant"`
	Node      string    `json:"node"`
	At        time.Time `json:"at"`
	Text      string    `json:"text"`
}

// Answer is what a node said to a check of one subject, and what was asked.
type Answer struct {
	Node    string
	Life    string // of the process
	Subject string
	MinSize uint64
	Asked   time.Time // before the call
	Listed  bool
	Closed  bool // the advice was as hard as the stale policy, or harder
	Size    uint64
	Root    []byte
	Age     time.Duration
	Stale   bool
}

// Status is a node's own row.
type Status struct {
	Node    string
	Life    string
	Applied uint64
	Size    uint64
	Root    []byte
}

// Witness knows what clients were told, and compares with it what nodes answer.
// It may be used from many goroutines.
type Witness struct {
	// StaleAfter is the nodes' limit on the age of a view.
	StaleAfter time.Duration

	mu         sync.Mutex
	subjects   map[string]*subject
	roots      map[uint64]string
	lives      map[string]*life
	acked      []ack // in the order of time, sizes rising
	newest     uint64
	violations []Violation
	broken     map[Invariant]int
	answers    uint64
	acks       uint64
}

// ack says that at a time everything below a size had been acknowledged.
type ack struct {
	at   time.Time
	size uint64
}

// life is what one process has shown.
type life struct{ applied, size uint64 }

// subject is what happened to one identifier. It has one writer at a time.
type subject struct {
	turns     []turn
	open      bool // a command is under way, or its outcome is not known
	maxClear  uint64
	maxListed uint64
}

// turn is an acknowledged change: from the state after this leaf on, the subject
// is listed or not.
type turn struct {
	leaf   uint64
	listed bool
}

// NewWitness begins with an empty network.
func NewWitness(staleAfter time.Duration) *Witness {
	return &Witness{StaleAfter: staleAfter, subjects: map[string]*subject{}, roots: map[uint64]string{},
		lives: map[string]*life{}, broken: map[Invariant]int{}}
}

// Violate notes a broken promise.
func (w *Witness) Violate(i Invariant, node, format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.violate(i, node, format, args...)
}

func (w *Witness) violate(i Invariant, node, format string, args ...any) {
	w.broken[i]++
	if w.broken[i] <= violationCap {
		w.violations = append(w.violations, Violation{i, node, time.Now(), withoutPaths(fmt.Sprintf(format, args...))})
	}
}

// Violations gives what was broken, and how often.
func (w *Witness) Violations() ([]Violation, map[Invariant]int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	counts := map[Invariant]int{}
	for i, n := range w.broken {
		counts[i] = n
	}
	return append([]Violation(nil), w.violations...), counts
}

// Counts gives how many answers were judged and commands acknowledged.
func (w *Witness) Counts() (answers, acks uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.answers, w.acks
}

// Newest is the largest size that any node has shown to any client.
func (w *Witness) Newest() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.newest
}

func (w *Witness) subject(name string) *subject {
	s := w.subjects[name]
	if s == nil {
		s = &subject{}
		w.subjects[name] = s
	}
	return s
}

// Begin says that a command about a subject is about to be sent.
func (w *Witness) Begin(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.subject(name).open = true
}

// NothingDone says that the command under way is known to have changed nothing.
func (w *Witness) NothingDone(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.subject(name).open = false
}

// Acked says that the command under way was acknowledged: since this leaf the
// subject is listed, or not. What was answered meanwhile is judged now.
func (w *Witness) Acked(name string, leaf uint64, listed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.subject(name)
	if n := len(s.turns); n > 0 && s.turns[n-1].leaf >= leaf {
		w.violate(Kept, "", "%s: leaf %d was acknowledged after leaf %d: commands changed their order", name, leaf, s.turns[n-1].leaf)
	}
	s.turns = append(s.turns, turn{leaf, listed})
	s.open = false
	if listed && s.maxClear > leaf {
		w.violate(NeverClear, "", "%s: listed by leaf %d, and was answered clear at size %d", name, leaf, s.maxClear)
	}
	if !listed && s.maxListed > leaf {
		w.violate(NeverClear, "", "%s: lifted by leaf %d, and was answered listed at size %d", name, leaf, s.maxListed)
	}
	w.acks++
	w.newest = max(w.newest, leaf+1)
	if n := len(w.acked); n == 0 || w.acked[n-1].size <= leaf {
		w.acked = append(w.acked, ack{time.Now(), leaf + 1})
	}
}

// at says whether the subject is listed in the state of a size; known is false
// while a command under way may or may not be in it.
func (s *subject) at(size uint64) (listed, known bool) {
	after := sort.Search(len(s.turns), func(i int) bool { return s.turns[i].leaf >= size })
	if after == len(s.turns) && s.open {
		return false, false
	}
	return after > 0 && s.turns[after-1].listed, true
}

// Answer judges what a node said to a check.
func (w *Witness) Answer(a Answer) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers++
	w.head(a.Node, a.Life, a.Size, a.Root)
	w.honest(&a)
	if a.Size < a.MinSize {
		w.violate(Fresh, a.Node, "%s: asked for size %d, answered from %d", a.Subject, a.MinSize, a.Size)
	}
	s := w.subject(a.Subject)
	if listed, known := s.at(a.Size); known && listed != a.Listed {
		w.violate(NeverClear, a.Node, "%s: is listed=%v at size %d (turns %v), and was answered listed=%v", a.Subject, listed, a.Size, s.turns, a.Listed)
	}
	if a.Listed {
		s.maxListed = max(s.maxListed, a.Size)
	} else {
		s.maxClear = max(s.maxClear, a.Size)
	}
}

// roundingSlack is what an age loses by being told in whole milliseconds, and
// the coarseness of two readings of one clock.
const roundingSlack = 5 * time.Millisecond

// honest holds the age to what it says: at the time of the answer less its age,
// the node knew everything that had been acknowledged.
func (w *Witness) honest(a *Answer) {
	if a.Size == 0 || len(a.Root) != 32 || a.Age < 0 {
		w.violate(Honest, a.Node, "%s: answered without a head or an age: size %d, root of %d bytes, age %s", a.Subject, a.Size, len(a.Root), a.Age)
	}
	age := min(a.Age, time.Hour) // a node that never knew says the longest age there is
	complete := a.Asked.Add(-age - roundingSlack)
	known := sort.Search(len(w.acked), func(i int) bool { return w.acked[i].at.After(complete) })
	if known > 0 && w.acked[known-1].size > a.Size {
		w.violate(Honest, a.Node, "%s: answered from size %d with age %s, but size %d had been acknowledged %s before the question",
			a.Subject, a.Size, a.Age, w.acked[known-1].size, a.Asked.Sub(w.acked[known-1].at).Round(time.Millisecond))
	}
	if a.Age > w.StaleAfter+roundingSlack && !a.Stale {
		w.violate(Honest, a.Node, "%s: answered with age %s, past the limit %s, and not called stale", a.Subject, a.Age, w.StaleAfter)
	}
	if a.Stale && !a.Closed {
		w.violate(Honest, a.Node, "%s: a stale answer did not carry the stale policy", a.Subject)
	}
}

// Status judges a node's own row.
func (w *Witness) Status(s Status) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.head(s.Node, s.Life, s.Size, s.Root)
	l := w.life(s.Life)
	if s.Applied < l.applied {
		w.violate(Forward, s.Node, "life %s: applied index went from %d back to %d", s.Life, l.applied, s.Applied)
	}
	l.applied = max(l.applied, s.Applied)
}

func (w *Witness) life(name string) *life {
	l := w.lives[name]
	if l == nil {
		l = &life{}
		w.lives[name] = l
	}
	return l
}

// head judges that a size has one root. That heads grow within a life is judged
// on the rows of the one who asks for them: answers overtake each other.
func (w *Witness) head(node, lifeName string, size uint64, root []byte) {
	if size == 0 {
		return
	}
	text := hex.EncodeToString(root)
	if before, ok := w.roots[size]; ok && before != text {
		w.violate(Same, node, "size %d has root %s here and had %s elsewhere", size, text, before)
		w.violate(Grows, node, "two roots at size %d", size)
	}
	w.roots[size] = text
	w.newest = max(w.newest, size)
}

// Grew judges a head that one asker was shown, one after the other.
func (w *Witness) Grew(asker, lifeName string, size uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.life(asker + " of " + lifeName)
	if size < l.size {
		w.violate(Grows, asker, "life %s: the head went from size %d back to %d", lifeName, l.size, size)
	}
	l.size = max(l.size, size)
}

// Expected gives the subjects whose last state is known, and whether they are
// listed.
func (w *Witness) Expected() map[string]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	expected := map[string]bool{}
	for name, s := range w.subjects {
		if n := len(s.turns); n > 0 && !s.open {
			expected[name] = s.turns[n-1].listed
		}
	}
	return expected
}
