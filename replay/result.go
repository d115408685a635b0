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
	// Protected are, for each terminal where reports helped to stop a fraud, the times
	// from the earliest report that stood then to the first such fraud, in milliseconds.
	Protected []int64

	seen map[uint32]bool // terminals where a fraud was stopped
}

func newTally() *Tally { return &Tally{Frauds: map[uint8]int{}, seen: map[uint32]bool{}} }

// add counts one payment. Reported is when the terminal's earliest report was made; 0
// if none stands.
func (t *Tally) add(p *Payment, stopped bool, reported int64) {
	if !stopped {
		return
	}
	if !p.Fraud {
		t.Stopped++
		return
	}
	t.Frauds[p.Scenario]++
	if reported != 0 && !t.seen[p.Terminal] {
		t.seen[p.Terminal] = true
		t.Protected = append(t.Protected, p.At-reported)
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

// ProtectedAfter is the median of Protected, 0 if there is none.
func (t *Tally) ProtectedAfter() int64 {
	if len(t.Protected) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(t.Protected))
	return sorted[len(sorted)/2]
}
