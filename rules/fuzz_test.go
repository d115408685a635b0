package rules_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/risknet/risknet/rules"
	"github.com/risknet/risknet/rules/industry"
)

func seed(f *testing.F) {
	f.Add(industry.Source)
	f.Add(industry.Tests)
	files, _ := filepath.Glob("testdata/problems/*.yaml")
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(source)
	}
}

// Whatever the text, Compile gives a program that decides, or problems with a
// place in the file.
func FuzzCompile(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, source []byte) {
		p, err := rules.Compile(source)
		if err != nil {
			checkProblems(t, err)
			return
		}
		var d rules.Decision
		p.Decide(listedFacts(), &d)
		if want := decideByCEL(t, p, listedFacts()); !sameDecision(&d, want) {
			t.Fatalf("Decide %s\nCEL    %s", show(&d), show(want))
		}
	})
}

func FuzzExpression(f *testing.F) {
	for _, e := range []string{"payee.listed && payment.amount > 1", "46 in payee.codes", "payee.codes.all(c, c > 1)", "payee.codes[0] == 2",
		`payment.mcc in ["5411"] || !(payment.amount / 100 % 7 == 0)`, "{1: true}[payment.hour]", "-9223372036854775808 == payment.amount"} {
		f.Add(e)
	}
	f.Fuzz(func(t *testing.T, e string) {
		p, err := rules.Compile(oneSet(e))
		if err != nil {
			checkProblems(t, err)
			return
		}
		for _, facts := range []*rules.Facts{cleanFacts(), listedFacts(), {}} {
			var d rules.Decision
			p.Decide(facts, &d)
			if want := decideByCEL(t, p, facts); !sameDecision(&d, want) {
				t.Fatalf("%s\nDecide %s\nCEL    %s", e, show(&d), show(want))
			}
		}
	})
}

func FuzzRunTests(f *testing.F) {
	seed(f)
	p := starter(f)
	f.Fuzz(func(t *testing.T, source []byte) {
		if _, err := rules.RunTests(p, source); err != nil {
			checkProblems(t, err)
		}
	})
}

func checkProblems(t *testing.T, err error) {
	t.Helper()
	var problems rules.Problems
	if !errors.As(err, &problems) {
		t.Fatalf("not a list of problems: %v", err)
	}
	for _, p := range problems {
		if p.Line < 1 || p.Column < 1 || p.Text == "" {
			t.Fatalf("problem without a place or a text: %+v", p)
		}
	}
}
