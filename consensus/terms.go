package consensus

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"
)

// The names under which raft keeps its term and its vote.
const (
	keyTerm          = "CurrentTerm"
	keyVoteTerm      = "LastVoteTerm"
	keyVoteCandidate = "LastVoteCand"
)

// storedTerm is zero if there is none. The stores of raft's tests have their own
// way to say so.
func storedTerm(s raft.StableStore) (uint64, error) {
	term, err := s.GetUint64([]byte(keyTerm))
	if err != nil && err.Error() == "not found" {
		return 0, nil
	}
	return term, err
}

// terms is raft's stable store, which tells of a term before it stores it.
type terms struct {
	raft.StableStore
	onTerm func(uint64) error
	fail   func(error) error
	begun  atomic.Bool   // raft has stored its term once, at its start
	known  atomic.Uint64 // the term as it is stored

	mu   sync.Mutex
	told uint64 // the highest term told, or known when we started
}

func (t *terms) SetUint64(key []byte, value uint64) error {
	first := string(key) == keyTerm && !t.begun.Swap(true) // on the goroutine of Start
	err := t.set(key, value)
	if string(key) != keyTerm {
		return err
	}
	if err == nil {
		t.known.Store(value)
		return nil
	}
	t.fail(fmt.Errorf("store term %d: %w", value, err))
	if !first {
		// Raft panics when its term cannot be stored. Its goroutine ends here just as
		// surely, and the process can still stop in order.
		runtime.Goexit()
	}
	return err
}

func (t *terms) set(key []byte, value uint64) error {
	if name := string(key); name == keyTerm || name == keyVoteTerm {
		if err := t.tell(value); err != nil {
			return err
		}
	}
	return t.StableStore.SetUint64(key, value)
}

// maxTermsAhead is how far another server's term may be ahead of ours: twelve days of
// nothing but an election each second. Raft takes every higher term, and one near
// the end of its numbers would be the last.
const maxTermsAhead = 1 << 20

// maxTerm is the limit for a server that is new, and knows no term yet.
const maxTerm = 1 << 62

// within refuses a term that no network has come to.
func (t *terms) within(term uint64) error {
	known := t.known.Load()
	if term <= known+maxTermsAhead || known == 0 && term <= maxTerm {
		return nil
	}
	return fmt.Errorf("term %d is too far ahead of this server's, %d", term, known)
}

func (t *terms) tell(term uint64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if term <= t.told || t.onTerm == nil {
		return nil
	}
	if err := t.onTerm(term); err != nil {
		return fmt.Errorf("term %d is not anchored: %w", term, err)
	}
	t.told = term
	return nil
}
