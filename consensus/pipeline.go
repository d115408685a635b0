package consensus

import (
	"math"
	"sync"

	"github.com/hashicorp/raft"
)

// rpcsInFlight is what raft's transport has room for in a pipeline: two messages of
// raft's, as it has by default, a hint, and one more, so that the sender of a hint
// never waits for an answer.
const rpcsInFlight = 4

// pipeline ends with the first answer that is not a success. Raft stops reading
// the answers then, but may be waiting to hand over its next question, which only
// somebody who reads them would let it do: without this it would send that server
// nothing more for as long as it leads, and could not be shut down.
//
// Hints go through it too, and their answers no further.
type pipeline struct {
	raft.AppendPipeline
	hints   *hints
	state   hintState
	turn    chan struct{} // one place, of who sends: it may wait for the connection, and others then for it
	wake    chan struct{} // one place: hintLater has something to do
	window  chan struct{} // one place: the sender of raft's second unanswered message waits
	note    func(answer raft.AppendFuture)
	answers chan raft.AppendFuture
	quit    chan struct{} // closed when raft closes the pipeline
	ended   chan struct{} // closed, earlier perhaps, when nothing is sent any more
	once    sync.Once
	end     sync.Once
}

func (t *transport) newPipeline(inner raft.AppendPipeline, note func(raft.AppendFuture)) *pipeline {
	p := &pipeline{AppendPipeline: inner, hints: &t.hints, turn: make(chan struct{}, 1), wake: make(chan struct{}, 1), window: make(chan struct{}, 1), note: note,
		answers: make(chan raft.AppendFuture), quit: make(chan struct{}), ended: make(chan struct{})}
	p.hints.add(p)
	t.work.Go(func() { p.hintLater(t.done) })
	go p.pass()
	return p
}

// pass runs until raft closes the pipeline.
func (p *pipeline) pass() {
	for {
		select {
		case answer := <-p.AppendPipeline.Consumer():
			if p.state.answered(answer.Request()) {
				p.poke()
				continue
			}
			p.note(answer)
			// Raft reads no further behind a higher term either, whatever else stands there.
			success := answer.Response().Success && answer.Response().Term <= answer.Request().Term
			select {
			case p.answers <- answer:
			case <-p.quit:
				return
			}
			if !success {
				_ = p.stop() // raft closes it again
				continue
			}
			select {
			case <-p.window:
			case <-p.quit:
				return
			}
		case <-p.quit:
			return
		}
	}
}

// AppendEntries keeps two of raft's messages on their way, as raft's transport does by
// default: while the first is not answered it sends the second, and then waits.
func (p *pipeline) AppendEntries(args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	future, err := p.send(args, resp)
	if err != nil {
		return nil, err
	}
	select {
	case p.window <- struct{}{}:
		return future, nil
	case <-p.ended:
		return nil, raft.ErrPipelineShutdown
	}
}

func (p *pipeline) send(args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	select {
	case p.turn <- struct{}{}:
	case <-p.ended:
		return nil, raft.ErrPipelineShutdown
	}
	defer func() { <-p.turn }()
	p.state.sending(args)
	future, err := p.AppendPipeline.AppendEntries(args, resp)
	if err == nil {
		p.hint(math.MaxInt) // of what was committed while this was on its way
	}
	return future, err
}

func (p *pipeline) Consumer() <-chan raft.AppendFuture { return p.answers }

func (p *pipeline) stop() error {
	p.end.Do(func() { close(p.ended) })
	return p.AppendPipeline.Close()
}

func (p *pipeline) Close() error {
	p.hints.remove(p)
	p.once.Do(func() { close(p.quit) })
	return p.stop()
}
