package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"github.com/risknet/risknet/risk"
)

// Change says what became of a listing after a payment was checked.
type Change string

// The changes that an alert tells.
const (
	Listed Change = "listed" // it was not there, or did not speak
	Risen  Change = "risen"  // it advises more, or its level is graver
	Lifted Change = "lifted" // it was, and speaks no more before its time was over
)

// Alert tells an institution that what it was told about a payment has changed.
type Alert struct {
	Cursor  uint64 // rises with each alert of this node
	At      int64  // when it was made
	What    Change
	Kind    risk.Kind // of the subject
	Listing risk.ListingID
	Code    uint16
	Level   risk.Level
	List    risk.List

	Transaction string
	CheckedAt   int64
	Amount      int64
	Currency    string
	Then        risk.Advice // the verdict's
	Now         risk.Advice // what this listing gives now
	Size        uint64      // of the ledger that tells it
}

// Examine compares a note with what is known now. It gives the alerts that follow and
// moves what the note says was told; moved is false where nothing has changed.
type Examine func(n *Note) (alerts []Alert, moved bool)

// searchedAtOnce is how many notes are looked at before other writers have their turn.
const searchedAtOnce = 256

// SearchToken examines the notes that asked for a token.
func (j *Journal) SearchToken(ctx context.Context, k Key, examine Examine) error {
	prefix := tokenKey(k, 0)[:18]
	return j.inParts(ctx, prefix, tokenKey(k, 0), examine)
}

// SearchAll examines every note.
func (j *Journal) SearchAll(ctx context.Context, examine Examine) error {
	return j.inParts(ctx, []byte{prefixNote}, numbered(prefixNote, 0), examine)
}

// inParts goes through keys that end with a note's id, from one on.
func (j *Journal) inParts(ctx context.Context, prefix, from []byte, examine Examine) error {
	for ctx.Err() == nil {
		if c := j.counts.Load(); c.FirstNote == c.NextNote {
			return nil // an import need not look for each of its tokens in nothing
		}
		ids, err := j.idsFrom(prefix, from)
		if err != nil {
			return err
		}
		if len(ids) == 0 {
			return nil
		}
		if err := j.SearchNotes(ids, examine); err != nil {
			return err
		}
		from = append(from[:len(from)-8:len(from)-8], numbered(0, ids[len(ids)-1]+1)[1:]...)
	}
	return ctx.Err()
}

func (j *Journal) idsFrom(prefix, from []byte) (ids []uint64, err error) {
	err = j.gen.view(j.version.Load(), func(txn *badger.Txn) error {
		it := txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
		defer it.Close()
		for it.Seek(from); it.Valid() && len(ids) < searchedAtOnce; it.Next() {
			key := it.Item().Key()
			id, _ := readNumber(key[len(key)-8:])
			ids = append(ids, id)
		}
		return nil
	})
	return ids, err
}

// SearchNotes examines notes by their ids. What was told and the alerts about it are
// one transaction: a search that is done again, after a crash or for another token of
// the same note, finds nothing new.
func (j *Journal) SearchNotes(ids []uint64, examine Examine) error {
	for len(ids) > 0 {
		err := j.update(func(t *journalTxn) error {
			for len(ids) > 0 && t.writes < maxWrites {
				if err := t.examine(ids[0], examine); err != nil {
					return err
				}
				ids = ids[1:]
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("search the journal: %w", err)
		}
	}
	if j.counts.Load().NextAlert == j.shown.Load() {
		return nil
	}
	return j.show() // also what an earlier search has made and could not sync
}

func (t *journalTxn) examine(id uint64, examine Examine) error {
	n, err := t.note(id)
	if err != nil || n == nil {
		return err
	}
	alerts, moved := examine(n)
	if !moved {
		return nil
	}
	for i := range alerts {
		if err := t.alert(&alerts[i]); err != nil {
			return err
		}
	}
	return t.set(numbered(prefixNote, id), n.encode())
}

func (t *journalTxn) alert(a *Alert) error {
	a.Cursor = t.counts.NextAlert
	t.counts.NextAlert++
	encoded, err := json.Marshal(a)
	if err != nil {
		return err
	}
	if err := t.set(numbered(prefixAlert, a.Cursor), encoded); err != nil {
		return err
	}
	if t.counts.NextAlert-t.counts.FirstAlert > uint64(t.journal.opts.Alerts) {
		return t.dropAlert()
	}
	return nil
}

func (t *journalTxn) dropAlert() error {
	t.counts.FirstAlert++
	return t.remove(numbered(prefixAlert, t.counts.FirstAlert-1))
}

// expireAlerts removes those that were made before a time.
func (t *journalTxn) expireAlerts(before int64) error {
	for t.removed < 2*maxWrites && t.counts.FirstAlert < t.counts.NextAlert {
		a, err := t.journal.readAlert(t.txn, t.counts.FirstAlert)
		if err != nil || a != nil && a.At >= before {
			return err
		}
		if err := t.dropAlert(); err != nil {
			return err
		}
	}
	return nil
}

// readAlert gives one; nil if there is none, or none that can be read.
func (j *Journal) readAlert(txn *badger.Txn, cursor uint64) (*Alert, error) {
	raw, err := get(txn, numbered(prefixAlert, cursor))
	if err != nil || raw == nil {
		return nil, err
	}
	a := &Alert{}
	if err := json.Unmarshal(raw, a); err != nil {
		j.opts.Logger.Error("alarm", "error", fmt.Errorf("%w: alert %d: %w", ErrDamaged, cursor, err))
		return nil, nil
	}
	return a, nil
}

// show lets readers have the alerts that were made.
func (j *Journal) show() error {
	// If we crash here, the alerts are there or the notes are as they were before.
	next := j.counts.Load().NextAlert
	if err := j.sync(); err != nil {
		return fmt.Errorf("sync the journal: %w", err)
	}
	j.waiting.Lock()
	defer j.waiting.Unlock()
	j.shown.Store(max(next, j.shown.Load()))
	close(j.changed)
	j.changed = make(chan struct{})
	return nil
}

// Changed is closed when there are more alerts than now.
func (j *Journal) Changed() <-chan struct{} {
	j.waiting.Lock()
	defer j.waiting.Unlock()
	return j.changed
}

// Alerts gives up to limit alerts behind one, in order, and how many between were
// removed before anybody asked for them.
func (j *Journal) Alerts(after uint64, limit int) (list []Alert, lost uint64, err error) {
	c, end := j.counts.Load(), j.shown.Load()
	from := max(after+1, c.Begin)
	if from < c.FirstAlert {
		lost, from = c.FirstAlert-from, c.FirstAlert
	}
	err = j.gen.view(j.version.Load(), func(txn *badger.Txn) error {
		for cursor := from; cursor < end && len(list) < limit; cursor++ {
			a, err := j.readAlert(txn, cursor)
			if err != nil {
				return err
			}
			if a == nil {
				lost++
				continue
			}
			list = append(list, *a)
		}
		return nil
	})
	return list, lost, err
}
