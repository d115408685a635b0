package consensus

import (
	"io"
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
		t.peers.note(string(id), asked)
	}
	return err
}

func (t *transport) AppendEntriesPipeline(id raft.ServerID, target raft.ServerAddress) (raft.AppendPipeline, error) {
	inner, err := t.NetworkTransport.AppendEntriesPipeline(id, meantFor(id, target))
	if err != nil {
		return nil, err
	}
	return newPipeline(inner), nil
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
