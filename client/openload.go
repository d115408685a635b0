package client

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A caller that waits for its answer before it asks again does not ask while the node
// hangs, and so does not see most of what others would have waited: coordinated
// omission (Gil Tene). A load with a rate has no such gap: checks come when they come,
// and each one waits from then on. For a load without a rate there is Corrected.

// pace says when the messages of a load come. Many callers share one; nil is a load
// without a rate.
type pace struct {
	begin time.Time
	every float64      // nanoseconds
	count int64        // of the messages that come in all
	taken atomic.Int64 // by callers that wait for it
	given atomic.Int64 // to callers that send it
}

// newPace has so many messages come in a second.
func newPace(begin time.Time, duration time.Duration, perSecond float64) *pace {
	if perSecond <= 0 {
		return nil
	}
	return &pace{begin: begin, every: float64(time.Second) / perSecond, count: int64(duration.Seconds() * perSecond)}
}

func (p *pace) moment(i int64) time.Time { return p.begin.Add(time.Duration(float64(i) * p.every)) }

// next waits for the next message and says when it came, which is in the past if all
// callers were busy; false when the time is over.
func (p *pace) next(ctx context.Context) (time.Time, bool) {
	if p == nil {
		return time.Now(), ctx.Err() == nil
	}
	if ctx.Err() != nil {
		return time.Time{}, false
	}
	i := p.taken.Add(1) - 1
	if i >= p.count {
		return time.Time{}, false
	}
	at := p.moment(i)
	if wait := time.Until(at); wait > 0 && !pause(ctx, wait) {
		return time.Time{}, false
	}
	p.given.Add(1)
	return at, true
}

// missed notes what came and found no caller before the end, as having waited until
// now. These are the last ones: callers take them in order.
func (p *pace) missed(g *gauge, size int) {
	if p == nil {
		return
	}
	for i := p.given.Load(); i < p.count; i++ {
		g.took(p.moment(i), 0, 0)
		g.unsent += int64(size)
	}
}

// Corrected adds to the latencies of a load without a rate what callers would have met
// that had not waited for each other: behind one that took long there are others, each
// later by as long as half of all took (HdrHistogram's correction by an expected
// interval, which here is the median).
func (r *LoadResult) Corrected() *hdrhistogram.Histogram {
	expected, corrected := r.Latency.ValueAtPercentile(50), newHistogram()
	for _, bar := range r.Latency.Distribution() {
		if bar.Count == 0 {
			continue
		}
		_ = corrected.RecordValues(bar.To, bar.Count)
		for missing := bar.To - expected; expected > 0 && missing >= expected; missing -= expected {
			_ = corrected.RecordValues(missing, bar.Count)
		}
	}
	return corrected
}
