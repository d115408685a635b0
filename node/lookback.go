package node

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/risknet/risknet/check"
	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/store"
)

// backlog is what the journal has to be searched for: tokens whose listings have
// changed or, where these are too many, everything.
type backlog struct {
	mu   sync.Mutex
	keys map[store.Key]struct{}
	all  bool
	size uint64        // of the ledger up to which every change is in here or was before
	wake chan struct{} // one place
}

// maxBacklog tokens are searched for one by one; for more it is cheaper to go through
// the journal once.
const maxBacklog = 1 << 16

// add puts tokens in. It is called on the applying goroutine and waits for nobody.
func (b *backlog) add(size uint64, all bool, lists ...[]store.Touched) {
	b.mu.Lock()
	for _, list := range lists {
		if !b.all && !all {
			b.put(list)
		}
	}
	if b.all = b.all || all; b.all {
		b.keys = nil
	}
	b.size = max(b.size, size)
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default: // it knows already
	}
}

func (b *backlog) put(list []store.Touched) {
	if b.keys == nil {
		b.keys = make(map[store.Key]struct{}, len(list))
	}
	for i := range list {
		b.keys[list[i].Key] = struct{}{}
	}
	b.all = len(b.keys) > maxBacklog
}

// take empties the backlog.
func (b *backlog) take() (keys map[store.Key]struct{}, all bool, size uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	keys, all = b.keys, b.all
	b.keys, b.all = nil, false
	return keys, all, b.size
}

// absorb notes what a cut has changed. A policy changes what every listing advises, and
// the end of a protection what those of its subject do.
func (l *lookback) absorb(cut *store.Cut) {
	if l != nil {
		l.backlog.add(cut.Head.Size, cut.PolicyChanged || cut.ProtectionsChanged, cut.Linked, cut.Unlinked)
	}
}

// resume has everything looked at if the state is not the one up to which this was
// done: after a crash, or when an image has taken its place.
func (l *lookback) resume(size uint64) {
	if l != nil {
		l.backlog.add(size, l.journal.Cursor() != size)
	}
}

const (
	// lookAgain is when everything is looked at without a cause: for what no command
	// changes, such as a listing that takes effect on a day.
	lookAgain = 24 * time.Hour
	// lookPause is how long a search waits for more, and for the other nodes of this
	// machine and of the network to have what it is about: a listing protects before it
	// is looked back at.
	lookPause = 25 * time.Millisecond
	// lookPatience is the pause after a search that has failed.
	lookPatience = 10 * time.Second
)

// lookBack searches the journal for what has changed, once the view is of the present:
// a node that goes through the past on its way there would tell of what is over.
func (n *Node) lookBack(ctx context.Context) error {
	l := n.look
	if l == nil {
		return nil
	}
	examiner := n.newExaminer()
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	for {
		due := false
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
			due = true
		case <-l.backlog.wake:
			if !pause(ctx, lookPause) {
				return nil
			}
		}
		for n.checker.Age() > n.cfg.Stale.MaxAge || n.disk.hold() != nil {
			if !pause(ctx, n.cfg.Stale.AskEvery) {
				return nil
			}
		}
		keys, all, size := l.backlog.take()
		if err := l.search(ctx, keys, all || due, size, examiner.examine); err != nil && ctx.Err() == nil {
			n.log.Error("alarm", "error", err)
			if !pause(ctx, lookPatience) {
				return nil
			}
			l.backlog.add(size, true)
		}
	}
}

// search examines what has changed up to a size of the ledger. If we crash here, the
// cursor is behind, and the next start examines everything: what was told already is
// not told again.
func (l *lookback) search(ctx context.Context, keys map[store.Key]struct{}, all bool, size uint64, examine store.Examine) error {
	if all {
		if err := l.journal.SearchAll(ctx, examine); err != nil {
			return err
		}
	}
	for k := range keys {
		if err := l.journal.SearchToken(ctx, k, examine); err != nil {
			return err
		}
	}
	l.settling.Lock()
	defer l.settling.Unlock()
	return l.journal.SetCursor(size)
}

