package main

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// Go lets a heap grow to twice of what is in use, and collects one that does not grow
// every two minutes. Most of a node's heap, and nearly all of what an import adds, is
// badger's buffers and the filter, which have no pointers in them and cost a collection
// nothing. So it is collected sooner.
const (
	// percent is by how much a heap may grow that is small: where it grows by a quarter,
	// checks cost a twentieth more.
	percent = 50
	// largePercent is for a heap of which more than largeHeap is in use, until less than
	// smallHeap is. A quarter of that is still much, so collections are no more frequent.
	largePercent         = 25
	largeHeap, smallHeap = 512 << 20, 384 << 20

	// heapEvery is how often the heap is looked at, and restEvery in how many looks
	// whether it has come to rest.
	heapEvery = time.Second
	restEvery = 10
	// badgerRests is in how many such times behind its last work badger has let go of its
	// buffers: of one every two seconds, and there are eight.
	badgerRests = 3
)

// boundGarbage keeps the heap small until ctx ends: by how far it may grow, of which
// GOGC has the last word, and by giving back what an import leaves behind. A collection
// goes on beside everything else, and the runtime returns what it frees in the
// background: nobody waits for either.
func boundGarbage(ctx context.Context) {
	now, ours := percent, os.Getenv("GOGC") == ""
	if ours {
		debug.SetGCPercent(now)
	}
	heap := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}, {Name: "/gc/heap/live:bytes"}}
	tick := time.NewTicker(heapEvery)
	defer tick.Stop()
	r := rest{}
	for look := 1; ; look++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		metrics.Read(heap)
		if next := percentFor(heap[1].Value.Uint64(), now); ours && next != now {
			debug.SetGCPercent(next)
			now = next
		}
		if look%restEvery == 0 && r.due(heap[0].Value.Uint64()) {
			runtime.GC()
			metrics.Read(heap)
			r.seen = heap[0].Value.Uint64()
		}
	}
}

// percentFor is by how much a heap may grow of which so much is in use.
func percentFor(live uint64, now int) int {
	switch {
	case live > largeHeap:
		return largePercent
	case live < smallHeap:
		return percent
	}
	return now
}

// rest is a heap that was not collected since it was last asked, so that it hardly grows.
type rest struct {
	seen  uint64 // collections until then
	asked int    // times since it came to rest
}

// due reports whether it is to be collected: when it has come to rest, and once more when
// badger has.
func (r *rest) due(cycles uint64) bool {
	if cycles != r.seen {
		*r = rest{seen: cycles}
		return false
	}
	r.asked++
	return r.asked == 1 || r.asked == badgerRests
}
