package consensus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"
)

// handOverEvery is how often a leader that should not lead looks for another.
const handOverEvery = time.Second

var errSlowDisk = errors.New("the disk is slow")

// held is why this server takes nothing new.
func (c *Config) held() error {
	if c.Hold == nil {
		return nil
	}
	if err := c.Hold(); err != nil {
		return fmt.Errorf("%w: %w", ErrHeld, err)
	}
	return nil
}

// yield lets a leader that is held, or whose disk is slow, hand over. It asks one
// voter at a time, since the best may be held as well.
func (r *Replica) yield() {
	every := time.NewTicker(handOverEvery)
	defer every.Stop()
	for turn := 0; ; turn++ {
		reason := error(nil)
		select {
		case <-every.C:
			if r.unwelcome() {
				r.standAside()
			}
			reason = r.cfg.held()
		case <-r.disk.slow:
			reason = errSlowDisk
		case <-r.quit:
			return
		}
		if reason == nil || r.raft.State() != raft.Leader {
			turn = -1
			continue
		}
		if turn == 0 || reason == errSlowDisk {
			r.cfg.Logger.Warn("this server should not lead and hands over", "reason", reason)
		}
		if err := r.handOver(turn); err != nil {
			r.cfg.Logger.Debug("leadership was not handed over", "error", err)
		}
	}
}

// unwelcome reports whether so many voters refuse this leader's entries that none
// of them can be committed, such as after its clock was ahead for a moment. They
// still confirm its heartbeats, so nobody else would ever lead.
func (r *Replica) unwelcome() bool {
	if r.raft.State() != raft.Leader {
		return false
	}
	voters, others := 0, []string(nil)
	for _, s := range r.Servers() {
		if !s.Voter {
			continue
		}
		voters++
		if s.ID != r.cfg.ID {
			others = append(others, s.ID)
		}
	}
	return voters-r.peers.refusing(others, refusalsCount) < voters/2+1
}

// refusalsCount is how long a refusal counts. Raft asks again several times a
// second, and at last every few seconds.
const refusalsCount = 5 * time.Second

// standAside cuts this server off for as long as those who refuse its entries need
// to elect one of themselves. Leadership cannot be handed to them, since they do
// not have its last entry; with another leader that entry goes.
func (r *Replica) standAside() {
	r.cfg.Logger.Warn("the others refuse this server's entries: it stands aside so that one of them leads")
	r.trans.aside.Cut()
	defer r.trans.aside.Heal()
	select {
	case <-time.After(6 * r.cfg.Election):
	case <-r.quit:
	}
}

func (r *Replica) handOver(turn int) error {
	heirs := r.heirs()
	if len(heirs) == 0 {
		return errors.New("no other voter answers")
	}
	to := heirs[turn%len(heirs)]
	ctx, cancel := context.WithTimeout(context.Background(), 2*r.cfg.Election)
	defer cancel()
	return r.await(ctx, func() error {
		return r.raft.LeadershipTransferToServer(raft.ServerID(to.ID), raft.ServerAddress(to.Address)).Error()
	})
}

// heirs are the other voters that answer, the most advanced first.
func (r *Replica) heirs() []Server {
	term := r.raft.CurrentTerm()
	inTouch := r.condition(term).inTouch
	heirs := slices.DeleteFunc(r.Servers(), func(s Server) bool {
		return !s.Voter || s.ID == r.cfg.ID || !inTouch(s.ID)
	})
	slices.SortStableFunc(heirs, func(a, b Server) int {
		seenA, _ := r.peers.lastSeen(a.ID, term)
		seenB, _ := r.peers.lastSeen(b.ID, term)
		return cmp.Compare(seenB.last, seenA.last)
	})
	return heirs
}
