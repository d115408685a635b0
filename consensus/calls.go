package consensus

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// What raft says to another server goes to that server alone, not to whoever
// answers at its address. Raft takes over a higher term from an answer as well.

// AppendEntries also notes who answered. Heartbeats come this way.
func (t *transport) AppendEntries(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	asked := contact{asked: time.Now(), number: t.peers.next(), term: args.Term}
	*resp = raft.AppendEntriesResponse{} // raft reuses it; an answer must not survive its question
	err := t.NetworkTransport.AppendEntries(id, meantFor(id, target), args, resp)
	err = cmp.Or(err, t.terms.within(resp.Term), t.mayUnseat(string(id), args.Term, resp.Term))
	if err == nil && resp.Term == args.Term {
		asked.last, asked.agreed = resp.LastLog, resp.Success
		if asked.matched = matched(args, resp); asked.matched > 0 {
			t.hints.agreed(id, args, asked.matched)
		}
		t.peers.note(string(id), asked)
	}
	if err != nil && strings.Contains(err.Error(), notAdmitted) {
		t.peers.refuse(string(id))
	}
	return err
}

// matched is how far an answer agrees with our log; 0 if it does not say. A
// heartbeat asks about no entry.
func matched(asked *raft.AppendEntriesRequest, answer *raft.AppendEntriesResponse) uint64 {
	if !answer.Success || answer.Term != asked.Term {
		return 0
	}
	return asked.PrevLogEntry + uint64(len(asked.Entries))
}

func (t *transport) AppendEntriesPipeline(id raft.ServerID, target raft.ServerAddress) (raft.AppendPipeline, error) {
	inner, err := t.NetworkTransport.AppendEntriesPipeline(id, meantFor(id, target))
	if err != nil {
		return nil, err
	}
	p := t.newPipeline(inner, func(answer raft.AppendFuture) {
		args, resp := answer.Request(), answer.Response()
		if t.mayUnseat(string(id), args.Term, resp.Term) != nil {
			resp.Term = args.Term // it is no success; raft asks again, and hears the error then
		}
		if n := matched(args, resp); n > 0 {
			t.peers.note(string(id), contact{term: args.Term, matched: n})
		}
	})
	p.begin(id)
	return p, nil
}

func (t *transport) RequestVote(id raft.ServerID, target raft.ServerAddress, args *raft.RequestVoteRequest, resp *raft.RequestVoteResponse) error {
	err := t.NetworkTransport.RequestVote(id, meantFor(id, target), args, resp)
	return cmp.Or(err, t.terms.within(resp.Term))
}

func (t *transport) RequestPreVote(id raft.ServerID, target raft.ServerAddress, args *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse) error {
	err := t.NetworkTransport.RequestPreVote(id, meantFor(id, target), args, resp)
	return cmp.Or(err, t.terms.within(resp.Term))
}

func (t *transport) InstallSnapshot(id raft.ServerID, target raft.ServerAddress, args *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, data io.Reader) error {
	err := t.NetworkTransport.InstallSnapshot(id, meantFor(id, target), args, resp, data)
	return cmp.Or(err, t.terms.within(resp.Term), t.mayUnseat(string(id), args.Term, resp.Term))
}

func (t *transport) TimeoutNow(id raft.ServerID, target raft.ServerAddress, args *raft.TimeoutNowRequest, resp *raft.TimeoutNowResponse) error {
	return t.NetworkTransport.TimeoutNow(id, meantFor(id, target), args, resp)
}

// unseatEvery is how often a server without a vote may end a leader's term.
const unseatEvery = 10 * time.Minute

// mayUnseat judges an answer with a higher term, at which raft has a leader step down. A
// server without a vote has no part in elections, so it can hardly know of one that the
// voters do not: if it did so at each answer, nobody would lead for longer than a round
// trip. Now and then it may, since one that has come to such a term by an accident of
// its earlier life follows nobody until the others have passed it.
func (t *transport) mayUnseat(server string, asked, answered uint64) error {
	if answered <= asked || t.checkCandidate(server) == nil {
		return nil
	}
	t.unseated.mu.Lock()
	defer t.unseated.mu.Unlock()
	if last, known := t.unseated.at[server]; known && time.Since(last) < unseatEvery {
		return fmt.Errorf("%s has no vote and answers with term %d in term %d", server, answered, asked)
	}
	if t.unseated.at == nil {
		t.unseated.at = map[string]time.Time{}
	}
	t.unseated.at[server] = time.Now()
	return nil
}

// unseated is when servers without a vote have ended a term; only servers that we speak
// to are in it.
type unseated struct {
	mu sync.Mutex
	at map[string]time.Time
}
