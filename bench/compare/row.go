package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// row is one promise: a figure of ours, beside a peer's where there is one.
type row struct {
	name, what string
	peer       string // what stands beside us; empty for nothing
	unit       string

	// To reach: the least and the most that the ratio of ours to the peer's may be, and
	// those of ours. Zero asks for nothing.
	reach, ratioMost, least, most float64
}

// figures are by the name of their row.
type figures map[string]float64

// trial measures rows in goes, each of which gives one figure of each side of each
// row, or of some of them.
type trial struct {
	rows    []row
	goes    int // 0 for what the options say
	prepare func(ctx context.Context) (done func(), err error)
	measure func(ctx context.Context) (theirs, ours figures, err error)
}

// inTurn is a trial of one row whose sides are measured one after the other, so that
// a slow minute of the machine is both's.
func inTurn(r row, theirs, ours func(ctx context.Context) (float64, error)) trial {
	return trial{rows: []row{r}, measure: func(ctx context.Context) (figures, figures, error) {
		theirs, err := theirs(ctx)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", r.peer, err)
		}
		ours, err := ours(ctx)
		return figures{r.name: theirs}, figures{r.name: ours}, err
	}}
}

// measured is a row with its figures, or with why there are none.
type measured struct {
	row
	theirsAll, oursAll []float64
	missing            string
}

// errMissing says what a row needs and this machine does not have.
type errMissing struct{ text string }

func (e errMissing) Error() string { return e.text }

// run measures the rows of a trial. What a machine lacks, and what fails, is said in
// the place of figures: one row does not take the others with it.
func (t *trial) run(ctx context.Context, goes int) []measured {
	list := make([]measured, len(t.rows))
	for i, r := range t.rows {
		list[i].row = r
	}
	err := t.collect(ctx, goes, list)
	if err == nil {
		return list
	}
	text := "failed: " + err.Error()
	if missing, ok := errors.AsType[errMissing](err); ok {
		text = "not measured: " + missing.text
	}
	for i := range list {
		list[i].missing = text
	}
	return list
}

func (t *trial) collect(ctx context.Context, goes int, list []measured) error {
	if t.prepare != nil {
		done, err := t.prepare(ctx)
		if err != nil {
			return err
		}
		defer done()
	}
	if t.goes > 0 {
		goes = t.goes
	}
	for range goes {
		theirs, ours, err := t.measure(ctx)
		if err != nil {
			return err
		}
		for i := range list {
			m := &list[i]
			if figure, given := theirs[m.name]; given {
				m.theirsAll = append(m.theirsAll, figure)
			}
			if figure, given := ours[m.name]; given {
				m.oursAll = append(m.oursAll, figure)
			}
		}
	}
	return nil
}

func median(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	n := len(sorted)
	switch {
	case n == 0:
		return 0
	case n%2 == 1:
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}

// ratio is the median of the ratios of each go, for the two sides of one go had the
// same machine; zero where nothing stands beside us.
func (m *measured) ratio() float64 {
	ratios := make([]float64, min(len(m.oursAll), len(m.theirsAll)))
	for i := range ratios {
		ratios[i] = m.oursAll[i] / m.theirsAll[i]
	}
	return median(ratios)
}

func (m *measured) reached() bool {
	ours := median(m.oursAll)
	return m.missing == "" && len(m.oursAll) > 0 &&
		(m.reach == 0 || m.ratio() >= m.reach) && (m.ratioMost == 0 || m.ratio() <= m.ratioMost) && ours >= m.least && (m.most == 0 || ours <= m.most)
}

// line is what a person sees while the rest is measured.
func (m *measured) line() string {
	if m.missing != "" {
		return m.name + ": " + m.missing
	}
	text := fmt.Sprintf("%s: %s %s", m.name, figure(median(m.oursAll)), m.unit)
	if len(m.theirsAll) > 0 {
		text += fmt.Sprintf(", %s %s, ratio %.2f", m.peer, figure(median(m.theirsAll)), m.ratio())
	}
	if m.target() != "" && !m.reached() {
		text += ", not reached: " + m.target()
	}
	return text
}

// figure has three digits that say something.
func figure(f float64) string {
	if f >= 100 {
		return fmt.Sprintf("%.0f", f)
	}
	return fmt.Sprintf("%.3g", f)
}

func (m *measured) target() string {
	var text string
	add := func(format string, a ...any) {
		if text != "" {
			text += ", "
		}
		text += fmt.Sprintf(format, a...)
	}
	if m.reach > 0 {
		add("≥ %.1f of the peer", m.reach)
	}
	if m.ratioMost > 0 {
		add("≤ %.1f of the peer", m.ratioMost)
	}
	if m.least > 0 {
		add("≥ %s", figure(m.least))
	}
	if m.most > 0 {
		add("≤ %s", figure(m.most))
	}
	return text
}
