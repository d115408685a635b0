package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	apiv1 "github.com/risknet/risknet/api/v1"
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
		row          row
		theirs, ours []float64
		ratio        float64
		reached      bool
	}{
		"as fast":              {row{reach: 1}, []float64{100, 50, 10}, []float64{100, 50, 10}, 1, true},
		"slow in a slow hour":  {row{reach: 0.8}, []float64{100, 50, 10}, []float64{90, 45, 9}, 0.9, true},
		"too slow":             {row{reach: 1}, []float64{100, 100, 100}, []float64{100, 90, 90}, 0.9, false},
		"below a figure":       {row{least: 95}, []float64{100, 100, 100}, []float64{90, 90, 100}, 0.9, false},
		"above it, not a peer": {row{least: 80}, []float64{200, 200, 200}, []float64{90, 90, 90}, 0.45, true},
		"above what it may be": {row{most: 80}, []float64{200, 200, 200}, []float64{90, 90, 90}, 0.45, false},
		"at what it may be":    {row{most: 90}, []float64{200, 200, 200}, []float64{90, 90, 90}, 0.45, true},
	} {
		c.row.name = "r"
		trial := inTurn(c.row, fixed(c.theirs...), fixed(c.ours...))
		m := trial.run(t.Context(), 3)[0]
		if m.missing != "" || m.ratio() != c.ratio || m.reached() != c.reached {
			t.Errorf("%s: ratio %v, reached %t, %s", name, m.ratio(), m.reached(), m.missing)
		}
	}
}

func TestARowWithoutAFigureIsNotReached(t *testing.T) {
	m := measured{row: row{most: 5}}
	if m.reached() {
		t.Error("a row that was never measured counts as reached")
	}
}

func TestTheReportSaysWhatIsMissingAndWhatIsNotReached(t *testing.T) {
	missing := trial{rows: []row{{name: "unary", reach: 0.8}},
		prepare: func(context.Context) (func(), error) { return nil, errMissing{"x is not installed"} }}
	broken := trial{rows: []row{{name: "stream", reach: 1}},
		prepare: func(context.Context) (func(), error) { return nil, errors.New("no") }}
	slow := inTurn(row{name: "redis-1", reach: 0.8}, fixed(10), fixed(5))
	o := options{goes: 1, out: filepath.Join(t.TempDir(), "r.md")}
	for _, one := range []trial{missing, broken, slow} {
		if err := keep(o, one.run(t.Context(), 1)); err != nil {
			t.Fatal(err)
		}
	}
	again := inTurn(row{name: "redis-1", reach: 0.8}, fixed(10), fixed(6)) // takes the place of the first
	if err := keep(o, again.run(t.Context(), 1)); err != nil {
		t.Fatal(err)
	}
	if err := report(o); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(o.out)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"not measured: x is not installed", "failed: no", "| redis-1 |", "| 0.60 | ≥ 0.8 of the peer | **no** |", "(r.svg)", "not measured yet"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the report lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "0.50") {
		t.Error("an older figure of a row is still there")
	}
}

// Whoever writes the report of figures that were kept has another machine, perhaps.
func TestTheReportNamesTheMachineThatMeasured(t *testing.T) {
	o := options{out: filepath.Join(t.TempDir(), "r.md")}
	line := `{"row":"unary","on":"2026-11-30","machine":"96 cores (elsewhere)","theirs":[10],"ours":[9]}` + "\n"
	if err := os.WriteFile(o.beside(".jsonl"), []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := report(o); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(o.out)
	if err != nil || !strings.Contains(string(text), "on 96 cores (elsewhere) that carried") || strings.Contains(string(text), machine()) {
		t.Errorf("got %.300s, %v", text, err)
	}
}

// A judge is of use only if it catches a wrong answer in either direction.
func TestAJudgeCatchesWrongAnswers(t *testing.T) {
	j := newJudge(&network{}, 10)
	answer := func(listed bool, size uint64) *apiv1.CheckBatchResponse {
		return &apiv1.CheckBatchResponse{Checks: []*apiv1.CheckResponse{{Listed: listed, Size: size}}}
	}
	for name, c := range map[string]struct {
		truth  expected
		answer *apiv1.CheckBatchResponse
		right  bool
	}{
		"a listed one is listed":      {expected{1, always}, answer(true, 5), true},
		"a listed one is missed":      {expected{1, always}, answer(false, 5), false},
		"a clear one is clear":        {expected{-1, 0}, answer(false, 5), true},
		"a clear one is stopped":      {expected{-1, 0}, answer(true, 5), false},
		"a new one before its leaf":   {expected{11, 8}, answer(false, 7), true},
		"a new one from its leaf on":  {expected{11, 8}, answer(true, 8), true},
		"a new one is missed":         {expected{11, 8}, answer(false, 8), false},
		"a new one before it came in": {expected{11, 8}, answer(true, 7), false},
		"an answer is missing":        {expected{1, always}, &apiv1.CheckBatchResponse{}, false},
	} {
		if err := j.hold([]expected{c.truth}, c.answer); (err == nil) != c.right {
			t.Errorf("%s: %v", name, err)
		}
	}
}
