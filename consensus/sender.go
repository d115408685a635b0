package consensus

import (
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
)

// checkSender holds who sends to who it says it is, and to what it may send.
func (t *transport) checkSender(peer Peer, command any) error {
	from, ok := headerOf(command)
	if !ok {
		return fmt.Errorf("a message of type %T is unknown", command)
	}
	server := string(from.ID)
	if server == "" || server == t.id {
		return errors.New("the message does not say whose it is")
	}
	if err := peer.SpeaksFor(server); err != nil {
		return err
	}
	switch command.(type) {
	case *raft.AppendEntriesRequest, *raft.InstallSnapshotRequest:
		return t.checkLeader(server, termOf(command))
	case *raft.RequestVoteRequest, *raft.RequestPreVoteRequest:
		return t.checkCandidate(server)
	case *raft.TimeoutNowRequest:
		return t.checkHandOver(server)
	}
	return nil
}

// checkCandidate: raft gives no vote to a server without one, but takes over its term,
// and the leader falls. A server that knows no network may be asked by everybody.
func (t *transport) checkCandidate(server string) error {
	servers := t.known()
	if len(servers) == 0 {
		return nil
	}
	for _, s := range servers {
		if s.ID == server && s.Voter {
			return nil
		}
	}
	return fmt.Errorf("%s has no vote, so it cannot ask for one", server)
}

// known is the newest configuration that this server knows.
func (t *transport) known() []Server {
	if servers := t.servers.Load(); servers != nil {
		return (*servers)()
	}
	return nil
}

// checkLeader: a server that knows no network believes whoever reaches it, for it has
// nobody to ask and nothing to lose; what it gets is verified by its caller.
func (t *transport) checkLeader(server string, term uint64) error {
	if len(t.known()) == 0 {
		t.claims.found(server, term)
		return nil
	}
	return t.claims.lead(server, term)
}

// checkHandOver: leadership is handed over by who has it.
func (t *transport) checkHandOver(server string) error {
	if t.claims.vouch == nil {
		return nil
	}
	t.claims.mu.Lock()
	defer t.claims.mu.Unlock()
	if t.claims.leader != server {
		return fmt.Errorf("%s does not lead, so it has nothing to hand over", server)
	}
	return nil
}

func headerOf(command any) (raft.RPCHeader, bool) {
	switch c := command.(type) {
	case *raft.AppendEntriesRequest:
		return c.RPCHeader, true
	case *raft.RequestVoteRequest:
		return c.RPCHeader, true
	case *raft.RequestPreVoteRequest:
		return c.RPCHeader, true
	case *raft.TimeoutNowRequest:
		return c.RPCHeader, true
	case *raft.InstallSnapshotRequest:
		return c.RPCHeader, true
	}
	return raft.RPCHeader{}, false
}

func termOf(command any) uint64 {
	switch c := command.(type) {
	case *raft.AppendEntriesRequest:
		return c.Term
	case *raft.RequestVoteRequest:
		return c.Term
	case *raft.RequestPreVoteRequest:
		return c.Term
	case *raft.InstallSnapshotRequest:
		return c.Term
	}
	return 0
}
