package store

import (
	"strings"
	"testing"

	"github.com/risknet/risknet/risk"
)

// The scan of everything over 100,000 listings in tables, as a network comes to
// have them: tokens and ends are in no order, each twentieth listing was revised,
// and each fiftieth lifted and its subject listed anew.
//
// On one machine it took 26.3 µs a listing when each was looked up in four places,
// and takes 8.7 µs now; 3 µs of them are the digest.
func BenchmarkVerifyAll(b *testing.B) {
	const each, commands = 500, 200
	w := newWorld()
	first := w.index
	for i := range commands {
		w.publishScattered("", i*each, each)
	}
	for i := 0; i < commands; i += 20 {
		w.publishScattered("worse", i*each, each)
	}
	for i := 1; i < commands; i += 50 {
		w.liftAll(first+uint64(i), each)
		w.publishScattered("again", i*each, each)
	}
	dir := b.TempDir()
	s := open(b, dir, Options{})
	mustApply(b, s, w.entries)
	mustClose(b, s)
	s = open(b, dir, Options{})
	defer s.Close()
	listings := s.Count()
	for b.Loop() {
		if seen, err := s.VerifyAll(ctx); err != nil || seen.Listings != listings || listings <= each*commands {
			b.Fatal(seen, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(listings), "ns/listing")
}

// publishScattered lists n subjects whose tokens are in no order, each for as
// long as its own, with a note as long as people write.
func (w *world) publishScattered(note string, from, n int) {
	var items []risk.Item
	var bodies []risk.Body
	for i := from; i < from+n; i++ {
		subject := i * 10_368_889 & 0xff_ffff // odd, so no two are the same
		item, body := w.listing(subject, note+strings.Repeat("x", 200), day*int64(1+subject%365), 0)
		items, bodies = append(items, item), append(bodies, body)
	}
	w.propose(w.acq, &risk.Listings{}, items, bodies)
}

// liftAll lifts the first n listings of a leaf.
func (w *world) liftAll(leaf uint64, n int) {
	var items []risk.Item
	var bodies []risk.Body
	for i := range n {
		body := risk.NewBody(nil)
		target := risk.ListingID{Leaf: leaf, Item: uint16(i)}
		items = append(items, risk.Item{Op: risk.ItemLift, Target: target, Reason: risk.LiftError, Commitment: body.Commit()})
		bodies = append(bodies, body)
	}
	w.propose(w.acq, &risk.Listings{}, items, bodies)
}
