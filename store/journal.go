package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"
)

// Journal keeps what one node was asked, and what it has told its institution since.
// It is this node's alone: it is no part of the replicated state, of an image or of a
// backup. It lies in a badger of its own:
//
//	n | u64 note              -> the note
//	t | kind | token 16 | u64 note -> nothing: the note asked for this token
//	a | u64 alert             -> the alert
//	z                         -> what has been counted, and the cursor
//
// Nothing is synced one by one. If the machine stops, the notes of the last moments are
// lost; if the process alone does, those that were not written yet. Alerts are synced
// before anybody sees them, for a number must never be given twice.
type Journal struct {
	gen  *generation
	opts JournalOptions

	mu      sync.Mutex // of who writes
	counts  atomic.Pointer[journalCounts]
	version atomic.Uint64
	shown   atomic.Uint64 // alerts below this one are on disk
	oldest  int64         // when the oldest note was made; 0 for not known

	waiting sync.Mutex
	changed chan struct{} // closed when there are more alerts
}

// JournalOptions bound a journal.
type JournalOptions struct {
	Logger *slog.Logger
	Keep   int64 // milliseconds for which notes and alerts are kept
	Bytes  int64 // of notes, as they are counted; about what they take on disk
	Alerts int   // how many are kept for those who have not read them
	// First is the number of the first alert of a journal that begins. It must be above
	// those of one that was lost, for none is given twice.
	First uint64
}

// journalCounts stand in the record that each transaction writes.
type journalCounts struct {
	FirstNote, NextNote   uint64 // [first, next) are kept
	FirstAlert, NextAlert uint64
	Begin                 uint64 // the first alert that ever was
	Bytes                 int64
	Cursor                uint64 // size of the ledger up to which all changes were searched for
}

const (
	prefixNote  = 'n'
	prefixToken = 't'
	prefixAlert = 'a'
)

// OpenJournal opens the journal in a directory, or begins an empty one. One that is
// damaged is removed, with a word in the log: it holds nothing that the network needs.
func OpenJournal(dir string, o JournalOptions) (*Journal, error) {
	j, err := openJournal(dir, o)
	if errors.Is(err, ErrDamaged) {
		o.Logger.Error("alarm", "error", fmt.Errorf("the journal begins anew, what it held is lost: %w", err))
		if err := os.RemoveAll(dir); err != nil {
			return nil, err
		}
		j, err = openJournal(dir, o)
	}
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return j, nil
}

func openJournal(dir string, o JournalOptions) (j *Journal, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	gen, err := openGeneration(dir, Options{Logger: o.Logger, MemTableBytes: MinMemTableBytes})
	if err != nil {
		return nil, err
	}
	j = &Journal{gen: gen, opts: o, changed: make(chan struct{})}
	if err = gen.sound(context.Background()); err == nil || errors.Is(err, errMerged) {
		err = j.load() // what a merge may have lost are alerts, and they are counted as lost
	}
	if err == nil {
		gen.allRead()
	}
	if err != nil {
		return nil, errors.Join(err, gen.close())
	}
	return j, nil
}

func (j *Journal) load() (err error) {
	defer j.gen.caught(&err)
	j.version.Store(j.gen.db.MaxVersion())
	first := max(1, j.opts.First)
	counts := &journalCounts{FirstAlert: first, NextAlert: first, Begin: first}
	txn := j.gen.db.NewTransactionAt(j.version.Load(), false)
	defer txn.Discard()
	raw, err := get(txn, []byte(keyMeta))
	if err != nil {
		return err
	}
	if raw != nil {
		if err := json.Unmarshal(raw, counts); err != nil {
			return fmt.Errorf("%w: what the journal counts: %w", ErrDamaged, err)
		}
	}
	j.counts.Store(counts)
	if err := j.sync(); err != nil {
		return err
	}
	j.shown.Store(counts.NextAlert)
	return nil
}

// Close closes the journal; nothing may be asked of it after.
func (j *Journal) Close() error { return j.gen.close() }

func (j *Journal) sync() error { return errors.Join(syncTables(j.gen.dir), j.gen.db.Sync()) }

// JournalStats say what a journal holds.
type JournalStats struct {
	Notes, Alerts uint64
	Bytes         int64
	Oldest        int64 // when the oldest note was made, milliseconds since 1970; 0 for none
	Cursor        uint64
}

// Stats may be called at any time.
func (j *Journal) Stats() JournalStats {
	c := j.counts.Load()
	j.mu.Lock()
	defer j.mu.Unlock()
	return JournalStats{Notes: c.NextNote - c.FirstNote, Alerts: c.NextAlert - c.FirstAlert, Bytes: c.Bytes,
		Oldest: j.oldest, Cursor: c.Cursor}
}

// Cursor is the size of the ledger up to which every change was searched for.
func (j *Journal) Cursor() uint64 { return j.counts.Load().Cursor }