// examiner asks the question of a note again. One goroutine uses it.
type examiner struct {
	node    *Node
	query   check.Query
	verdict risk.Verdict
	told    []store.Told
}

func (n *Node) newExaminer() *examiner { return &examiner{node: n} }

// examine is a store.Examine: what the listings say now, held to what was told. A view
// that is older than that, or that cannot read its listings, says nothing.
func (e *examiner) examine(note *store.Note) ([]store.Alert, bool) {
	e.ask(note)
	if err := e.node.checker.Review(&e.query, &e.verdict); err != nil || e.verdict.Head.Size < note.Size || isDamaged(&e.verdict) {
		return nil, false
	}
	e.told = tellings(e.told[:0], &e.verdict)
	if slices.Equal(e.told, note.Told) {
		return nil, false
	}
	at := max(e.node.now().UnixMilli(), e.node.checker.Load().Time)
	alerts := e.compare(note, at)
	note.Told, note.Size = slices.Clone(e.told), e.verdict.Head.Size
	return alerts, true
}

// ask makes the query of a note.
func (e *examiner) ask(note *store.Note) {
	q := &e.query
	q.Payment = risk.Payment{Phase: note.Phase, Purpose: note.Purpose}
	q.Subjects = q.Subjects[:0]
	asked := note.Asked
	for _, s := range note.Subjects {
		q.Subjects = append(q.Subjects, check.Subject{Kind: s.Kind, Role: s.Role, Asked: asked[:s.Asked]})
		asked = asked[s.Asked:]
	}
}

// compare gives an alert for each listing that has come, risen or gone. One whose time
// was over, or that advises less than it did, is none: whoever was told of it knows, or
// has lost nothing. Neither is one that advises no more than the payment was answered
// with: it was less for a while.
func (e *examiner) compare(note *store.Note, at int64) []store.Alert {
	var alerts []store.Alert
	for i := range e.told {
		now := &e.told[i]
		before := find(note.Told, now.Listing)
		switch {
		case now.Advice == risk.Allow:
		case before == nil:
			alerts = append(alerts, e.alert(note, store.Listed, now, at))
		case now.Advice > before.Advice && now.Advice > note.Advice || now.Level != 0 && now.Level < before.Level:
			alerts = append(alerts, e.alert(note, store.Risen, now, at))
		}
	}
	for i := range note.Told {
		gone := note.Told[i]
		if gone.Advice > risk.Allow && at < gone.Expires && find(e.told, gone.Listing) == nil {
			gone.Advice = risk.Allow
			alerts = append(alerts, e.alert(note, store.Lifted, &gone, at))
		}
	}
	return alerts
}

func (e *examiner) alert(note *store.Note, what store.Change, t *store.Told, at int64) store.Alert {
	return store.Alert{At: at, What: what, Kind: note.Subjects[t.Subject].Kind, Listing: t.Listing, Code: t.Code, Level: t.Level, List: t.List,
		Transaction: note.Transaction, CheckedAt: note.At, Amount: note.Amount, Currency: note.Currency,
		Then: note.Advice, Now: t.Advice, Size: e.verdict.Head.Size}
}

func find(list []store.Told, id risk.ListingID) *store.Told {
	for i := range list {
		if list[i].Listing == id {
			return &list[i]
		}
	}
	return nil
}

func isDamaged(v *risk.Verdict) bool {
	return slices.ContainsFunc(v.Reasons, func(r risk.Reason) bool { return r.Rule == risk.ReasonDamage })
}

// tellings adds the listings that a verdict names, each once, as it speaks hardest.
func tellings(dst []store.Told, v *risk.Verdict) []store.Told {
	for i := range v.Reasons {
		r := &v.Reasons[i]
		if r.Rule != "" {
			continue
		}
		if known := find(dst, r.Listing); known != nil {
			known.Advice = max(known.Advice, r.Advice)
			continue
		}
		dst = append(dst, store.Told{Listing: r.Listing, Subject: uint8(r.Subject), Advice: r.Advice,
			Level: r.Level, List: r.List, Code: r.Code, Expires: r.Expires})
	}
	return dst
}
