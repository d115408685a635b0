package rules

import (
	"fmt"
	"testing"

	"cel.dev/cel-go/cel"
)

// BenchmarkCELLoop is what Decide would be as a loop over cel-go programs,
// without a meter, index or closure. Its rules are those that no index helps with.
func BenchmarkCELLoop(b *testing.B) {
	t := newTable(defaultOffset)
	environment, err := newEnvironment(t)
	if err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{100, 1000} {
		programs := make([]cel.Program, n)
		for i := range programs {
			checked, issues := environment.Compile(fmt.Sprintf("payment.amount > %d && payment.hour < 6", 20000+i))
			if issues.Err() != nil {
				b.Fatal(issues.Err())
			}
			if programs[i], err = environment.Program(checked); err != nil {
				b.Fatal(err)
			}
		}
		f := &Facts{}
		f.Payment.Amount = 12900
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for _, p := range programs {
					if _, _, err := p.Eval(activation{t, f}); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
