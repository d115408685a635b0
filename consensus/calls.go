package consensus

import (
	"io"
	"strings"
	"time"

	"github.com/hashicorp/raft"
)

// What raft says to another server goes to that server alone, not to whoever
// answers at its address.

// AppendEntries also notes who answered. Heartbeats come this way.
func (t *transport) AppendEntries(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	asked := contact{asked: time.Now(), number: t.peers.next(), term: args.Term}
	*resp = raft.AppendEntriesResponse{} // raft reuses it; an answer must not survive its question
	err := t.NetworkTransport.AppendEntries(id, meantFor(id, target), args, resp)
	if err == nil && resp.Term == args.Term {
		asked.last, asked.agreed = resp.LastLog, resp.Success
		asked.matched = matched(args, resp)
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
	return newPipeline(inner, func(answer raft.AppendFuture) {
		args, resp := answer.Request(), answer.Response()
		if n := matched(args, resp); n > 0 {
			t.peers.note(string(id), contact{term: args.Term, matched: n})
		}
	}), nil
}

func (t *transport) RequestVote(id raft.ServerID, target raft.ServerAddress, args *raft.RequestVoteRequest, resp *raft.RequestVoteResponse) error {
	return t.NetworkTransport.RequestVote(id, meantFor(id, target), args, resp)
}

func (t *transport) RequestPreVote(id raft.ServerID, target raft.ServerAddress, args *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse) error {
	return t.NetworkTransport.RequestPreVote(id, meantFor(id, target), args, resp)
}

func (t *transport) InstallSnapshot(id raft.ServerID, target raft.ServerAddress, args *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, data io.Reader) error {
	return t.NetworkTransport.InstallSnapshot(id, meantFor(id, target), args, resp, data)
}

func (t *transport) TimeoutNow(id raft.ServerID, target raft.ServerAddress, args *raft.TimeoutNowRequest, resp *raft.TimeoutNowResponse) error {
	return t.NetworkTransport.TimeoutNow(id, meantFor(id, target), args, resp)
}
