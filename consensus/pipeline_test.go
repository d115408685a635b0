package consensus

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

// line is the inner pipeline of a test: it notes what is sent and answers when told.
type line struct {
	sent    []*raft.AppendEntriesRequest
	answers chan raft.AppendFuture
}

type told struct {
	raft.AppendFuture
	args *raft.AppendEntriesRequest
	resp *raft.AppendEntriesResponse
}

func (t told) Request() *raft.AppendEntriesRequest   { return t.args }
func (t told) Response() *raft.AppendEntriesResponse { return t.resp }

func (l *line) AppendEntries(args *raft.AppendEntriesRequest, _ *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	l.sent = append(l.sent, args)
	return told{args: args}, nil
}
func (l *line) Consumer() <-chan raft.AppendFuture { return l.answers }
func (l *line) Close() error                       { return nil }

func (l *line) answer(args *raft.AppendEntriesRequest, success bool) {
	l.answers <- told{args: args, resp: &raft.AppendEntriesResponse{Term: args.Term, Success: success}}
}

// entries are a message of raft's with one entry of so many bytes at an index.
func entries(index uint64, bytes int) *raft.AppendEntriesRequest {
	return &raft.AppendEntriesRequest{Term: 1, PrevLogEntry: index - 1, PrevLogTerm: 1,
		Entries: []*raft.Log{{Index: index, Term: 1, Data: make([]byte, bytes)}}}
}

// inPipe runs a test with a pipeline in a bubble; raft reads all its answers, and
// heard tells how many.
func inPipe(t *testing.T, test func(t *testing.T, p *pipeline, inner *line, heard func() int)) {
	synctest.Test(t, func(t *testing.T) {
		tr := &transport{done: make(chan struct{})}
		inner := &line{answers: make(chan raft.AppendFuture)}
		p := tr.newPipeline(inner, func(raft.AppendFuture) {})
		count := 0
		go func() {
			for {
				select {
				case <-p.Consumer():
					count++
				case <-p.quit:
					return
				}
			}
		}()
		test(t, p, inner, func() int { synctest.Wait(); return count })
		_ = p.Close()
		synctest.Wait()
		if len(tr.hints.lines) > 0 {
			t.Error("a closed pipeline is still told of commits")
		}
	})
}

// commits of the last message, if it is a hint; 0 if not.
func (l *line) lastHint() uint64 {
	last := l.sent[len(l.sent)-1]
	if len(last.Entries) > 0 || last.PrevLogEntry != last.LeaderCommitIndex {
		return 0
	}
	return last.LeaderCommitIndex
}

func TestAHintGoesBehindEntriesThatAreNotAnsweredYet(t *testing.T) {
	inPipe(t, func(t *testing.T, p *pipeline, inner *line, heard func() int) {
		p.hints.committed(7, 1) // by others: it has not been sent here
		if len(inner.sent) != 0 {
			t.Fatal("a follower was told of an entry that it was not sent")
		}
		if _, err := p.AppendEntries(entries(7, 100), nil); err != nil {
			t.Fatal(err)
		}
		if len(inner.sent) != 2 || inner.lastHint() != 7 {
			t.Fatalf("behind the entry went %d messages, the last with commit %d; want one, 7", len(inner.sent)-1, inner.lastHint())
		}
		inner.answer(inner.sent[0], true)
		inner.answer(inner.sent[1], true)
		if heard() != 1 {
			t.Errorf("raft heard %d answers, and asked once", heard())
		}
	})
}

func TestOneHintIsUnderWayAtATime(t *testing.T) {
	inPipe(t, func(t *testing.T, p *pipeline, inner *line, heard func() int) {
		_, _ = p.AppendEntries(entries(1, 10), nil)
		inner.answer(inner.sent[0], true)
		_, _ = p.AppendEntries(entries(2, 10), nil)
		p.hints.committed(1, 1)
		p.hints.committed(2, 1)
		if len(inner.sent) != 3 || inner.lastHint() != 1 {
			t.Fatalf("%d messages, the last with commit %d", len(inner.sent), inner.lastHint())
		}
		inner.answer(inner.sent[2], false) // whatever it says
		synctest.Wait()
		if len(inner.sent) != 4 || inner.lastHint() != 2 {
			t.Errorf("%d messages, the last with commit %d; the second hint goes behind the answer to the first", len(inner.sent), inner.lastHint())
		}
	})
}

