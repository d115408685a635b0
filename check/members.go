package check

import (
	"context"
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/risknet/risknet/risk"
)

// members remembers of tokens that they are listed, and until when at least, for those
// who ask nothing else: reading the listings to answer a mere yes costs ten times as
// much as all the rest. It holds no no: that is the filter's to say.
//
// An entry is what one view has answered, and counts as long as no batch since has
// touched its token. A batch marks the places of its tokens before its view is swapped
// in, so that whoever answers from that view, or a later one, sees the mark. All is
// atomic words; two that are read in the middle of a change do not fit each other and
// are taken for nothing.
type members struct {
	pairs []pair
	steps atomic.Uint64 // batches and resets
	floor atomic.Uint64 // entries of steps before it count no more
	kept  atomic.Int64
	asked atomic.Bool
}

type pair struct {
	touched atomic.Uint64 // the last step that touched a token of this place
	ways    [2]struct{ tag, entry atomic.Uint64 }
}

// An entry is a step in the lower 40 bits and a time above, in units of 1,024 s since
// 1970, rounded down: a token whose last listing ends sooner is looked up.
const (
	stepBits   = 40
	unitMillis = 1_024_000
)

func newMembers(count int) *members {
	if count <= 0 {
		return &members{}
	}
	return &members{pairs: make([]pair, 1<<bits.Len(uint(count-1)/2))}
}

func tagOf(print, entry uint64) uint64 { return print ^ entry*0x9e3779b97f4a7c15 }

// at gives the two places where a token may be: with one, a tenth of the tokens would
// push each other out where half of the ways are empty; with two, hardly any.
func (m *members) at(print uint64) [2]*pair {
	last := uint64(len(m.pairs) - 1)
	return [2]*pair{&m.pairs[print&last], &m.pairs[print>>32&last]}
}

// has reports whether a token is listed at a time for all that is remembered.
func (m *members) has(print uint64, now int64) bool {
	if len(m.pairs) == 0 {
		return false
	}
	for _, p := range m.at(print) {
		since := max(p.touched.Load(), m.floor.Load())
		for i := range p.ways {
			entry := p.ways[i].entry.Load()
			if p.ways[i].tag.Load() == tagOf(print, entry) && entry != 0 {
				return entry&(1<<stepBits-1) >= since && int64(entry>>stepBits)*unitMillis > now
			}
		}
	}
	return false
}

// keep remembers what the view of a step has answered: listed until a time.
func (m *members) keep(print uint64, step uint64, until int64) {
	if len(m.pairs) == 0 || until < unitMillis {
		return
	}
	entry := min(uint64(until/unitMillis), 1<<(64-stepBits)-1)<<stepBits | step
	places := m.at(print)
	way := &places[0].ways[print>>63]
	for free, i := false, 0; i < 4; i++ {
		at := &places[i/2].ways[i%2]
		old := at.entry.Load()
		if old != 0 && at.tag.Load() == tagOf(print, old) {
			way, free = at, false
			break
		}
		if old == 0 && !free {
			way, free = at, true
		}
	}
	if way.entry.Load() == 0 {
		m.kept.Add(1)
	}
	way.entry.Store(entry)
	way.tag.Store(tagOf(print, entry))
}

// touch begins the step of a batch. Until somebody has asked for a member there is
// nothing to mark, and all entries of before are let go instead: whoever begins to ask
// meanwhile, and keeps what an older view has answered, keeps nothing.
func (m *members) touch(h hasher, b *Batch) (step uint64) {
	if !m.asked.Load() {
		return m.forget()
	}
	step = m.steps.Add(1)
	if len(m.pairs) > 0 {
		for _, list := range [][]Touched{b.Linked, b.Unlinked} {
			for _, t := range list {
				for _, p := range m.at(h.of(t.Key)) {
					p.touched.Store(step)
				}
			}
		}
	}
	return step
}

// forget begins the step of another state.
func (m *members) forget() (step uint64) {
	step = m.steps.Add(1)
	for old := m.floor.Load(); old < step && !m.floor.CompareAndSwap(old, step); {
		old = m.floor.Load()
	}
	return step
}

