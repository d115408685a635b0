package consensus

import (
	"sync"

	"github.com/hashicorp/raft"
)

// pipeline ends with the first answer that is not a success. Raft stops reading
// the answers then, but may be waiting to hand over its next question, which only
// somebody who reads them would let it do: without this it would send that server
// nothing more for as long as it leads, and could not be shut down.
type pipeline struct {
	raft.AppendPipeline
	sent    func(args *raft.AppendEntriesRequest)
	note    func(answer raft.AppendFuture)
	answers chan raft.AppendFuture
	quit    chan struct{}
	once    sync.Once
}

// newPipeline closes quit when it is closed.
func newPipeline(inner raft.AppendPipeline, quit chan struct{}, sent func(*raft.AppendEntriesRequest), note func(raft.AppendFuture)) *pipeline {
	p := &pipeline{AppendPipeline: inner, sent: sent, note: note, answers: make(chan raft.AppendFuture), quit: quit}
	go p.pass()
	return p
}

// pass runs until raft closes the pipeline.
func (p *pipeline) pass() {
	for {
		select {
		case answer := <-p.AppendPipeline.Consumer():
			success := answer.Response().Success
			p.note(answer)
			select {
			case p.answers <- answer:
			case <-p.quit:
				return
			}
			if !success {
				_ = p.AppendPipeline.Close() // raft closes it again
			}
		case <-p.quit:
			return
		}
	}
}

func (p *pipeline) AppendEntries(args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	p.sent(args)
	return p.AppendPipeline.AppendEntries(args, resp)
}

func (p *pipeline) Consumer() <-chan raft.AppendFuture { return p.answers }

func (p *pipeline) Close() error {
	p.once.Do(func() { close(p.quit) })
	return p.AppendPipeline.Close()
}
