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
	note    func(answer raft.AppendFuture)
	answers chan raft.AppendFuture
	quit    chan struct{}
	once    sync.Once
}

func newPipeline(inner raft.AppendPipeline, note func(raft.AppendFuture)) *pipeline {
	p := &pipeline{AppendPipeline: inner, note: note, answers: make(chan raft.AppendFuture), quit: make(chan struct{})}
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

func (p *pipeline) Consumer() <-chan raft.AppendFuture { return p.answers }

func (p *pipeline) Close() error {
	p.once.Do(func() { close(p.quit) })
	return p.AppendPipeline.Close()
}
