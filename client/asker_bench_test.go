package client_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/risknet/risknet/client"
)

// BenchmarkAsker has many goroutines ask a stub over real TLS. The stub costs more than
// a node, and shares the processors.
func BenchmarkAsker(b *testing.B) {
	for _, callers := range []int{1, 64, 1024, 4096} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			p := newPKI(b)
			n := p.startNode(b, nil)
			a := newAsker(b, dialNode(b, p, n.address, ""), client.AskerConfig{})
			q := device(b, "good")
			for _, field := range []string{"payer.device", "payer.account", "payee.account", "payee.merchant", "device"} {
				if err := q.Set(field, "0102/12345"); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			b.SetParallelism(max(1, callers/runtime.GOMAXPROCS(0)))
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := a.Check(b.Context(), q); err != nil {
						b.Error(err)
						return
					}
				}
			})
			n.mu.Lock()
			defer n.mu.Unlock()
			b.ReportMetric(float64(n.checks)/float64(max(1, n.batches)), "checks/message")
		})
	}
}
