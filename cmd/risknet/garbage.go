package main

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// boundGarbage lets the heap grow to half as much again as is in use, where Go would
// let it grow to twice: most of a node's heap is badger's buffers, which have no
// pointers in them and cost a collection nothing. GOGC has the last word.
func boundGarbage() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
}

const (
	// lookEvery is how often it is looked whether the heap has come to rest.
	lookEvery = 10 * time.Second
	// badgerRests is in how many looks behind its last work badger has let go of its
	// buffers: of one every two seconds, and there are eight.
	badgerRests = 3
)

// giveBack has what an import leaves behind go back to the system soon. Go collects when
// the heap grows and else every two minutes, so what died last, and the room for it,
// would stay until then. A collection goes on beside everything else, and the runtime
// returns what it frees in the background: nobody waits for either.
func giveBack(ctx context.Context) {
	cycles := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for r := (rest{}); ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		metrics.Read(cycles)
		if r.due(cycles[0].Value.Uint64()) {
			runtime.GC()
			metrics.Read(cycles)
			r.seen = cycles[0].Value.Uint64()
		}
	}
}

// rest is a heap that was not collected since the last look, so that it hardly grows.
type rest struct {
	seen  uint64 // collections until then
	looks int    // since it came to rest
}

// due reports whether it is to be collected: when it has come to rest, and once more when
// badger has.
func (r *rest) due(cycles uint64) bool {
	if cycles != r.seen {
		*r = rest{seen: cycles}
		return false
	}
	r.looks++
	return r.looks == 1 || r.looks == badgerRests
}
