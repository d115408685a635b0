package consensus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"
)

// change is one step from a configuration towards the wanted one.
type change struct {
	verb verb
	to   Server
}

type verb string

const (
	addNonvoter verb = "add without a vote"
	moveServer  verb = "move"
	promote     verb = "give a vote"
	demote      verb = "take the vote"
	remove      verb = "remove"
)

func (c change) String() string { return fmt.Sprintf("%s: %s at %s", c.verb, c.to.ID, c.to.Address) }

// Reconcile changes raft's configuration, one committed step at a time, until it
// equals want. Only the leader can do this, and one call works at a time.
//
// New servers first come without a vote, and get it when they have caught up;
// then votes and servers that are not wanted go, this server last. A step after
// which no majority of voters would be in touch is not taken. What cannot be done
// yet is named in the error, after everything else was done: call again later.
func (r *Replica) Reconcile(ctx context.Context, want []Server) error {
	if err := checkWanted(want); err != nil {
		return err
	}
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return fmt.Errorf("reconcile: %w", context.Cause(ctx))
	}
	for {
		term, err := r.reigning(ctx)
		if err != nil {
			return err
		}
		if err := r.cfg.held(); err != nil {
			return fmt.Errorf("reconcile: %w", err)
		}
		step, waiting := nextChange(r.Servers(), want, r.condition(term))
		if step == nil && len(waiting) > 0 {
			return fmt.Errorf("reconcile: not yet done: %s", strings.Join(waiting, "; "))
		}
		if step == nil {
			return nil
		}
		if err := r.change(ctx, *step); err != nil {
			return fmt.Errorf("reconcile: %s: %w", step, err)
		}
		if step.to.ID == r.cfg.ID && (step.verb == demote || step.verb == remove) {
			return nil // this server leads no more; it was the last step
		}
		r.spread(ctx, term)
	}
}

func checkWanted(want []Server) error {
	ids, addresses, voters := map[string]bool{}, map[string]bool{}, 0
	for _, s := range want {
		switch {
		case s.ID == "" || s.Address == "":
			return errors.New("reconcile: a server lacks its id or its address; give both")
		case ids[s.ID]:
			return fmt.Errorf("reconcile: server %s is there twice; name it once", s.ID)
		case addresses[s.Address]:
			return fmt.Errorf("reconcile: address %s is there twice; give each server its own", s.Address)
		}
		ids[s.ID], addresses[s.Address] = true, true
		if s.Voter {
			voters++
		}
	}
	if voters == 0 {
		return errors.New("reconcile: no server has a vote; give at least one a vote")
	}
	return nil
}

// change asks raft for one step and waits until it is committed and applied.
func (r *Replica) change(ctx context.Context, c change) error {
	return r.quietly(ctx, func() error {
		if r.cfg.Permit != nil {
			if err := r.cfg.Permit(r.Servers(), c.of(r.Servers()), nil); err != nil {
				return err
			}
		}
		return r.ask(ctx, c)
	})
}

// of is the configuration that a step makes of another.
func (c change) of(before []Server) []Server {
	after := slices.DeleteFunc(slices.Clone(before), func(s Server) bool { return s.ID == c.to.ID })
	to := c.to
	switch c.verb {
	case remove:
		return after
	case demote:
		to.Voter = false
	}
	return append(after, to)
}

func (r *Replica) ask(ctx context.Context, c change) error {
	id, address := raft.ServerID(c.to.ID), raft.ServerAddress(c.to.Address)
	patience := r.cfg.Election
	return proposalError(r.await(ctx, func() error {
		switch {
		case c.verb == demote:
			return r.raft.DemoteVoter(id, 0, patience).Error()
		case c.verb == remove:
			return r.raft.RemoveServer(id, 0, patience).Error()
		case c.to.Voter:
			return r.raft.AddVoter(id, address, 0, patience).Error()
		}
		return r.raft.AddNonvoter(id, address, 0, patience).Error()
	}))
}

// spread waits a moment until all voters in touch have the change in their log. A
// majority has it; but raft refuses its vote to a server that it does not know as
// a voter, so if the leader fell silent now, the rest could not elect a successor.
func (r *Replica) spread(ctx context.Context, term uint64) {
	index := r.raft.LastIndex()
	patience := time.NewTimer(r.cfg.Heartbeat)
	defer patience.Stop()
	for {
		changed := r.peers.watch()
		inTouch, lacking := r.condition(term).inTouch, 0
		for _, id := range r.otherVoters() {
			if seen, _ := r.peers.lastSeen(id, term); inTouch(id) && seen.last < index {
				lacking++
			}
		}
		if lacking == 0 {
			return
		}
		select {
		case <-changed:
		case <-patience.C:
			return
		case <-ctx.Done():
			return
		case <-r.stopping:
			return
		}
	}
}

// condition is what the leader knows about the servers' health.
type condition struct {
	self     string
	inTouch  func(id string) bool // answered of late
	caughtUp func(id string) bool // has nearly all of the log
}

