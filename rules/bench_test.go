package rules_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/risknet/risknet/rules"
)

func BenchmarkDecideStarter(b *testing.B) {
	p := starter(b)
	b.Run("clean", func(b *testing.B) { decideLoop(b, p, cleanFacts()) })
	b.Run("listed", func(b *testing.B) { decideLoop(b, p, listedFacts()) })
}

// The generated sets are of four kinds of rule in equal parts: found by a
// merchant category, found by a listing, and two that no index helps with.
func BenchmarkDecideGenerated(b *testing.B) {
	for _, n := range []int{100, 1000} {
		p := generated(b, n)
		b.Run(fmt.Sprintf("%d/clean", n), func(b *testing.B) { decideLoop(b, p, cleanFacts()) })
		b.Run(fmt.Sprintf("%d/listed", n), func(b *testing.B) { decideLoop(b, p, listedFacts()) })
	}
}

// BenchmarkExplain runs each rule in cel-go with a meter.
func BenchmarkExplain(b *testing.B) {
	for _, n := range []int{100, 1000} {
		p, f := generated(b, n), cleanFacts()
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Explain(f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	source := generatedSource(1000)
	for b.Loop() {
		if _, err := rules.Compile(source); err != nil {
			b.Fatal(err)
		}
	}
}

func decideLoop(b *testing.B, p *rules.Program, f *rules.Facts) {
	var d rules.Decision
	b.ReportAllocs()
	for b.Loop() {
		p.Decide(f, &d)
	}
}

func generatedSource(n int) []byte {
	expressions := make([]string, n)
	for i := range expressions {
		switch i / 2 % 4 {
		case 0:
			expressions[i] = fmt.Sprintf(`payment.mcc == "%04d" && payment.amount > %d`, 1000+i, i)
		case 1:
			expressions[i] = fmt.Sprintf("payee.listed && payee.level == 2 && payment.amount > %d", i)
		case 2:
			expressions[i] = fmt.Sprintf("payment.amount > %d && payment.hour < 6", 20000+i)
		default:
			expressions[i] = fmt.Sprintf(`payment.amount %% 1000 == %d && payment.country != payment.payer_country`, i%1000)
		}
	}
	return []byte(strings.ReplaceAll(string(oneSet(expressions...)), "phase: post", "phase: in"))
}

func generated(b *testing.B, n int) *rules.Program {
	b.Helper()
	p, err := rules.Compile(generatedSource(n))
	if err != nil {
		b.Fatal(err)
	}
	return p
}
