package store

import (
	"testing"

	"github.com/risknet/risknet/risk"
)

// What a filter is built from: each link is read once, and counted.
func BenchmarkTokens(b *testing.B) {
	const each, commands = 500, 100
	w := newWorld()
	for i := range commands {
		w.publish(w.acq, "", subjects(i*each, each)...)
	}
	s := open(b, b.TempDir(), Options{})
	defer s.Close()
	mustApply(b, s, w.entries)
	for b.Loop() {
		if n, err := tokensOf(s); err != nil || n != each*commands {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/each/commands, "ns/token")
}

// A command while as many outcomes are forgotten as are remembered: what was
// removed before must cost nothing. Each has one item and a cut of its own.
func BenchmarkApplyWhileForgetting(b *testing.B) {
	w := newWorld()
	s := open(b, b.TempDir(), Options{})
	defer s.Close()
	mustApply(b, s, w.entries)
	w.now += day
	for b.Loop() {
		b.StopTimer()
		w.now += minute // 15 are remembered at a time
		w.publish(w.acq, "", 1)
		entry := w.entries[len(w.entries)-1:]
		b.StartTimer()
		mustApply(b, s, entry)
	}
}

// Where one cut follows another, a network of many members must not be copied
// for each.
func BenchmarkApplyAmongManyMembers(b *testing.B) {
	w := newWorld()
	for i := range 2_000 {
		key := publicOf(newAuthor('k', 1).keys[0])
		w.propose(w.hub, &risk.Admit{Reporter: risk.ID{'m', byte(i), byte(i >> 8)}, Role: risk.RoleMember, Keys: []risk.PublicKey{key}}, nil, nil)
	}
	s := open(b, b.TempDir(), Options{})
	defer s.Close()
	mustApply(b, s, w.entries)
	for b.Loop() {
		b.StopTimer()
		w.publish(w.acq, "", 1)
		entry := w.entries[len(w.entries)-1:]
		b.StartTimer()
		mustApply(b, s, entry)
	}
}