// What is large may fill the connection, and who applies must not wait for that.
func TestALargeMessageUnderWayLeavesTheHintToAnother(t *testing.T) {
	inPipe(t, func(t *testing.T, p *pipeline, inner *line, heard func() int) {
		_, _ = p.AppendEntries(entries(1, 100<<10), nil)
		p.hints.newest.Store(&commit{1, 1})
		p.turn <- struct{}{}
		blocked := p.hint(hintBehind)
		if !blocked || len(inner.sent) != 1 {
			t.Error("who applies sends the hint itself")
		}
		p.hints.committed(1, 1) // while somebody sends
		<-p.turn
		synctest.Wait()
		if inner.lastHint() != 1 {
			t.Error("nobody has sent the hint")
		}
	})
}

// Who sends may wait for the connection for long. Time goes on for who waits behind it,
// and a pipeline that is closed lets it go.
func TestWhoWaitsForTheTurnIsLetGo(t *testing.T) {
	inPipe(t, func(t *testing.T, p *pipeline, inner *line, heard func() int) {
		p.turn <- struct{}{} // a connection that takes nothing
		p.poke()
		failed := make(chan error, 1)
		go func() {
			_, err := p.AppendEntries(entries(1, 10), nil)
			failed <- err
		}()
		time.Sleep(time.Minute)
		_ = p.Close()
		if err := <-failed; !errors.Is(err, raft.ErrPipelineShutdown) {
			t.Errorf("raft's message ends with %v", err)
		}
		if synctest.Wait(); len(inner.sent) > 0 {
			t.Errorf("%d messages were sent past the turn", len(inner.sent))
		}
	})
}

// A follower that lies: raft has stopped reading, and must not wait to hand over more.
func TestASuccessOfALaterTermEndsThePipeline(t *testing.T) {
	inPipe(t, func(t *testing.T, p *pipeline, inner *line, heard func() int) {
		_, _ = p.AppendEntries(entries(1, 10), nil)
		inner.answers <- told{args: inner.sent[0], resp: &raft.AppendEntriesResponse{Term: 2, Success: true}}
		if heard() != 1 {
			t.Fatalf("raft heard %d answers", heard())
		}
		select {
		case <-p.ended:
		default:
			t.Error("the pipeline goes on")
		}
	})
}

func TestRaftHasTwoMessagesUnderWay(t *testing.T) {
	inPipe(t, func(t *testing.T, p *pipeline, inner *line, heard func() int) {
		done := 0
		go func() {
			for i := range uint64(3) {
				if _, err := p.AppendEntries(entries(i+1, 10), nil); err != nil {
					return
				}
				done++
			}
		}()
		synctest.Wait()
		if len(inner.sent) != 2 || done != 1 {
			t.Fatalf("%d are sent and %d returned; want 2 and 1", len(inner.sent), done)
		}
		inner.answer(inner.sent[0], true)
		synctest.Wait()
		if len(inner.sent) != 3 || done != 2 {
			t.Fatalf("behind an answer %d are sent and %d returned; want 3 and 2", len(inner.sent), done)
		}
		inner.answer(inner.sent[1], false)
		synctest.Wait()
		if _, err := p.AppendEntries(entries(9, 10), nil); err == nil {
			t.Error("a pipeline takes messages behind an answer that was no success")
		}
	})
}

// Raft sends the first entry behind a broken connection outside of a pipeline.
func TestACommitOfWhatWentBeforeThePipelineIsHintedAt(t *testing.T) {
	inPipe(t, func(t *testing.T, p *pipeline, inner *line, heard func() int) {
		p.hints.agreed("s2", entries(5, 10), 5)
		p.hints.newest.Store(&commit{5, 1}) // before the pipeline was there
		p.begin("s2")
		synctest.Wait()
		if len(inner.sent) != 1 || inner.lastHint() != 5 {
			t.Errorf("%d messages; want the hint at 5", len(inner.sent))
		}
	})
}
