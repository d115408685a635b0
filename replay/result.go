package replay

import "slices"

// Result is what each policy has come to.
type Result struct {
	Payments int
	Frauds   map[uint8]int // by scenario
	Policies map[string]*Tally
}

// Tally is what one policy has come to.
type Tally struct {
	Frauds  map[uint8]int // caught, by scenario
	Stopped int           // good payments
	// Protected are the times from the first report about a terminal to the first fraud
	// there that was stopped, in milliseconds.
	Protected []int64

	seen map[uint32]bool // terminals where a fraud was stopped
}

func newTally() *Tally { return &Tally{Frauds: map[uint8]int{}, seen: map[uint32]bool{}} }

// add counts one payment. Began says when a terminal was first reported.
func (t *Tally) add(p *Payment, stopped bool, began map[uint32]int64) {
	if !stopped {
		return
	}
	if !p.Fraud {
		t.Stopped++
		return
	}
	t.Frauds[p.Scenario]++
	if at, known := began[p.Terminal]; known && !t.seen[p.Terminal] {
		t.seen[p.Terminal] = true
		t.Protected = append(t.Protected, p.At-at)
	}
}

func (t *Tally) join(o *Tally) {
	for scenario, n := range o.Frauds {
		t.Frauds[scenario] += n
	}
	t.Stopped += o.Stopped
	t.Protected = append(t.Protected, o.Protected...)
}

// Caught is how many frauds were stopped.
func (t *Tally) Caught() int { return total(t.Frauds) }

// Total is how many frauds there were.
func (r *Result) Total() int { return total(r.Frauds) }

func total(by map[uint8]int) int {
	n := 0
	for _, some := range by {
		n += some
	}
	return n
}

// ProtectedAfter is the median time from a terminal's first report to the first fraud
// stopped there, in milliseconds; 0 if there was none.
func (t *Tally) ProtectedAfter() int64 {
	if len(t.Protected) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(t.Protected))
	return sorted[len(sorted)/2]
}