// SetCursor says that all changes of the ledger up to a size were searched for.
func (j *Journal) SetCursor(size uint64) error {
	if j.Cursor() == size {
		return nil
	}
	return j.update(func(t *journalTxn) error {
		t.counts.Cursor = size
		return nil
	})
}

// Write adds notes, each of which gets its id, and removes what is too old or too much.
// The cursor falls to the oldest state that one of them was answered from: what has
// changed since then was searched for without them.
func (j *Journal) Write(notes []*Note, now int64) error {
	for again := true; again; again = len(notes) > 0 {
		if len(notes) == 0 && !j.due(now) {
			return nil
		}
		err := j.update(func(t *journalTxn) error {
			for len(notes) > 0 && t.writes < maxWrites {
				if err := t.put(notes[0]); err != nil {
					return err
				}
				notes = notes[1:]
			}
			return t.expire(now)
		})
		if err != nil {
			return fmt.Errorf("write the journal: %w", err)
		}
	}
	return nil
}

// due reports whether something is to be removed.
func (j *Journal) due(now int64) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	c := j.counts.Load()
	return c.Bytes > j.opts.Bytes || c.FirstNote < c.NextNote && j.oldest < now-j.opts.Keep
}

// maxWrites is how many records a transaction adds before the next begins; it may
// remove as many. Both together stay under what badger takes at once.
const maxWrites = 2048

// journalTxn is one transaction that writes.
type journalTxn struct {
	journal *Journal
	txn     *badger.Txn
	counts  journalCounts
	writes  int
	removed int
	oldest  int64
}

// update runs a change as one transaction.
func (j *Journal) update(change func(*journalTxn) error) (err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	defer j.gen.caught(&err)
	version := j.version.Load()
	t := &journalTxn{journal: j, txn: j.gen.db.NewTransactionAt(version, true), counts: *j.counts.Load(), oldest: j.oldest}
	defer t.txn.Discard()
	if err := change(t); err != nil {
		return err
	}
	encoded, err := json.Marshal(t.counts)
	if err != nil {
		return err
	}
	if err := t.txn.Set([]byte(keyMeta), encoded); err != nil {
		return err
	}
	if err := t.txn.CommitAt(version+1, nil); err != nil {
		return err
	}
	j.version.Store(version + 1)
	j.gen.db.SetDiscardTs(version)
	j.counts.Store(&t.counts)
	j.oldest = t.oldest
	return nil
}

func (t *journalTxn) set(key, value []byte) error {
	t.writes++
	return t.txn.Set(key, value)
}

func (t *journalTxn) remove(key []byte) error {
	t.removed++
	return t.txn.Delete(key)
}

func (t *journalTxn) put(n *Note) error {
	n.ID = t.counts.NextNote
	t.counts.NextNote++
	t.counts.Cursor = min(t.counts.Cursor, n.Size)
	t.counts.Bytes += n.cost()
	if t.oldest == 0 {
		t.oldest = n.At
	}
	for k := range n.keys() {
		if err := t.set(tokenKey(k, n.ID), nil); err != nil {
			return err
		}
	}
	return t.set(numbered(prefixNote, n.ID), n.encode())
}

// expire removes the oldest notes and alerts.
func (t *journalTxn) expire(now int64) error {
	o := &t.journal.opts
	for t.removed < maxWrites && t.counts.FirstNote < t.counts.NextNote {
		n, err := t.note(t.counts.FirstNote)
		if err != nil {
			return err
		}
		if n != nil && n.At >= now-o.Keep && t.counts.Bytes <= o.Bytes {
			t.oldest = n.At
			break
		}
		if err := t.forget(t.counts.FirstNote, n); err != nil {
			return err
		}
		t.counts.FirstNote++
	}
	if t.counts.FirstNote == t.counts.NextNote {
		t.counts.Bytes, t.oldest = 0, 0
	}
	return t.expireAlerts(now - o.Keep)
}

// forget removes a note with its tokens; nil is one that cannot be read any more.
func (t *journalTxn) forget(id uint64, n *Note) error {
	if n != nil {
		t.counts.Bytes -= n.cost()
		for k := range n.keys() {
			if err := t.remove(tokenKey(k, id)); err != nil {
				return err
			}
		}
	}
	return t.remove(numbered(prefixNote, id))
}

// note reads one; nil if there is none, or none that can be read.
func (t *journalTxn) note(id uint64) (*Note, error) {
	raw, err := get(t.txn, numbered(prefixNote, id))
	if err != nil || raw == nil {
		return nil, err
	}
	n, err := decodeNote(raw)
	if err != nil {
		t.journal.opts.Logger.Error("alarm", "error", fmt.Errorf("note %d of the journal: %w", id, err))
		return nil, nil
	}
	n.ID = id
	return n, nil
}

func tokenKey(k Key, note uint64) []byte {
	key := append(append(make([]byte, 0, 26), prefixToken, byte(k.Kind)), k.Token[:]...)
	return append(key, numbered(0, note)[1:]...)
}
