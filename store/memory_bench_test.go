package store

import (
	"runtime/metrics"
	"testing"
)

// What an import makes of the heap: a command of 512 new listings after the other. Most
// of it are badger's buffers, whose number and size depend on how large the deepest
// level is, so it takes a few thousand commands to see it:
//
//	go test ./store -run - -bench MemoryOfAnImport -benchtime 4000x
func BenchmarkMemoryOfAnImport(b *testing.B) {
	const each, often = 512, 16
	w := newWorld()
	s := open(b, b.TempDir(), Options{MemTableBytes: 24 << 20})
	defer s.Close()
	mustApply(b, s, w.entries)
	used := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}}
	highest, n := uint64(0), 0
	for b.Loop() {
		b.StopTimer()
		w.entries = w.entries[:0]
		w.publish(w.acq, "", subjects(n*each, each)...)
		b.StartTimer()
		mustApply(b, s, w.entries)
		if n++; n%often == 0 {
			metrics.Read(used)
			highest = max(highest, used[0].Value.Uint64()+used[1].Value.Uint64())
		}
	}
	b.ReportMetric(float64(highest)/(1<<20), "MiB")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/each, "ns/listing")
}
