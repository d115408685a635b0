package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"github.com/risknet/risknet/risk"
)

// reader is the state as a question sees it; the law's writes fail on it.
type reader struct {
	meta *meta
	txn  *badger.Txn // nil where only small tables are read
}

var errReadOnly = errors.New("this is a question; it changes nothing")

func (r *reader) Record(key []byte) ([]byte, error) {
	if isSmall(key[0]) {
		return r.meta.small[key[0]][string(key)], nil
	}
	return get(r.txn, key)
}

func (r *reader) Put(risk.Change) error                        { return errReadOnly }
func (r *reader) Due(byte, int64, int) ([][]byte, error)       { return nil, nil }
func (r *reader) Link(risk.ListingKey, risk.ListingID) error   { return errReadOnly }
func (r *reader) Unlink(risk.ListingKey, risk.ListingID) error { return errReadOnly }
func (r *reader) KeepBody(risk.ItemID, risk.Body) error        { return errReadOnly }
func (r *reader) DropBody(risk.ItemID) error                   { return errReadOnly }
func (r *reader) Body(id risk.ItemID) (risk.Body, error)       { return readBody(r.txn, id) }
func (r *reader) Find(k risk.ListingKey) (risk.ItemID, bool, error) {
	l, err := findLink(r.txn, k)
	return l.to, l.is, err
}

func readBody(txn *badger.Txn, id risk.ItemID) (risk.Body, error) {
	raw, err := get(txn, bodyKey(id))
	if err != nil || raw == nil {
		return risk.Body{}, err
	}
	return risk.ReadBody(raw)
}

// cut is one transaction of whole commands. It is the state that the law writes.
type cut struct {
	store   *Store
	meta    *meta // the copy that this cut works on
	txn     *badger.Txn
	bytes   int64
	writes  int64
	changed map[byte]bool // small tables

	replaying bool // of leaves whose bodies may be gone

	soonest [dueSlots]int64
	added   [dueSlots][]dueEntry // put in this cut
	removed map[string]bool

	links map[risk.ListingKey]*link           // that were asked for
	moved []risk.ListingKey                   // of those, the ones that this cut has written or removed
	acts  map[risk.ListingID]map[risk.ID]bool // what this cut has put (true) and removed on a listing
	led   map[string]uint64                   // records that an index has led to: they must be there, of this version if it is not 0
}

type dueEntry struct {
	due int64
	key []byte
}

// dueTables are the tables whose records go some day; their place is their slot
// in what is kept by table.
func dueSlot(table byte) int {
	switch table {
	case risk.TableListings:
		return 0
	case risk.TableProtections:
		return 1
	default:
		return 2
	}
}

const dueSlots = 3

func (s *Store) begin() *cut {
	m := s.now.Load()
	return &cut{store: s, meta: m.copyFor(), txn: m.gen.db.NewTransactionAt(m.version(), true),
		changed: map[byte]bool{}, soonest: s.soonest, removed: map[string]bool{}, links: map[risk.ListingKey]*link{}, acts: map[risk.ListingID]map[risk.ID]bool{}, led: map[string]uint64{}}
}

// entryOverhead is what badger counts for an entry beside key and value.
const entryOverhead = 32

func (c *cut) set(key, value []byte) error {
	c.bytes += int64(len(key) + len(value) + entryOverhead)
	c.writes++
	return c.txn.Set(key, value)
}

func (c *cut) delete(key []byte) error {
	c.bytes += int64(len(key) + entryOverhead)
	c.writes++
	return c.txn.Delete(key)
}

// Record gives a record's value, nil if there is none. Badger says of a damaged
// block that there is none; where we know better, we stop.
func (c *cut) Record(key []byte) ([]byte, error) {
	if isSmall(key[0]) {
		return c.meta.small[key[0]][string(key)], nil
	}
	want, led := c.led[string(key)]
	item, err := c.txn.Get(key)
	switch {
	case errors.Is(err, badger.ErrKeyNotFound) && !led:
		return nil, nil
	case errors.Is(err, badger.ErrKeyNotFound):
		return nil, fmt.Errorf("%w: an index leads to record %x, which is missing", ErrDamaged, key)
	case err != nil:
		return nil, err
	case led && want != 0 && item.Version() != want:
		return nil, fmt.Errorf("%w: record %x is of version %d, its link of %d", ErrDamaged, key, item.Version(), want)
	}
	return item.ValueCopy(nil)
}

