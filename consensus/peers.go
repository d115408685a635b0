package consensus

import (
	"sync"
	"sync/atomic"
	"time"
)

// contact is what a peer last said to us as its leader.
type contact struct {
	asked  time.Time // when the question left; the answer is never older
	number uint64    // of the question: later questions have higher ones
	term   uint64
	last   uint64 // the last index in its log
	agreed bool

	// matched is the highest entry that it has agreed to hold, in this term: what
	// lies behind that in its log may be another leader's, and go.
	matched uint64
}

// peers remembers the last contact with each server. Raft knows this too, but
// tells nobody; and where it counts who confirms a leader, it counts servers
// without a vote as well.
type peers struct {
	asked   atomic.Uint64
	mu      sync.Mutex
	seen    map[string]contact
	refused map[string]time.Time // who does not admit our entries, since its last answer that it does
	changed chan struct{}        // closed at the next note
}

func newPeers() *peers {
	return &peers{seen: make(map[string]contact), refused: make(map[string]time.Time), changed: make(chan struct{})}
}

// next numbers a moment between questions: a clock is too coarse for that.
func (p *peers) next() uint64 { return p.asked.Add(1) }

func (p *peers) note(id string, c contact) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.seen[id]
	if c.matched > 0 {
		delete(p.refused, id)
	}
	if c.term == before.term {
		c.matched = max(c.matched, before.matched)
	}
	if c.number < before.number {
		if c.term == before.term {
			before.matched = c.matched
			p.seen[id] = before
		}
		return
	}
	p.seen[id] = c
	close(p.changed)
	p.changed = make(chan struct{})
}

// refuse notes that a server does not admit an entry of ours.
func (p *peers) refuse(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refused[id] = time.Now()
}

// refusing counts those of ids that refused entries in the last while.
func (p *peers) refusing(ids []string, while time.Duration) (count int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range ids {
		if at, ok := p.refused[id]; ok && time.Since(at) < while {
			count++
		}
	}
	return count
}

// lastSeen is the last contact, and whether there was one in the term.
func (p *peers) lastSeen(id string, term uint64) (contact, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, ok := p.seen[id]
	return c, ok && c.term == term
}

// ever is the last contact of any term.
func (p *peers) ever(id string) (contact, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, ok := p.seen[id]
	return c, ok
}

// watch gives a channel that closes at the next note.
func (p *peers) watch() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.changed
}

// agreed counts those of ids that confirmed the term's leader to a question
// asked after since. The channel closes when the count may have grown.
func (p *peers) agreed(ids []string, term uint64, since uint64) (int, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	count := 0
	for _, id := range ids {
		if c := p.seen[id]; c.agreed && c.term == term && c.number > since {
			count++
		}
	}
	return count, p.changed
}
