package consensus

import (
	"math"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"
)

// Raft tells a follower of a commit with the next entries or, on a quiet network, after
// one to two CommitTimeouts: a report protects nobody there until then. So a leader
// hints: before its own machine is given what is committed, each follower gets a message
// without entries that says so. It is one that raft could have sent, and its answer is
// nobody's: what it says raft hears again by its own messages.
//
// A hint goes behind the entries, on the connection that carries them. So it need not
// wait until the follower has answered that it holds them: a server reads a connection's
// messages one after the other.

const (
	// hintsAtOnce is how many followers are told by the goroutine that is about to
	// apply; the machine of a leader of more would wait for as many writes.
	hintsAtOnce = 8
	// hintBehind is how many bytes may be on their way to a follower whom that
	// goroutine tells itself: they lie in the kernel's buffer, so that it cannot be
	// made to wait. To others a goroutine of their own sends.
	hintBehind = 4 << 10
)

// hints are the pipelines of a leader, and what was committed last.
type hints struct {
	newest atomic.Pointer[commit]
	mu     sync.Mutex
	lines  map[*pipeline]struct{}
	before sync.Map // by server: raft's last message to it outside of a pipeline that it agreed to, *raft.AppendEntriesRequest without entries
}

type commit struct{ index, term uint64 }

// committed is called before every commit is applied, also on followers, who have no
// pipelines. It waits for nobody.
func (h *hints) committed(index, term uint64) {
	h.newest.Store(&commit{index, term})
	h.mu.Lock()
	defer h.mu.Unlock()
	few := len(h.lines) <= hintsAtOnce
	for p := range h.lines {
		if few {
			p.hintNow()
		} else {
			p.poke()
		}
	}
}

func (h *hints) add(p *pipeline) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lines == nil {
		h.lines = map[*pipeline]struct{}{}
	}
	h.lines[p] = struct{}{}
}

// agreed notes a message outside of a pipeline: raft sends a server's first ones so, and
// after a broken connection, and begins a pipeline behind the first success. What that
// message brought may be committed before raft has anything to send through the pipeline.
func (h *hints) agreed(id raft.ServerID, args *raft.AppendEntriesRequest, matched uint64) {
	h.before.Store(id, &raft.AppendEntriesRequest{RPCHeader: args.RPCHeader, Term: args.Term, PrevLogEntry: matched, LeaderCommitIndex: args.LeaderCommitIndex})
}

// begin takes up what came before the pipeline.
func (p *pipeline) begin(id raft.ServerID) {
	if args, ok := p.hints.before.LoadAndDelete(id); ok {
		p.state.sending(args.(*raft.AppendEntriesRequest))
		p.poke()
	}
}

func (h *hints) remove(p *pipeline) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.lines, p)
}

// hintState is what is known of one follower while raft sends to it.
type hintState struct {
	mu       sync.Mutex
	header   raft.RPCHeader // raft's own
	term     uint64         // in which it leads
	told     uint64         // the highest commit that was sent
	sent     uint64         // the highest entry that was sent
	behind   int            // bytes of entries that are not answered
	underWay *raft.AppendEntriesRequest
}

// sending notes what raft is about to send itself.
func (s *hintState) sending(args *raft.AppendEntriesRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.header, s.term, s.told = args.RPCHeader, args.Term, max(s.told, args.LeaderCommitIndex)
	s.sent = args.PrevLogEntry + uint64(len(args.Entries))
	s.behind += sizeOf(args)
}

// answered notes an answer, and reports whether it is a hint's.
func (s *hintState) answered(args *raft.AppendEntriesRequest) (hint bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if hint = args == s.underWay; hint {
		s.underWay = nil
	} else {
		s.behind -= sizeOf(args)
	}
	return hint
}

// due gives the hint to send now; nil if there is none. Blocked says that there is one
// and that too many bytes are behind. What raft has not sent yet is due behind that, and
// the next hint behind the answer to the one under way.
func (s *hintState) due(c *commit, most int) (hint *raft.AppendEntriesRequest, blocked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c == nil || s.term == 0 || c.index <= s.told || c.index > s.sent || s.underWay != nil {
		return nil, false
	}
	if s.behind > most {
		return nil, true
	}
	s.told = c.index
	s.underWay = &raft.AppendEntriesRequest{RPCHeader: s.header, Term: s.term, PrevLogEntry: c.index, PrevLogTerm: c.term, LeaderCommitIndex: c.index}
	return s.underWay, false
}

func sizeOf(args *raft.AppendEntriesRequest) (bytes int) {
	for _, l := range args.Entries {
		bytes += len(l.Data) + len(l.Extensions)
	}
	return bytes
}

// hint sends what is due. Who calls it has the turn.
func (p *pipeline) hint(most int) (blocked bool) {
	args, blocked := p.state.due(p.hints.newest.Load(), most)
	if args != nil {
		// If it fails, so does raft's own next message on this connection.
		_, _ = p.AppendPipeline.AppendEntries(args, new(raft.AppendEntriesResponse))
	}
	return blocked
}

// hintNow sends what is due if that cannot take long, and leaves it to hintLater
// otherwise.
func (p *pipeline) hintNow() {
	select {
	case p.turn <- struct{}{}:
	default:
		p.poke()
		return
	}
	defer func() { <-p.turn }()
	if p.hint(hintBehind) {
		p.poke()
	}
}

func (p *pipeline) poke() {
	select {
	case p.wake <- struct{}{}:
	default: // it looks in a moment
	}
}

// hintLater runs until the pipeline or the transport is closed.
func (p *pipeline) hintLater(closed <-chan struct{}) {
	for {
		select {
		case <-p.wake:
		case <-p.quit:
			return
		case <-closed:
			return
		}
		select {
		case p.turn <- struct{}{}:
		case <-p.quit:
			return
		case <-closed:
			return
		}
		p.hint(math.MaxInt)
		<-p.turn
	}
}
