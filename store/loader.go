package store

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"runtime"
	"slices"

	"github.com/dgraph-io/badger/v4"
	"golang.org/x/sync/errgroup"

	"github.com/risknet/risknet/ledger"
	"github.com/risknet/risknet/risk"
)

// loader writes the parts of an image, and what follows from them, as tables at
// once: they come in the order of their keys, so badger need not sort and merge
// them. What follows (when records may go, the last leaf, the hashes of the tree's
// edge, the position) is put between them, where its keys belong. Lanes and numbers
// are counted anew beside that, on as many processors as there are.
type loader struct {
	to     *tableWriter
	joined []byte // room for a listing

	extra []pair // what follows, in the order of its keys; what is written is taken off

	ctx     context.Context
	group   *errgroup.Group
	workers []census
	work    chan []pair // closed and nil when all is counted that has a due time
	batch   []pair
	bytes   int // of the batch

	lanes  Lanes
	counts [256]uint64 // parts by the first byte of their keys
}

type pair struct{ key, value []byte }

// A batch for a worker: so many parts, or so many bytes, as records may be long.
const (
	loadedBatch      = 1024
	loadedBatchBytes = 1 << 20
)

// load writes the parts of an image and what follows from them into a directory, for
// badger to open. After an error the directory is of no use.
func load(dir string, o badger.Options, r *imageReader, head *imageHead) error {
	l := &loader{to: newTableWriter(dir, o, head.meta.version())}
	if err := l.all(r, head); err != nil {
		return errors.Join(err, l.to.close())
	}
	return l.to.finish()
}

func (l *loader) all(r *imageReader, head *imageHead) (err error) {
	if l.extra, err = following(head); err != nil {
		return err
	}
	l.begin()
	err = l.parts(r)
	if settled := l.settle(); err == nil || settled != nil && l.ctx.Err() == nil {
		err = settled
	}
	if err == nil {
		err = l.check(head.meta)
	}
	if err == nil {
		err = l.follow(nil)
	}
	return err
}

// begin starts the workers; settle waits for them.
func (l *loader) begin() {
	l.workers, l.work = make([]census, runtime.GOMAXPROCS(0)), make(chan []pair, 4)
	l.group, l.ctx = errgroup.WithContext(context.Background())
	work := l.work
	for i := range l.workers {
		l.group.Go(func() error { return l.workers[i].all(work) })
	}
}

// parts reads the image to its end.
func (l *loader) parts(r *imageReader) error {
	for {
		key, value, err := r.next()
		if err != nil || key == nil {
			return err
		}
		if key[0] > prefixDue && l.work != nil {
			if err := l.settle(); err != nil { // what is due comes before it
				return err
			}
		}
		if err := l.part(key, value); err != nil {
			return err
		}
	}
}

func (l *loader) part(key, value []byte) error {
	l.counts[key[0]]++
	if key[0] != prefixLink && key[0] != prefixBody {
		l.batch = append(l.batch, pair{key, value})
		l.bytes += len(key) + len(value)
	}
	if len(l.batch) == loadedBatch || l.bytes >= loadedBatchBytes {
		if err := l.hand(); err != nil {
			return err
		}
	}
	if err := l.follow(key); err != nil {
		return err
	}
	if key[0] == risk.TableListings {
		l.joined = appendRecord(l.joined[:0], value) // its body has come under its own key
		value = l.joined
	}
	return l.to.add(key, value)
}

// hand gives a batch to the workers.
func (l *loader) hand() error {
	batch := l.batch
	l.batch, l.bytes = nil, 0
	if l.work == nil { // the few that stand behind what is due
		var w census
		err := w.batch(batch, newElement())
		l.lanes.join(&w.lanes)
		return err
	}
	select {
	case l.work <- batch:
		return nil
	case <-l.ctx.Done(): // one has failed; the others wait for more, or for the end
		close(l.work)
		l.work = nil
		return l.group.Wait()
	}
}

// settle ends the workers and brings together what they have counted.
func (l *loader) settle() error {
	err := l.hand()
	if l.work == nil {
		return err
	}
	close(l.work)
	l.work = nil
	if counted := l.group.Wait(); counted != nil {
		return counted
	}
	if err != nil {
		return err
	}
	return l.dues()
}

// dues writes when records may go, in the order of those keys.
func (l *loader) dues() error {
	var listings mergedDues
	var others [][]byte
	for i := range l.workers {
		w := &l.workers[i]
		l.lanes.join(&w.lanes)
		listings, others = append(listings, w.listings), append(others, w.others...)
		*w = census{}
	}
	slices.SortFunc(others, bytes.Compare)
	if err := l.follow([]byte{prefixDue}); err != nil {
		return err
	}
	for due := listings.next(); due != nil; {
		first, group := *due, uint64(0)
		key, _ := first.group()
		for ; due != nil && due.standsWith(first); due = listings.next() {
			group |= 1 << (due.item % dueGroupItems)
		}
		for ; len(others) > 0 && bytes.Compare(others[0], key) < 0; others = others[1:] {
			if err := l.to.add(others[0], nil); err != nil {
				return err
			}
		}
		if err := l.to.add(key, binary.BigEndian.AppendUint64(nil, group)); err != nil {
			return err
		}
	}
	for _, key := range others {
		if err := l.to.add(key, nil); err != nil {
			return err
		}
	}
	return nil
}

