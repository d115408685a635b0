package consensus

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hashicorp/raft"
)

// A forged configuration would take the network away from its servers for good. So a
// server takes one only if it is a step from the one before: by one server, without
// a vote at first. What a step may do beyond that Config.Permit says, from the
// machine's state just before it, which is the same on every server.

// checkStep refuses what is more than one step.
func checkStep(before, after []Server) error {
	if len(before) == 0 {
		if len(after) != 1 || !after[0].Voter {
			return fmt.Errorf("configuration: a network begins with one voter, not with %d servers", len(after))
		}
		return nil
	}
	ids, addresses, changed, voters := map[string]bool{}, map[string]bool{}, 0, 0
	for _, s := range after {
		if ids[s.ID] || addresses[s.Address] {
			return fmt.Errorf("configuration: server %s or its address %s is there twice", s.ID, s.Address)
		}
		ids[s.ID], addresses[s.Address] = true, true
		if s.Voter {
			voters++
		}
		was, known := find(before, s.ID)
		switch {
		case !known && s.Voter:
			return fmt.Errorf("configuration: server %s is new and has a vote", s.ID)
		case was.Voter != s.Voter && was.Address != s.Address && known:
			return fmt.Errorf("configuration: server %s moves, and its vote changes", s.ID)
		case s != was:
			changed++
		}
	}
	for _, s := range before {
		if !ids[s.ID] {
			changed++
		}
	}
	if changed > 1 || voters == 0 {
		return fmt.Errorf("configuration: %d servers change at a time, and %d voters are left", changed, voters)
	}
	return nil
}

// checkSteps judges each configuration in a leader's message. Gap means that the
// message does not continue this server's log, so that raft would not take it.
func (r *Replica) checkSteps(c *raft.AppendEntriesRequest) (gap bool, err error) {
	if gap, err = r.isGap(c); gap || err != nil {
		return gap, err
	}
	for i, entry := range c.Entries {
		if entry.Type != raft.LogConfiguration {
			continue
		}
		if err := r.checkOneStep(c, i); err != nil {
			return false, err
		}
	}
	return false, nil
}

// isGap: where the entry before agrees in index and term, all that is before agrees.
func (r *Replica) isGap(c *raft.AppendEntriesRequest) (bool, error) {
	if c.PrevLogEntry <= r.delivery.machine.Position().Index {
		return false, nil
	}
	last, err := r.disk.LastIndex()
	if err != nil || c.PrevLogEntry > last {
		return true, err
	}
	var entry raft.Log
	err = r.disk.GetLog(c.PrevLogEntry, &entry)
	return entry.Term != c.PrevLogTerm, err
}

func (r *Replica) checkOneStep(c *raft.AppendEntriesRequest, i int) error {
	at, entry := r.delivery.machine.Position(), c.Entries[i]
	if at.Index >= entry.Index {
		return nil // it is applied here, and the log refuses what differs
	}
	before, pending, err := r.leadingTo(at, c, i)
	if err != nil {
		return err
	}
	conf, err := decodeConfiguration(entry.Data)
	if err != nil {
		return err
	}
	after := servers(conf)
	if err = checkStep(before, after); err == nil && r.cfg.Permit != nil {
		err = r.cfg.Permit(before, after, pending)
	}
	if err != nil {
		return fmt.Errorf("%s: entry %d: %w", notAdmitted, entry.Index, err)
	}
	return nil
}

// leadingTo gives the configuration before the i-th entry of a message, and the
// entries between a position and it: first those of our log, then the message's.
func (r *Replica) leadingTo(at Position, c *raft.AppendEntriesRequest, i int) (before []Server, pending []Entry, err error) {
	if before, err = at.Servers(); err != nil {
		return nil, nil, err
	}
	index := c.Entries[i].Index
	for n := at.Index + 1; n < index; n++ {
		entry := new(raft.Log)
		if n > c.PrevLogEntry {
			entry = c.Entries[n-c.PrevLogEntry-1]
		} else if err := r.disk.GetLog(n, entry); err != nil {
			return nil, nil, fmt.Errorf("entry %d: %w", n, err)
		}
		switch entry.Type {
		case raft.LogConfiguration:
			if before, err = (Position{Configuration: entry.Data}).Servers(); err != nil {
				return nil, nil, err
			}
			pending = append(pending, entryOf(entry))
		case raft.LogCommand:
			pending = append(pending, entryOf(entry))
		}
	}
	return before, pending, nil
}

// takeSteps hands raft a message with configurations in it, and nothing behind it
// until raft has answered: the next step is judged by this one.
func (t *transport) takeSteps(rpc raft.RPC, c *raft.AppendEntriesRequest) bool {
	r := t.replica.Load()
	if r == nil {
		rpc.Respond(nil, errors.New("this server is only just starting"))
		return true
	}
	gap, err := r.checkSteps(c)
	switch {
	case err != nil:
		t.log.Warn("a configuration is refused", "from", string(c.ID), "error", err)
		rpc.Respond(nil, err)
		return true
	case gap: // as raft says it
		rpc.Respond(&raft.AppendEntriesResponse{Term: r.raft.CurrentTerm(), LastLog: r.raft.LastIndex(), NoRetryBackoff: true}, nil)
		return true
	}
	answer := make(chan raft.RPCResponse, 1)
	if !t.hand(raft.RPC{Command: c, RespChan: answer}) {
		rpc.Respond(nil, raft.ErrTransportShutdown)
		return false
	}
	select {
	case said := <-answer:
		rpc.Respond(said.Response, said.Error)
		return true
	case <-t.done:
		return false
	}
}

func hasStep(c *raft.AppendEntriesRequest) bool {
	return slices.ContainsFunc(c.Entries, func(e *raft.Log) bool { return e.Type == raft.LogConfiguration })
}

// quietly runs a step of the leader's configuration when all that was proposed is
// applied, and lets nothing be proposed meanwhile: who gets the step judges it by the
// state just before it.
func (r *Replica) quietly(ctx context.Context, step func() error) error {
	taken := 0
	defer func() {
		for range taken {
			<-r.slots
		}
	}()
	for ; taken < maxInFlight; taken++ {
		select {
		case r.slots <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-r.stopping:
			return ErrStopped
		}
	}
	if err := r.await(ctx, func() error { return r.raft.Barrier(0).Error() }); err != nil {
		return err
	}
	return step()
}
