package consensus

import (
	"context"
	"math"
	"sync/atomic"

	"github.com/hashicorp/raft"
)

// minTrailing is how many entries stay behind a cut however long they are. It lies
// above maxInFlight for the same reason as Config.TrailingLogs does.
const minTrailing = 2 * maxInFlight

// trail says what stays in the log of what the state has on disk. Raft counts entries,
// and an entry of an import is 200 KB: 8,192 of them are more than a gigabyte, on disk,
// in the system's cache, and to be read at each start. So beyond minTrailing, which raft
// leaves, entries stay as long as they are few and short, or as long as they are few and
// a server asks for them: one that is known to be late, or that has just had an image.
type trail struct {
	logs, bytes uint64
	kept        *kept
	late        func() (needed uint64, known bool)

	long  chan struct{} // holds a wish for a cut, because of the bytes
	asked atomic.Uint64 // up to where one was wished for
}

func newTrail(c *Config, late func() (uint64, bool)) *trail {
	return &trail{logs: c.TrailingLogs, bytes: c.TrailingBytes, kept: &kept{}, late: late, long: make(chan struct{}, 1)}
}

// limit gives up to where a log may be cut, of what raft wants.
func (t *trail) limit(log logStore, to uint64) uint64 {
	last, err := log.LastIndex()
	if err != nil {
		return 0
	}
	demanded := min(to, last-min(last, t.logs)) // by their number
	needed, known := t.late()
	long := min(to, needed)
	if newest := log.Newest(t.room(known)); newest == 0 {
		long = 0
	} else {
		long = min(long, newest-1)
	}
	return t.kept.limit(max(demanded, long), demanded)
}

// ledByOthers is how much longer the log of a server may be that does not lead: it does
// not know who is late. Where a leader dies in the middle of an import, the next one must
// bring the others up by its log, because nothing is committed until it has, and an image
// takes minutes.
const ledByOthers = 4

func (t *trail) room(known bool) uint64 {
	if known {
		return t.bytes
	}
	return ledByOthers * t.bytes
}

// grown asks for a cut when the log has become too long in bytes: once for each file
// that could go.
func (t *trail) grown(log logStore) {
	_, known := t.late()
	newest := log.Newest(t.room(known))
	first, err := log.FirstIndex()
	if err != nil || newest <= first || t.asked.Swap(newest) == newest {
		return
	}
	select {
	case t.long <- struct{}{}:
	default:
	}
}

// cutLong has raft cut its log when that is long, beside the cuts that raft makes by
// the number of entries.
func (r *Replica) cutLong() {
	for {
		select {
		case <-r.trail.long:
			// Raft logs what went wrong, and each further file asks again.
			_ = r.await(context.Background(), func() error { return r.raft.Snapshot().Error() })
		case <-r.quit:
			return
		}
	}
}

// late is the last entry that no other server needs, if this one knows: only a leader
// does, and one that has just begun to lead knows nothing of them. The last entry that a
// server has stays too: raft names it with the next one.
func (r *Replica) late() (needed uint64, known bool) {
	running := r.trans.replica.Load()
	if running == nil {
		return 0, false
	}
	if running.raft.State() != raft.Leader {
		return math.MaxUint64, false
	}
	needed = math.MaxUint64
	for _, s := range running.Servers() {
		if s.ID != r.cfg.ID {
			c, _ := r.peers.ever(s.ID)
			needed = min(needed, max(c.matched, 1)-1)
		}
	}
	return needed, true
}