// Member reports whether a listing in force speaks about a query's subjects: what
// [Checker.Review] says of it, and nothing more. A no of a stale view is no answer.
func (c *Checker) Member(q *Query, v *risk.Verdict) (listed, stale bool, err error) {
	if q.Payment.Purpose != 0 && q.Payment.Purpose != risk.PurposeScreening {
		err := c.Review(q, v)
		return v.Listed, v.Stale, err
	}
	view, now := c.Load(), c.config.Now()
	if view.source == nil {
		return false, false, ErrEmpty
	}
	c.members.asked.Store(true)
	at, sure := max(now.UnixMilli(), view.Time), true
	for i := range q.Subjects {
		for j := range q.Subjects[i].Asked {
			key := Key{q.Subjects[i].Asked[j].Kind, q.Subjects[i].Asked[j].Token}
			print := c.hasher.of(key)
			if !view.filter.may(print) {
				continue // one line of memory ends most questions
			}
			if c.members.has(print, at) {
				return true, false, nil
			}
			if known, _ := view.filter.ask(print, key); known == hit {
				sure = false
			}
		}
	}
	if sure {
		return false, c.ageAt(now) > c.config.MaxAge, nil
	}
	return c.findMember(q, v)
}

// Known is what [Checker.Recall] knows of a token.
type Known uint8

const (
	Unlisted Known = iota // no listing speaks about it
	Unread                // one may: ask Member
	Listed                // one in force does
)

// recalledAtOnce look-ups touch their memory one behind the other, before any of them
// waits for it: a miss of the cache costs as much as all else in a look-up.
const recalledAtOnce = 32

// Recall says what is known of each token without reading a listing, as one view has it,
// for who asks about many. An Unlisted of a stale view is no answer.
func (c *Checker) Recall(asked []risk.Asked, known []Known) (stale bool, err error) {
	view, now := c.Load(), c.config.Now()
	if view.source == nil {
		return false, ErrEmpty
	}
	if !c.members.asked.Load() {
		c.members.asked.Store(true)
	}
	at := max(now.UnixMilli(), view.Time)
	var prints [recalledAtOnce]uint64
	for len(asked) > 0 {
		n := min(len(asked), recalledAtOnce)
		for i := range n {
			prints[i] = c.hasher.of(Key{asked[i].Kind, asked[i].Token})
		}
		for i, print := range prints[:n] {
			known[i] = Unlisted
			if view.filter.may(print) {
				known[i] = Unread
			}
		}
		for i, print := range prints[:n] {
			switch {
			case known[i] == Unlisted:
			case c.members.has(print, at):
				known[i] = Listed
			default:
				if found, _ := view.filter.ask(print, Key{asked[i].Kind, asked[i].Token}); found != hit {
					known[i] = Unlisted
				}
			}
		}
		asked, known = asked[n:], known[n:]
	}
	return c.ageAt(now) > c.config.MaxAge, nil
}

// findMember reads the listings, and remembers what it has found.
func (c *Checker) findMember(q *Query, v *risk.Verdict) (listed, stale bool, err error) {
	if err := c.hear(q, v); err != nil {
		return false, false, err
	}
	w := q.work
	for _, f := range w.found {
		key := Key{f.Listing.Item.Kind, f.Body.Token}
		c.members.keep(c.hasher.of(key), w.view.step, f.Listing.Item.Expiry)
	}
	w.count()
	w.finish()
	return v.Listed, v.Stale, nil
}

const (
	// warmAtOnce tokens are looked up, then warmPause is left to others.
	warmAtOnce = 256
	warmPause  = 15 * time.Millisecond
	// warmEvery is how often it is looked whether there is something to do.
	warmEvery = time.Second
)

// Warm remembers listed tokens before they are asked for, as many as there is room
// for, once somebody asks for members at all, and again behind each build of the
// filter: that is when many have changed. It runs until ctx ends.
func (c *Checker) Warm(ctx context.Context) {
	tick := time.NewTicker(warmEvery)
	defer tick.Stop()
	for done := uint64(0); len(c.members.pairs) > 0; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if builds := c.counters.builds.Load(); c.members.asked.Load() && builds != done {
			if c.warm(ctx) == nil {
				done = builds
			}
		}
	}
}

// warm goes once through all tokens of a view.
func (c *Checker) warm(ctx context.Context) error {
	view, looked := c.Load(), 0
	if view.source == nil {
		return ErrEmpty
	}
	q, v := &Query{Subjects: []Subject{{Kind: risk.KindDevice, Role: risk.RoleOther, Asked: make([]risk.Asked, 1)}}}, &risk.Verdict{}
	pause := time.NewTicker(warmPause)
	defer pause.Stop()
	return view.source.Tokens(view.Version, unlessDone(ctx, func(t Touched) error {
		if c.members.has(c.hasher.of(t.Key), c.config.Now().UnixMilli()) || int(c.members.kept.Load()) > len(c.members.pairs)*3/2 {
			return nil
		}
		if looked++; looked%warmAtOnce == 0 {
			select {
			case <-pause.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		q.Subjects[0].Kind, q.Subjects[0].Asked[0] = t.Kind, risk.Asked{Kind: t.Kind, Token: t.Token}
		_, _, err := c.findMember(q, v)
		return err
	}))
}