// follow writes what follows from the image and stands before a key; all of it
// before nil.
func (l *loader) follow(key []byte) error {
	for len(l.extra) > 0 && (key == nil || bytes.Compare(l.extra[0].key, key) < 0) {
		if err := l.to.add(l.extra[0].key, l.extra[0].value); err != nil {
			return err
		}
		l.extra = l.extra[1:]
	}
	return nil
}

// census is what a worker counts: the lanes of its records, and when they may go.
type census struct {
	lanes    Lanes
	listings []shortDue
	others   [][]byte // keys of what is due and is no listing
}

// shortDue is when a listing may go, in little room: those of a whole image are
// sorted in memory.
type shortDue struct {
	due  int64
	leaf uint64
	item uint16
}

func (d shortDue) compare(e shortDue) int {
	return cmp.Or(cmp.Compare(uint64(d.due), uint64(e.due)), cmp.Compare(d.leaf, e.leaf), cmp.Compare(d.item, e.item))
}

// standsWith reports whether two stand at one key.
func (d shortDue) standsWith(e shortDue) bool {
	return d.due == e.due && d.leaf == e.leaf && d.item/dueGroupItems == e.item/dueGroupItems
}

// mergedDues are lists in order. They are merged as they are read, because together
// they are most of what an image takes in memory.
type mergedDues [][]shortDue

// next takes the first of all; nil at the end.
func (m mergedDues) next() (first *shortDue) {
	from := 0
	for i, list := range m {
		if len(list) > 0 && (first == nil || list[0].compare(*first) < 0) {
			first, from = &list[0], i
		}
	}
	if first != nil {
		m[from] = m[from][1:]
	}
	return first
}

// group is the key at which it stands with others, and its bit there.
func (d shortDue) group() (key []byte, bit uint64) {
	at, bit := dueGroupKey(d.due, risk.ListingRecordKey(risk.ListingID{Leaf: d.leaf, Item: d.item}))
	return at[:], bit
}

func (w *census) all(work <-chan []pair) error {
	e := newElement()
	for batch := range work {
		if err := w.batch(batch, e); err != nil {
			return err
		}
	}
	slices.SortFunc(w.listings, shortDue.compare)
	return nil
}

func (w *census) batch(batch []pair, e *element) error {
	for _, p := range batch {
		w.lanes.add(e, p.key, p.value)
		due, err := risk.DueOf(p.key, p.value)
		switch {
		case err != nil:
			return badImage("a record: %v", err)
		case due == 0:
		case p.key[0] == risk.TableListings:
			id := risk.ParseListingRecordKey(p.key)
			if id.Item >= risk.MaxItems { // there would be no place for it in the index
				return badImage("listing %s is of no command", id)
			}
			w.listings = append(w.listings, shortDue{due, id.Leaf, id.Item})
		default:
			w.others = append(w.others, dueKey(due, p.key))
		}
	}
	return nil
}

// check compares the parts with what the image says of them. That links and
// bodies are the right ones is for verify.
func (l *loader) check(m *meta) error {
	smalls := uint64(0)
	for _, table := range tables {
		if isSmall(table) {
			smalls += l.counts[table]
		}
	}
	switch n := &l.counts; {
	case l.lanes != m.lanes || n[risk.TableListings] != m.listings || smalls != m.smalls:
		return badImage("its records do not give the state that its last leaf commits to")
	case n[prefixBody] != m.listings+n[risk.TableRuleSets]+n[risk.TableProtections]:
		return badImage("it has %d bodies for %d listings, %d rule sets and %d protections", n[prefixBody], m.listings, n[risk.TableRuleSets], n[risk.TableProtections])
	}
	return nil
}

// following is what a replica has besides the parts: of the ledger its last leaf,
// and the hashes from which the tree goes on; and its position.
func following(head *imageHead) ([]pair, error) {
	m, list := *head.meta, []pair(nil)
	if size := m.edge.Size(); size > 0 {
		m.from = size - 1
		list = append(list, pair{numbered(prefixLeaf, size-1), head.leaf})
		before := head.before
		for _, t := range before.Subtrees() {
			list = append(list, pair{numbered(prefixHash, ledger.StoredIndex(t.Level, t.N)), append([]byte(nil), t.Hash[:]...)})
		}
		at := ledger.StoredCount(size - 1)
		for i, h := range before.Append(nil, ledger.LeafHash(head.leaf)) {
			list = append(list, pair{numbered(prefixHash, uint64(at)+uint64(i)), append([]byte(nil), h[:]...)})
		}
	}
	encoded, err := m.encode()
	if err != nil {
		return nil, err
	}
	list = append(list, pair{[]byte(keyMeta), encoded}, pair{numbered(prefixCut, m.version()), nil})
	slices.SortFunc(list, func(a, b pair) int { return bytes.Compare(a.key, b.key) })
	return list, nil
}

// join adds another multiset's lanes.
func (l *Lanes) join(o *Lanes) {
	for i, b := range o {
		a := l[i]
		l[i] = ((a & lowBits) + (b & lowBits)) ^ ((a ^ b) & highBits)
	}
}
