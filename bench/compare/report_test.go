package main

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func fixed(list ...float64) func(context.Context) (float64, error) {
	return func(context.Context) (float64, error) {
		one := list[0]
		list = list[1:]
		return one, nil
	}
}

func TestARowIsHeldToItsPeerGoByGo(t *testing.T) {
	for name, c := range map[string]struct {
		row     row
		ratio   float64
		reached bool
	}{
		"as fast":              {row{reach: 1, theirs: fixed(100, 50, 10), ours: fixed(100, 50, 10)}, 1, true},
		"slow in a slow hour":  {row{reach: 0.8, theirs: fixed(100, 50, 10), ours: fixed(90, 45, 9)}, 0.9, true},
		"too slow":             {row{reach: 1, theirs: fixed(100, 100, 100), ours: fixed(100, 90, 90)}, 0.9, false},
		"below a figure":       {row{least: 95, theirs: fixed(100, 100, 100), ours: fixed(90, 90, 100)}, 0.9, false},
		"above it, not a peer": {row{least: 80, theirs: fixed(200, 200, 200), ours: fixed(90, 90, 90)}, 0.45, true},
	} {
		m, err := c.row.measure(t.Context(), 3)
		if err != nil || m.ratio() != c.ratio || m.reached() != c.reached {
			t.Errorf("%s: ratio %v, reached %t, %v", name, m.ratio(), m.reached(), err)
		}
	}
}

func TestTheReportSaysWhatIsMissingAndWhatIsNotReached(t *testing.T) {
	missing := row{name: "a", reach: 1, prepare: func(context.Context) (func(), error) { return nil, errMissing{"x is not installed"} }}
	slow := row{name: "b", reach: 1, theirs: fixed(10), ours: fixed(5)}
	var results []measured
	for _, r := range []row{missing, slow} {
		m, err := r.measure(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		results = append(results, m)
	}
	text := table(options{goes: 1, out: filepath.Join(t.TempDir(), "r.md")}, results, "r.svg", time.Unix(0, 0))
	for _, want := range []string{"not measured: x is not installed", "| b |", "| 0.50 | 1.0 of the peer | no |", "(r.svg)"} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q:\n%s", want, text)
		}
	}
	if err := draw(results, filepath.Join(t.TempDir(), "r.svg")); err != nil {
		t.Error(err)
	}
	broken := row{prepare: func(context.Context) (func(), error) { return nil, errors.New("no") }}
	if _, err := broken.measure(t.Context(), 1); err == nil {
		t.Error("a row that cannot be prepared is measured")
	}
}
