package client

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// hedgeUnit is one hedge in a hedgeBudget.
const (
	hedgeUnit  = 1 << 20
	hedgeBurst = 32 * hedgeUnit
)

// hedgeBudget bounds the checks that are asked twice: each check earns a share of a
// hedge, and a few are in stock.
type hedgeBudget struct {
	share int64
	left  atomic.Int64
}

// earn is for each check that was answered.
func (b *hedgeBudget) earn() {
	if b.left.Load() < hedgeBurst {
		b.left.Add(b.share)
	}
}

// spend takes a hedge, if there is one.
func (b *hedgeBudget) spend() bool {
	for {
		left := b.left.Load()
		if left < hedgeUnit {
			return false
		}
		if b.left.CompareAndSwap(left, left-hedgeUnit) {
			return true
		}
	}
}

// giveBack is for a hedge that no node took.
func (b *hedgeBudget) giveBack() { b.left.Add(hedgeUnit) }

const (
	latencyRound = 512 // checks from one look at the percentile to the next
	// Buckets are eighths of a power of two of microseconds, up to half a minute.
	latencyBuckets = 200
)

// latencies knows how long 95 of a hundred recent checks took, to an eighth. The older
// half of what it remembers weighs half. Any number of goroutines may note.
type latencies struct {
	buckets [latencyBuckets]atomic.Int64
	noted   atomic.Int64
	most    atomic.Int64 // the percentile; 0 while little is known
}

func latencyBucket(took time.Duration) int {
	us := uint64(max(8, took.Microseconds()))
	power := bits.Len64(us) - 4 // us>>power is 8 to 15
	return min(power*8+int(us>>power)-8, latencyBuckets-1)
}

// bucketEnd is the latency above a bucket.
func bucketEnd(bucket int) time.Duration {
	return time.Duration(bucket%8+9) << (bucket / 8) * time.Microsecond
}

func (l *latencies) note(took time.Duration) {
	l.buckets[latencyBucket(took)].Add(1)
	if l.noted.Add(1)%latencyRound == 0 {
		l.look()
	}
}

// look counts from above to a twentieth, and halves the counts. Where two look at a
// time, one of them sees less; the next round sees all again.
func (l *latencies) look() {
	var counts [latencyBuckets]int64
	total := int64(0)
	for i := range l.buckets {
		counts[i] = l.buckets[i].Load()
		l.buckets[i].Add(-counts[i] / 2)
		total += counts[i]
	}
	above := int64(0)
	for i := latencyBuckets - 1; i >= 0; i-- {
		if above += counts[i]; above*20 > total {
			l.most.Store(int64(bucketEnd(i)))
			return
		}
	}
}

// p95 is 0 while too little is known.
func (l *latencies) p95() time.Duration { return time.Duration(l.most.Load()) }
