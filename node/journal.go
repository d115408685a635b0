package node

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/risknet/risknet/check"
	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/store"
)

// lookback is what a node does about payments that it has answered for already: each
// check leaves a note in a journal, and when a listing changes, the notes that asked
// for it become alerts to the node's own institution. See store.Journal.
//
// Checks hand their notes over on a queue and never wait: keepJournal writes them.
// The applying goroutine leaves the tokens that changed in the backlog and never waits
// either: lookBack searches the journal for them.
type lookback struct {
	journal *store.Journal
	queue   chan *store.Note
	spare   sync.Pool // of *store.Note
	dropped atomic.Uint64
	backlog backlog

	// settling is held from where a batch of notes is written until those that an
	// older view answered were looked at again, and where the cursor rises: so it
	// never rises over a note that nobody has looked at.
	settling sync.Mutex
}

const (
	// queuedNotes wait for the journal, about a kilobyte each.
	queuedNotes = 4096
	// keptAlerts are for those who have not read them, about 300 bytes each.
	keptAlerts = 100_000
	// maxReference is how much of a transaction id is kept.
	maxReference = risk.MaxNameBytes
)

// openJournal opens the journal, if this node is to have one.
func (n *Node) openJournal() error {
	c := &n.cfg.Journal
	if c.Keep == 0 || c.Bytes == 0 {
		return nil
	}
	journal, err := store.OpenJournal(filepath.Join(n.cfg.Data, "journal"), store.JournalOptions{
		Logger: n.log, Keep: c.Keep.Milliseconds(), Bytes: c.Bytes, Alerts: keptAlerts, First: uint64(n.now().UnixMicro())})
	if err != nil {
		return err
	}
	n.look = &lookback{journal: journal, queue: make(chan *store.Note, queuedNotes)}
	n.look.backlog.wake = make(chan struct{}, 1)
	n.look.spare.New = func() any { return &store.Note{} }
	return nil
}

// noteCheck leaves a note of a check that this node's own institution has asked; what
// others ask here is theirs to keep. If the journal cannot keep up, the note is
// dropped and counted: an answer never waits for it.
func (n *Node) noteCheck(who Identity, s *checkScratch) {
	l := n.look
	asked := slices.ContainsFunc(s.query.Subjects, func(s check.Subject) bool { return len(s.Asked) > 0 })
	if l == nil || !asked || who.Institution != n.creds.Identity.Institution {
		return
	}
	if len(l.queue) == cap(l.queue) {
		l.dropped.Add(1)
		return
	}
	note := l.spare.Get().(*store.Note)
	fillNote(note, &s.query, &s.verdict)
	note.At = n.now().UnixMilli()
	select {
	case l.queue <- note:
	default:
		l.dropped.Add(1)
		l.spare.Put(note)
	}
}

// fillNote copies what a note keeps: nothing of it belongs to the check any more.
func fillNote(note *store.Note, q *check.Query, v *risk.Verdict) {
	p := &q.Payment
	*note = store.Note{Transaction: strings.Clone(p.TransactionID[:min(len(p.TransactionID), maxReference)]), Amount: p.Amount, Currency: strings.Clone(p.Currency),
		Phase: p.Phase, Purpose: p.Purpose, Advice: v.Advice, Size: v.Head.Size,
		Subjects: note.Subjects[:0], Asked: note.Asked[:0], Told: note.Told[:0]}
	for i := range q.Subjects {
		s := &q.Subjects[i]
		note.Subjects = append(note.Subjects, store.NoteSubject{Kind: s.Kind, Role: s.Role, Asked: len(s.Asked)})
		note.Asked = append(note.Asked, s.Asked...)
	}
	note.Told = tellings(note.Told, v)
}

const (
	// writtenAtOnce is how many notes one turn of keepJournal writes.
	writtenAtOnce = 512
	// noteEvery is the pace of keepJournal: 5,000 notes a second. A note costs what ten
	// checks cost and more, and where checks come faster than that for longer than the
	// queue lasts, they need the machine themselves.
	noteEvery = 200 * time.Microsecond
)

