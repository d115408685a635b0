package consensus

import (
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"
)

// Raft tells a follower of a commit with the next entries or, on a quiet network, after
// one to two CommitTimeouts: a report protects nobody there until then. So a leader
// hints: as soon as its machine is given what is committed, each follower that holds it
// gets a message without entries that says so. It is one that raft could have sent, and
// its answer is nobody's: what it says raft hears again by its own messages.

// hints are the pipelines of a leader, and what was committed last.
type hints struct {
	newest atomic.Pointer[commit]
	mu     sync.Mutex
	lines  map[*hintLine]struct{}
}

type commit struct{ index, term uint64 }

// committed is called behind every commit, also on followers, who have no pipelines. It
// waits for nobody.
func (h *hints) committed(index, term uint64) {
	h.newest.Store(&commit{index, term})
	h.mu.Lock()
	defer h.mu.Unlock()
	for line := range h.lines {
		line.poke()
	}
}

// hintLine is what is known of one follower while raft sends to it.
type hintLine struct {
	id     raft.ServerID
	target raft.ServerAddress
	wake   chan struct{} // one place

	mu      sync.Mutex
	header  raft.RPCHeader // raft's own
	term    uint64         // in which it leads
	told    uint64         // the highest commit that was sent
	matched uint64         // the highest entry that it has agreed to hold
}

func (l *hintLine) poke() {
	select {
	case l.wake <- struct{}{}:
	default: // it looks in a moment
	}
}

// sent notes what raft sends itself.
func (l *hintLine) sent(args *raft.AppendEntriesRequest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.header, l.term, l.told = args.RPCHeader, args.Term, max(l.told, args.LeaderCommitIndex)
}

func (l *hintLine) holds(index uint64) {
	l.mu.Lock()
	l.matched = max(l.matched, index)
	l.mu.Unlock()
	l.poke()
}

// due gives the hint to send now; nil if there is none.
func (l *hintLine) due(c *commit) *raft.AppendEntriesRequest {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c == nil || l.term == 0 || c.index <= l.told || c.index > l.matched {
		return nil
	}
	l.told = c.index
	return &raft.AppendEntriesRequest{RPCHeader: l.header, Term: l.term, PrevLogEntry: c.index, PrevLogTerm: c.term, LeaderCommitIndex: c.index}
}

// hint runs until the pipeline is closed.
func (t *transport) hint(line *hintLine, quit <-chan struct{}) {
	defer func() {
		t.hints.mu.Lock()
		defer t.hints.mu.Unlock()
		delete(t.hints.lines, line)
	}()
	for {
		select {
		case <-line.wake:
		case <-quit:
			return
		case <-t.done:
			return
		}
		if args := line.due(t.hints.newest.Load()); args != nil {
			// If it fails, raft's own message comes a moment later.
			_ = t.NetworkTransport.AppendEntries(line.id, meantFor(line.id, line.target), args, new(raft.AppendEntriesResponse))
		}
	}
}

// newHintLine begins to hint.
func (t *transport) newHintLine(id raft.ServerID, target raft.ServerAddress, quit <-chan struct{}) *hintLine {
	line := &hintLine{id: id, target: target, wake: make(chan struct{}, 1)}
	t.hints.mu.Lock()
	defer t.hints.mu.Unlock()
	if t.hints.lines == nil {
		t.hints.lines = map[*hintLine]struct{}{}
	}
	t.hints.lines[line] = struct{}{}
	t.work.Go(func() { t.hint(line, quit) })
	return line
}
