package consensus

import (
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
)

// verifyLog reads every entry once.
func verifyLog(log raft.LogStore) error { return verifyBehind(0)(log) }

// verifyBehind reads every entry behind an index.
//
// A start reads in this way what is not in the state yet, before raft does, and the
// last entry that is: the two are compared by it. What lies before it is in the state,
// and nothing that this server has acknowledged is lost if it rots: it stays for servers
// that are late, and may be half a gigabyte behind an import. That is read while raft
// runs; see verifyOld.
func verifyBehind(index uint64) func(log raft.LogStore) error {
	return func(log raft.LogStore) error {
		first, last, err := bounds(log)
		if err != nil || last == 0 {
			return err
		}
		term := uint64(0)
		for i := max(first, index+1); i <= last; i++ {
			if term, err = verifyEntry(log, i, term); err != nil {
				return err
			}
		}
		return nil
	}
}

// verifyEntry reads an entry, which is of no earlier term than the one before it.
func verifyEntry(log raft.LogStore, index, before uint64) (term uint64, err error) {
	var entry raft.Log
	if err := log.GetLog(index, &entry); err != nil {
		return 0, fmt.Errorf("entry %d: %w", index, asDamage(err))
	}
	if entry.Index != index || entry.Term < before {
		return 0, fmt.Errorf("%w: in place of entry %d there is entry %d of term %d", ErrDamaged, index, entry.Index, entry.Term)
	}
	return entry.Term, nil
}

// verifyOld reads what a start did not: the entries up to an index, which the state
// has. Damage ends the server's work as if the start had found it.
func (r *Replica) verifyOld(upTo uint64) {
	term := uint64(0)
	for index := uint64(1); index <= upTo; index++ {
		first, last, err := bounds(r.disk)
		if index = max(index, first); err != nil || index > min(upTo, last) {
			return
		}
		term, err = verifyEntry(r.disk.logStore, index, term)
		select {
		case <-r.quit:
			return
		case <-r.stopping:
			return
		default:
		}
		if err == nil || r.cutMeanwhile(index, err) {
			continue
		}
		cure := cureDamage
		if !errors.Is(err, ErrDamaged) { // the disk cannot give it, and it may be whole
			cure = "see to the disk, then start again"
		}
		r.disk.log.Error("the log cannot be read: this server applies nothing more", "error", err)
		_ = r.delivery.fail(fmt.Errorf("read the log: %w; %s", err, cure))
		return
	}
}

// cutMeanwhile reports whether an entry could not be read because it is not in the
// log any more.
func (r *Replica) cutMeanwhile(index uint64, err error) bool {
	first, last, failed := bounds(r.disk)
	return errors.Is(err, wal.ErrClosed) || failed == nil && (index < first || index > last)
}