// noteShare bounds writing to one part in so many of the time, so that on a machine that
// checks keep busy, where everything takes longer, notes come at half the pace and less.
const noteShare = 10

// longestRest: a disk that stood still for a while costs the notes of so long, and no more.
const longestRest = 5 * time.Second

// notePause is how long the journal rests behind a batch that took so long to write.
func notePause(notes int, took time.Duration) time.Duration {
	return min(longestRest, max(time.Duration(notes)*noteEvery, noteShare*took)-took)
}

// keepJournal writes what waits in the queue, as much as there is at once, and removes
// what is too old.
func (n *Node) keepJournal(ctx context.Context) error {
	l := n.look
	if l == nil {
		return nil
	}
	examiner := n.newExaminer()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		var batch []*store.Note
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case note := <-l.queue:
			batch = append(batch, note)
		}
		batch = l.waiting(batch)
		begun := time.Now()
		if err := n.writeNotes(batch, examiner); err != nil {
			l.dropped.Add(uint64(len(batch)))
			n.log.Error("alarm", "error", err)
		}
		for _, note := range batch {
			l.spare.Put(note)
		}
		if !pause(ctx, notePause(len(batch), time.Since(begun))) {
			return nil
		}
	}
}

// waiting adds what waits in the queue to a batch. One goroutine takes from it.
func (l *lookback) waiting(batch []*store.Note) []*store.Note {
	for len(batch) < writtenAtOnce && len(l.queue) > 0 {
		batch = append(batch, <-l.queue)
	}
	return batch
}

// lastNotes writes what still waits when the node ends, unless it is to end as in a
// crash.
func (n *Node) lastNotes() error {
	if n.look == nil || n.abandon.Load() {
		return nil
	}
	for examiner := n.newExaminer(); len(n.look.queue) > 0; {
		if err := n.writeNotes(n.look.waiting(nil), examiner); err != nil {
			return err
		}
	}
	return nil
}

// writeNotes writes a batch. A listing that came between a check and its note was
// searched for without the note, so those that the view has left behind are looked at
// now. If we crash between the two, the cursor is below what they were answered from,
// and the next start looks at all.
func (n *Node) writeNotes(batch []*store.Note, examiner *examiner) (err error) {
	l := n.look
	if n.disk.hold() != nil {
		l.dropped.Add(uint64(len(batch)))
		return nil
	}
	l.settling.Lock()
	defer l.settling.Unlock()
	defer func() {
		if err != nil { // some may be there that nobody has looked at
			l.backlog.add(0, true)
		}
	}()
	cursor := l.journal.Cursor()
	if err := l.journal.Write(batch, n.now().UnixMilli()); err != nil {
		return err
	}
	size := n.checker.Load().Head.Size
	var behind []uint64
	for _, note := range batch {
		if note.Size < size {
			behind = append(behind, note.ID)
		}
	}
	if err := l.journal.SearchNotes(behind, examiner.examine); err != nil {
		return err
	}
	return l.journal.SetCursor(cursor)
}

// stats are those of no journal where there is none.
func (l *lookback) stats() store.JournalStats {
	if l == nil {
		return store.JournalStats{}
	}
	return l.journal.Stats()
}

func (l *lookback) close() error {
	if l == nil {
		return nil
	}
	return l.journal.Close()
}

// lost counts the notes that were dropped.
func (l *lookback) lost() uint64 {
	if l == nil {
		return 0
	}
	return l.dropped.Load()
}

// journalReach is how far back an alert can look.
func (n *Node) journalReach() time.Duration {
	oldest := n.look.stats().Oldest
	if oldest == 0 {
		return 0
	}
	return n.now().Sub(time.UnixMilli(oldest))
}

// journalBehind is how many leaves were not searched for yet.
func (n *Node) journalBehind() float64 {
	if n.look == nil {
		return 0
	}
	return float64(n.checker.Load().Head.Size) - float64(n.look.stats().Cursor)
}
