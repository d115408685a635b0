package store

import (
	"errors"
	"fmt"
	"maps"

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
	return record(r.txn, key)
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

	created   created                  // if any
	dueGroups map[dueGroupAt]*dueGroup // that were asked for

	slab  slab                                // for what it writes
	links map[risk.ListingKey]*link           // that were asked for
	fresh []link                              // room for the next of them
	moved []*link                             // of those, the ones that this cut has written or removed
	acts  map[risk.ListingID]map[risk.ID]bool // what this cut has put (true) and removed on a listing
	led   map[string]uint64                   // records that an index has led to: they must be there, of this version if it is not 0
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
	if clear(s.links); s.links == nil {
		s.links = map[risk.ListingKey]*link{}
	}
	return &cut{store: s, meta: m.copyFor(), txn: m.gen.db.NewTransactionAt(m.version(), true),
		changed: map[byte]bool{}, soonest: s.soonest, removed: map[string]bool{}, links: s.links, acts: map[risk.ListingID]map[risk.ID]bool{}, led: map[string]uint64{}, dueGroups: map[dueGroupAt]*dueGroup{}}
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
	if err := c.writeCreated(); err != nil {
		return nil, err
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
	raw, err := item.ValueCopy(nil)
	if err != nil {
		return nil, err
	}
	return recordIn(key, raw)
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
	if err := errors.Join(c.writeCreated(), c.reschedule(&ch)); err != nil {
		return err
	}
	if ch.New == nil {
		delete(c.led, string(ch.Key))
		return c.delete(ch.Key)
	}
	if _, led := c.led[string(ch.Key)]; led {
		c.led[string(ch.Key)] = 0 // what an index led to is this cut's now
	}
	if ch.Key[0] != risk.TableListings {
		return c.set(ch.Key, ch.New)
	}
	if err := c.putListing(&ch); err != nil || ch.Old == nil {
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