func (r *Replica) condition(term uint64) condition {
	now, committed := time.Now(), r.raft.CommitIndex()
	inTouch := func(id string) bool {
		seen, ok := r.peers.lastSeen(id, term)
		return ok && now.Sub(seen.asked) <= 2*r.cfg.Heartbeat
	}
	return condition{
		self:    r.cfg.ID,
		inTouch: func(id string) bool { return id == r.cfg.ID || inTouch(id) },
		caughtUp: func(id string) bool {
			seen, _ := r.peers.lastSeen(id, term)
			return inTouch(id) && seen.last+maxInFlight >= committed && seen.last > 0
		},
	}
}

// nextChange decides the next step, or none, and says what has to wait.
func nextChange(have, want []Server, c condition) (*change, []string) {
	plan := &planner{have: have, want: want, condition: c}
	for _, decide := range []func() *change{plan.move, plan.add, plan.raise, plan.lower, plan.drop} {
		if step := decide(); step != nil {
			return step, nil
		}
	}
	return nil, plan.waiting
}

type planner struct {
	have, want []Server
	condition
	waiting []string
}

func find(list []Server, id string) (Server, bool) {
	for _, s := range list {
		if s.ID == id {
			return s, true
		}
	}
	return Server{}, false
}

// move gives a server its new address.
func (p *planner) move() *change {
	for _, w := range p.want {
		h, ok := find(p.have, w.ID)
		if !ok || h.Address == w.Address {
			continue
		}
		to := Server{ID: h.ID, Address: w.Address, Voter: h.Voter}
		if step, free := p.vacate(to); !free {
			if step != nil {
				return step
			}
			continue
		}
		return &change{moveServer, to}
	}
	return nil
}

// add brings a new server in, without a vote.
func (p *planner) add() *change {
	for _, w := range p.want {
		if _, ok := find(p.have, w.ID); ok {
			continue
		}
		to := Server{ID: w.ID, Address: w.Address}
		if step, free := p.vacate(to); !free {
			if step != nil {
				return step
			}
			continue
		}
		return &change{addNonvoter, to}
	}
	return nil
}

// vacate frees an address that another server holds: one that is not wanted is
// removed first, as when a wiped server comes back under a new id.
func (p *planner) vacate(to Server) (*change, bool) {
	for _, h := range p.have {
		if h.Address != to.Address || h.ID == to.ID {
			continue
		}
		if _, wanted := find(p.want, h.ID); !wanted {
			return p.safely(change{remove, h}), false
		}
		p.wait(fmt.Sprintf("%s needs the address %s, which %s still has", to.ID, to.Address, h.ID))
		return nil, false
	}
	return nil, true
}

// raise gives a vote to a server that has caught up.
func (p *planner) raise() *change {
	for _, w := range p.want {
		h, ok := find(p.have, w.ID)
		if !ok || h.Voter || !w.Voter {
			continue
		}
		if !p.caughtUp(h.ID) {
			p.wait(fmt.Sprintf("%s has not caught up and has no vote yet", h.ID))
			continue
		}
		if step := p.safely(change{promote, Server{ID: h.ID, Address: h.Address, Voter: true}}); step != nil {
			return step
		}
	}
	return nil
}

// lower takes votes away, this server's own after all the rest.
func (p *planner) lower() *change {
	for _, h := range p.have {
		w, ok := find(p.want, h.ID)
		if !ok || w.Voter || !h.Voter || h.ID == p.self {
			continue
		}
		if step := p.safely(change{demote, h}); step != nil {
			return step
		}
	}
	return nil
}

// drop removes what is not wanted. If this server has to go, it is alone in that.
func (p *planner) drop() *change {
	for _, h := range p.have {
		if _, ok := find(p.want, h.ID); ok || h.ID == p.self {
			continue
		}
		if step := p.safely(change{remove, h}); step != nil {
			return step
		}
	}
	own, _ := find(p.have, p.self)
	w, wanted := find(p.want, p.self)
	switch {
	case !own.Voter || (wanted && w.Voter):
		return nil
	case len(p.waiting) > 0:
		p.wait(p.self + " leads and goes last")
		return nil
	case wanted:
		return p.safely(change{demote, own})
	}
	return p.safely(change{remove, own})
}

func (p *planner) wait(reason string) { p.waiting = append(p.waiting, reason) }

// safely refuses a step after which no majority of the voters is in touch: it
// could not be committed, and could not be taken back.
func (p *planner) safely(c change) *change {
	voters, reached := 0, 0
	count := func(id string) {
		voters++
		if p.inTouch(id) {
			reached++
		}
	}
	for _, h := range p.have {
		if h.Voter && h.ID != c.to.ID {
			count(h.ID)
		}
	}
	if c.verb == promote {
		count(c.to.ID)
	}
	if voters == 0 || reached <= voters/2 {
		p.wait(fmt.Sprintf("%s: only %d of the remaining %d voters answer", c, reached, voters))
		return nil
	}
	return &c
}
