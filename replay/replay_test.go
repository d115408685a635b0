package replay

import (
	"bytes"
	"compress/gzip"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func options() Options {
	return Options{Institutions: 10, Delay: 168 * time.Hour, Life: 28 * 24 * time.Hour}
}

func played(t *testing.T, payments []Payment, o Options) *Result {
	t.Helper()
	r, err := Run(context.Background(), payments, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The policies of old have a meaning that a few lines can compute: it is what the real
// store, check and rules must come to.
func TestThePoliciesOfOldAreWhatTheyMean(t *testing.T) {
	w := DefaultWorld()
	w.Days, w.Customers, w.Terminals, w.Radius = 50, 120, 150, 25
	payments := w.Generate()
	o := options()
	got := played(t, payments, o)
	want := map[string]*Tally{Alone: newTally(), SharedOne: newTally(), SharedTwo: newTally()}
	type report struct {
		at          int64
		institution uint32
	}
	reports := map[uint32][]report{}
	var losses []Payment
	for _, p := range payments {
		for len(losses) > 0 && losses[0].At+o.Delay.Milliseconds() <= p.At {
			l := losses[0]
			losses = losses[1:]
			reports[l.Terminal] = append(reports[l.Terminal], report{l.At + o.Delay.Milliseconds(), l.Customer % 10})
		}
		by := map[uint32]bool{}
		for _, r := range reports[p.Terminal] {
			if p.At < r.at+o.Life.Milliseconds() {
				by[r.institution] = true
			}
		}
		want[Alone].add(&p, by[p.Customer%10], 0)
		want[SharedOne].add(&p, len(by) >= 1, 0)
		want[SharedTwo].add(&p, len(by) >= 2, 0)
		if p.Fraud {
			losses = append(losses, p)
		}
	}
	for name, w := range want {
		if g := got.Policies[name]; g.Caught() != w.Caught() || g.Stopped != w.Stopped || w.Caught() == 0 {
			t.Errorf("%s catches %d and stops %d; it means %d and %d", name, g.Caught(), g.Stopped, w.Caught(), w.Stopped)
		}
	}
}

// What the network is for, in a world that no policy was fitted to: sharing catches
// more than standing alone and stops far fewer good customers.
func TestSharingIsWorthIt(t *testing.T) {
	w := DefaultWorld()
	w.Seed, w.Days, w.Customers, w.Terminals = 7, 75, 400, 800
	r := played(t, w.Generate(), options())
	alone, two, best, unshared := r.Policies[Alone], r.Policies[SharedTwo], r.Policies[Default], r.Policies[DefaultUnshared]
	switch {
	case 2*best.Caught() < 3*alone.Caught() || 6*best.Stopped > alone.Stopped:
		t.Errorf("default catches %d and stops %d, alone %d and %d", best.Caught(), best.Stopped, alone.Caught(), alone.Stopped)
	case best.Caught() <= two.Caught() || best.Stopped >= two.Stopped:
		t.Errorf("default catches %d and stops %d, two institutions %d and %d", best.Caught(), best.Stopped, two.Caught(), two.Stopped)
	case 3*best.Caught() < 4*unshared.Caught():
		t.Errorf("sharing adds little: %d, and %d without", best.Caught(), unshared.Caught())
	}
}

func TestTheRuleForLargeAmountsCanBeLeftOut(t *testing.T) {
	w := DefaultWorld()
	w.Days, w.Customers, w.Terminals, w.Radius = 30, 100, 100, 30
	with, o := played(t, w.Generate(), options()), options()
	o.NoAmountRule = true
	without := played(t, w.Generate(), o)
	if with.Policies[Default].Frauds[1] != with.Frauds[1] || without.Policies[Default].Frauds[1] >= with.Frauds[1] {
		t.Errorf("of %d frauds %d are caught with it and %d without", with.Frauds[1], with.Policies[Default].Frauds[1], without.Policies[Default].Frauds[1])
	}
}

func TestTheSamePaymentsGiveTheSameResult(t *testing.T) {
	w := DefaultWorld()
	w.Days, w.Customers, w.Terminals = 40, 100, 100
	a, b := played(t, w.Generate(), options()), played(t, w.Generate(), options())
	for _, name := range Policies() {
		if x, y := a.Policies[name], b.Policies[name]; x.Caught() != y.Caught() || x.Stopped != y.Stopped || !slices.Equal(x.Protected, y.Protected) {
			t.Errorf("%s: once %+v, once %+v", name, x, y)
		}
	}
}

func TestAFileIsReadAsItWasWritten(t *testing.T) {
	w := DefaultWorld()
	w.Days, w.Customers = 20, 50
	made := w.Generate()
	var text, zipped bytes.Buffer
	if err := Write(&text, made); err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write(text.Bytes())
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for what, data := range map[string][]byte{"plain": text.Bytes(), "zipped": zipped.Bytes()} {
		got, err := Read(bytes.NewReader(data), nil)
		if err != nil || !slices.Equal(got, made) {
			t.Errorf("%s: %d of %d payments, %v", what, len(got), len(made), err)
		}
	}
	// Several files are one stream, in the order of their times.
	lines := strings.SplitAfter(text.String(), "\n")
	half, dir := len(lines)/2, t.TempDir()
	later, earlier := filepath.Join(dir, "a.csv"), filepath.Join(dir, "b.csv")
	headed := append([]string{lines[0]}, lines[half:]...)
	both := strings.Join(lines[:half], "") + strings.Join(headed, "")
	if got, err := Read(strings.NewReader(both), nil); err != nil || !slices.Equal(got, made) {
		t.Errorf("with a header in the middle %d of %d payments, %v", len(got), len(made), err)
	}
	for path, part := range map[string][]string{later: headed, earlier: lines[:half]} {
		if err := os.WriteFile(path, []byte(strings.Join(part, "")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := ReadFiles([]string{later, earlier}, nil); err != nil || !slices.Equal(got, made) {
		t.Errorf("from two files %d of %d payments, %v", len(got), len(made), err)
	}
}

func TestWhatIsWrongWithAFileIsSaid(t *testing.T) {
	const head = "tx_datetime,customer_id,terminal_id,tx_amount,tx_fraud\n"
	for text, want := range map[string]string{
		"":                                      "header",
		"a,b\n":                                 "has no column",
		head + "yesterday,1,1,1.00,0\n":         `line 2: time: "yesterday"`,
		head + "2026-01-01T00:00:00,x,1,1,0\n":  `line 2: customer: "x"`,
		head + "2026-01-01T00:00:00,1,-1,1,0\n": `line 2: terminal: "-1"`,
		head + "2026-01-01T00:00:00,1,1,-1,0\n": `line 2: amount: "-1"`,
		head + "2026-01-01T00:00:00,1,1,1,no\n": `line 2: fraud: "no"`,
		head + "2026-01-01T00:00:00,1,1\n":      "line 2",
	} {
		if _, err := Read(strings.NewReader(text), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if _, err := Read(strings.NewReader(head), map[string]string{"colour": "c"}); err == nil {
		t.Error("a field that there is not was taken")
	}
}

func TestThePlotIsDrawn(t *testing.T) {
	w := DefaultWorld()
	w.Days, w.Customers, w.Terminals = 30, 60, 60
	r := played(t, w.Generate(), options())
	for _, name := range []string{"worth.svg", "worth.png"} {
		path := filepath.Join(t.TempDir(), name)
		if err := r.Plot(path); err != nil {
			t.Fatal(err)
		}
		if drawn, err := os.ReadFile(path); err != nil || len(drawn) < 1000 {
			t.Errorf("%s has %d bytes, %v", name, len(drawn), err)
		}
	}
	if err := r.Plot(filepath.Join(t.TempDir(), "worth.xyz")); err == nil {
		t.Error("a plot of no known kind was drawn")
	}
}
