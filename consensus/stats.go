package consensus

import (
	"strings"

	"github.com/hashicorp/raft"
)

// Server is one server of the network.
type Server struct {
	ID      string
	Address string // host:port
	Voter   bool
}

// Stats is a look at a replica. Its numbers are read one after the other and may
// differ by what happened in between.
type Stats struct {
	ID       string
	Role     string // leader, follower, candidate or shutdown
	Ready    bool   // leads, and holds all of earlier terms
	Term     uint64
	LeaderID string // empty if unknown

	First     uint64 // first entry that the log still has
	Last      uint64 // last entry of the log
	Committed uint64
	Applied   uint64

	InFlight int // proposals that wait for raft
	Servers  []Server

	ImagesSent     uint64 // whole
	ImagesReceived uint64 // and installed
	ImagesRefused  uint64 // received whole, and not installed
	PrefaceRefused uint64 // connections that were meant for another server
	Stalls         uint64 // writes to the log that took longer than StallAfter
	Stalled        bool   // one does now: this server is cut off
	Held           bool   // Config.Hold says so
}

// Stats looks.
func (r *Replica) Stats() Stats {
	leader, _ := r.Leader()
	first, _ := r.disk.FirstIndex() // zero after Stop
	stalled, stalls := r.disk.stalled()
	images := &r.delivery.counts
	return Stats{
		ID:        r.cfg.ID,
		Role:      strings.ToLower(r.raft.State().String()),
		Ready:     r.Ready(),
		Term:      r.raft.CurrentTerm(),
		LeaderID:  leader,
		First:     first,
		Last:      r.raft.LastIndex(),
		Committed: r.raft.CommitIndex(),
		Applied:   r.Applied(),
		InFlight:  len(r.slots),
		Servers:   r.Servers(),

		ImagesSent:     images.sent.Load(),
		ImagesReceived: images.installed.Load(),
		ImagesRefused:  images.refused.Load(),
		PrefaceRefused: r.trans.refused.Load(),
		Stalls:         stalls,
		Stalled:        stalled,
		Held:           r.cfg.held() != nil,
	}
}

// Servers is the newest configuration that this server knows, committed or not.
func (r *Replica) Servers() []Server {
	return servers(r.raft.GetConfiguration().Configuration())
}

func servers(conf raft.Configuration) []Server {
	out := make([]Server, len(conf.Servers))
	for i, s := range conf.Servers {
		out[i] = Server{ID: string(s.ID), Address: string(s.Address), Voter: s.Suffrage == raft.Voter}
	}
	return out
}
