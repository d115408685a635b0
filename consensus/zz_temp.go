package consensus

import (
	"errors"
	"log/slog"
	"os"

	wal "github.com/hashicorp/raft-wal"
)

var (
	ErrHeld    = errors.New("held")
	ErrDamaged = errors.New("log damaged")
	ErrRestart = errors.New("restart")
)

type Held struct{ First, Last, LastTerm, Term uint64 }

func Inspect(dir string) (Held, error) {
	if _, err := os.Stat(dir); err != nil {
		return Held{}, nil
	}
	log, err := wal.Open(dir)
	if err != nil {
		return Held{}, err
	}
	defer log.Close()
	h := Held{}
	h.First, _ = log.FirstIndex()
	h.Last, _ = log.LastIndex()
	h.Term, _ = log.GetUint64([]byte("CurrentTerm"))
	return h, nil
}

type Seen struct{ Term, Last uint64 }

func (r *Replica) LastSeen(server string) (Seen, bool) {
	r.peers.mu.Lock()
	defer r.peers.mu.Unlock()
	c, ok := r.peers.seen[server]
	return Seen{c.term, c.last}, ok && c.agreed
}

type RecoverConfig struct {
	Dir    string
	Server Server
	Logger *slog.Logger
}

func Recover(cfg RecoverConfig, m Machine) error { return errors.New("not yet") }
