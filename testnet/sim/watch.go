package sim

import (
	"fmt"
	"runtime"
	"time"

	"github.com/risknet/risknet/risk"
)

// watch holds every node to what must be true at each moment.
type watch struct {
	world *World
	// heads has the root and the digest of every size that a node was seen at.
	heads map[uint64]standing
	nodes map[string]*seen

	setBack    time.Duration // how far clocks went back, all in all
	violations []Violation
	goroutines int // the most at one time
}

// Violation is something that must never be.
type Violation struct {
	Invariant string        `json:"invariant"`
	At        time.Duration `json:"at"`
	Text      string        `json:"text"`
}

func (v Violation) String() string { return fmt.Sprintf("%s at %s: %s", v.Invariant, v.At, v.Text) }

type standing struct {
	root, digest risk.Hash
	by           string
}

// seen is what a node said of itself last, in one life.
type seen struct {
	life          int
	applied, size uint64
}

func newWatch(w *World) *watch {
	return &watch{world: w, heads: map[uint64]standing{}, nodes: map[string]*seen{}}
}

func (w *watch) report(invariant, format string, args ...any) {
	v := Violation{Invariant: invariant, At: w.world.now(), Text: fmt.Sprintf(format, args...)}
	w.violations = append(w.violations, v)
	w.world.story.tell(w.world.now(), "VIOLATION "+v.Invariant+": "+v.Text)
}

// maxGoroutines bounds what one node with its peers and clients may start.
const maxGoroutines = 1000

// look compares all nodes while none of their goroutines runs.
func (w *watch) look() {
	for _, m := range w.world.machines {
		if err := m.ended(); err != nil {
			w.report("I9", "%s ended by itself: %v", m.Name, err)
		}
		if n := m.running(); n != nil {
			s := n.Status()
			life := 1000*m.life.number + int(m.life.opens.Load())
			w.node(m.Name, life, s.Size, s.Applied)
			w.head(m.Name, s.Size, standing{root: risk.Hash(s.Root), digest: risk.Hash(s.Digest), by: m.Name})
		}
	}
	if n := runtime.NumGoroutine(); n > w.goroutines {
		if w.goroutines = n; n > maxGoroutines*len(w.world.machines) {
			w.report("I8", "%d goroutines", n)
		}
	}
}

// node compares a node with itself a moment before.
func (w *watch) node(name string, life int, size, applied uint64) {
	before := w.nodes[name]
	if before != nil && before.life == life {
		if applied < before.applied {
			w.report("I2", "%s: the applied index went from %d back to %d", name, before.applied, applied)
		}
		if size < before.size {
			w.report("I10", "%s: the head went from %d back to %d", name, before.size, size)
		}
	}
	w.nodes[name] = &seen{life: life, applied: applied, size: size}
}

// head compares a node with every other that was ever at this size.
func (w *watch) head(name string, size uint64, now standing) {
	before, known := w.heads[size]
	switch {
	case !known:
		w.heads[size] = now
	case before.root != now.root:
		w.report("I10", "size %d has root %s on %s and %s on %s", size, before.root, before.by, now.root, name)
	case before.digest != now.digest:
		w.report("I3", "size %d has digest %s on %s and %s on %s", size, before.digest, before.by, now.digest, name)
	}
}

// skewed notes that a clock went back. A node's clock and its measure of time are
// one here, so until it is in touch again it takes its view for younger than it is.
func (w *watch) skewed(back time.Duration) { w.setBack += back }