// Put moves a record, its share of the digest and its due time.
func (c *cut) Put(ch risk.Change) error {
	if alter := c.store.opts.alter; alter != nil && ch.New != nil {
		ch.New = alter(ch.Key, ch.New)
	}
	if ch.Old != nil {
		c.meta.lanes.remove(c.store.element, ch.Key, ch.Old)
	}
	if ch.New != nil {
		c.meta.lanes.add(c.store.element, ch.Key, ch.New)
	}
	if isSmall(ch.Key[0]) {
		c.putSmall(&ch)
	}
	switch ch.Key[0] {
	case risk.TableListings:
		recount(&c.meta.listings, &ch)
	case risk.TableActs:
		c.act(&ch)
	}
	if err := c.reschedule(&ch); err != nil {
		return err
	}
	if ch.New == nil {
		delete(c.led, string(ch.Key))
		return c.delete(ch.Key)
	}
	if _, led := c.led[string(ch.Key)]; led {
		c.led[string(ch.Key)] = 0 // what an index led to is this cut's now
	}
	if err := c.set(ch.Key, ch.New); err != nil || ch.Old == nil || ch.Key[0] != risk.TableListings {
		return err
	}
	return c.relink(&ch)
}

func (c *cut) putSmall(ch *risk.Change) {
	table := ch.Key[0]
	records := c.meta.small[table]
	if !c.changed[table] { // it is still the published one's
		c.changed[table] = true
		if records = maps.Clone(records); records == nil {
			records = map[string][]byte{}
		}
		c.meta.small[table] = records
	}
	if ch.New == nil {
		delete(records, string(ch.Key))
	} else {
		records[string(ch.Key)] = ch.New
	}
	recount(&c.meta.smalls, ch)
}

func recount(n *uint64, ch *risk.Change) {
	if ch.Old == nil {
		*n++
	}
	if ch.New == nil {
		*n--
	}
}

func (c *cut) reschedule(ch *risk.Change) error {
	if ch.OldDue == ch.NewDue {
		return nil
	}
	slot := dueSlot(ch.Key[0])
	if ch.OldDue != 0 {
		key := dueKey(ch.OldDue, ch.Key)
		c.removed[string(key)] = true
		if err := c.delete(key); err != nil {
			return err
		}
	}
	if ch.NewDue == 0 {
		return nil
	}
	key := dueKey(ch.NewDue, ch.Key)
	delete(c.removed, string(key))
	c.added[slot] = append(c.added[slot], dueEntry{ch.NewDue, ch.Key})
	c.soonest[slot] = min(c.soonest[slot], ch.NewDue)
	return c.set(key, nil)
}

// Due lists what may go, in the order of (due time, key). Most commands find
// nothing: the lower bound tells them without a look at the index. It stays at the
// first, since the law need not remove all. What this cut has added stands beside
// what was committed before.
func (c *cut) Due(table byte, now int64, limit int) ([][]byte, error) {
	slot := dueSlot(table)
	if now < c.soonest[slot] {
		return nil, nil
	}
	found := c.committedDue(table, now, limit+1)
	for _, e := range c.added[slot] {
		if !c.removed[string(dueKey(e.due, e.key))] {
			found = append(found, e)
		}
	}
	slices.SortFunc(found, func(a, b dueEntry) int { return bytes.Compare(dueKey(a.due, a.key), dueKey(b.due, b.key)) })
	found = slices.CompactFunc(found, func(a, b dueEntry) bool { return a.due == b.due && bytes.Equal(a.key, b.key) })
	c.soonest[slot] = math.MaxInt64
	var keys [][]byte
	for i, e := range found {
		if i == 0 {
			c.soonest[slot] = e.due
		}
		if e.due > now || len(keys) == limit {
			break
		}
		keys = append(keys, e.key)
		c.led[string(e.key)] = 0
	}
	return keys, nil
}

// committedDue reads the index as it was before this cut, up to and with the
// first entry that is not due yet. It begins at the lower bound: below lies what
// was deleted, thousands of keys that badger would go through one by one.
func (c *cut) committedDue(table byte, now int64, limit int) []dueEntry {
	txn := c.meta.gen.db.NewTransactionAt(c.store.now.Load().version(), false)
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{prefixDue, table}})
	defer it.Close()
	var found []dueEntry
	for it.Seek(dueKey(c.soonest[dueSlot(table)], []byte{table})); it.Valid(); it.Next() {
		key := it.Item().KeyCopy(nil)
		if c.removed[string(key)] {
			continue
		}
		e := dueEntry{due: int64(binary.BigEndian.Uint64(key[2:])), key: key[dueHead:]}
		found = append(found, e)
		if e.due > now || len(found) == limit {
			break
		}
	}
	return found
}

// Body gives an item's body. The law asks for those of records that it has read,
// and nothing erases those yet: one that is missing is damage, but in a replay, which
// may be given none.
func (c *cut) Body(id risk.ItemID) (risk.Body, error) {
	body, err := readBody(c.txn, id)
	if err == nil && body.Erased() && !c.replaying {
		err = fmt.Errorf("%w: body %s is missing", ErrDamaged, id)
	}
	return body, err
}

// KeepBody stores a body beside the ledger.
func (c *cut) KeepBody(id risk.ItemID, b risk.Body) error {
	return c.set(bodyKey(id), b.AppendTo(make([]byte, 0, 16+len(b.Data))))
}

// DropBody destroys a body.
func (c *cut) DropBody(id risk.ItemID) error { return c.delete(bodyKey(id)) }
