package sim

import (
	"maps"
	"slices"
	"time"
)

// Faults are what a link does, one way. The zero Faults is a perfect link.
type Faults struct {
	Delay          time.Duration // of each segment
	Jitter         time.Duration // up to so much more
	Loss           float64       // of segments, which are sent again after a timeout
	Break          float64       // of segments, at which the connection breaks
	Unanswered     float64       // of segments, which arrive; then the connection breaks and the answer is lost
	BytesPerSecond int           // 0: as fast as it goes
	Cut            bool          // nothing arrives
}

// link is one direction between two hosts. The switch's lock guards it.
type link struct {
	net      *Switch
	from, to *host
	faults   Faults
	busy     time.Time // until then the wire is taken by what was sent
	pairs    map[*pair]struct{}
}

// firstResend is how long TCP waits before it sends a segment again; it doubles.
const firstResend = 200 * time.Millisecond

// ending is what becomes of the connection of a segment.
type ending int

const (
	goesOn ending = iota
	breaks
	unanswered
)

// fate is what happens to a segment.
type fate struct {
	at  time.Time // of its arrival
	end ending
}

// send draws a segment's fate.
func (l *link) send(now time.Time, size int) fate {
	l.net.mu.Lock()
	defer l.net.mu.Unlock()
	f, chance := &l.faults, l.net.random.Float64
	if f.BytesPerSecond > 0 {
		if l.busy.Before(now) {
			l.busy = now
		}
		l.busy = l.busy.Add(time.Duration(size) * time.Second / time.Duration(f.BytesPerSecond))
		now = l.busy
	}
	out := fate{at: now.Add(f.Delay + l.net.draw(f.Jitter))}
	for resend := firstResend; f.Loss > 0 && chance() < f.Loss; resend *= 2 {
		out.at = out.at.Add(resend)
	}
	switch {
	case f.Break > 0 && chance() < f.Break:
		out.end = breaks
	case f.Unanswered > 0 && chance() < f.Unanswered:
		out.end = unanswered
	}
	return out
}

// held reports that nothing arrives now.
func (l *link) held() bool {
	l.net.mu.Lock()
	defer l.net.mu.Unlock()
	return l.faults.Cut || l.from.dark || l.to.dark
}

func (l *link) add(p *pair) {
	l.net.mu.Lock()
	defer l.net.mu.Unlock()
	l.pairs[p] = struct{}{}
}

func (l *link) remove(p *pair) {
	l.net.mu.Lock()
	defer l.net.mu.Unlock()
	delete(l.pairs, p)
}

func (l *link) open() []*pair {
	l.net.mu.Lock()
	defer l.net.mu.Unlock()
	return slices.Collect(maps.Keys(l.pairs))
}

// hurry has everybody on this link look again; what is under way arrives no
// sooner than at a time.
func (l *link) hurry(soonest time.Time) {
	for _, p := range l.open() {
		for _, s := range []*stream{p.there, p.back} {
			if s.link == l {
				s.delayed(soonest)
			}
		}
	}
}
