package risk

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// memState is a State in memory that trusts nobody: a change must name the very
// value and due time that stand, or it fails. So a digest that is kept by
// changes alone, as a store keeps it, is the digest of the records.
type memState struct {
	records map[string][]byte
	dues    map[string]int64
	byDue   []dueKey // sorted by (due, key)
	counted map[string]int
	index   map[ListingKey][]ListingID
	bodies  map[ItemID]Body

	failAt int // the call that fails, and all after it; 0 for none
	calls  int
}

type dueKey struct {
	due int64
	key string
}

func (a dueKey) compare(b dueKey) int {
	return cmp.Or(cmp.Compare(a.due, b.due), cmp.Compare(a.key, b.key))
}

var errBroken = errors.New("the disk is gone")

func newMemState() *memState {
	return &memState{records: map[string][]byte{}, dues: map[string]int64{}, counted: map[string]int{},
		index: map[ListingKey][]ListingID{}, bodies: map[ItemID]Body{}}
}

func (m *memState) clone() *memState {
	c := *m
	c.records, c.dues, c.counted = maps.Clone(m.records), maps.Clone(m.dues), maps.Clone(m.counted)
	c.byDue, c.bodies = slices.Clone(m.byDue), maps.Clone(m.bodies)
	c.index = map[ListingKey][]ListingID{}
	for key, ids := range m.index {
		c.index[key] = slices.Clone(ids)
	}
	return &c
}

func (m *memState) use() error {
	if m.calls++; m.failAt != 0 && m.calls >= m.failAt {
		return errBroken
	}
	return nil
}

func (m *memState) Record(key []byte) ([]byte, error) { return m.records[string(key)], m.use() }

func (m *memState) Put(c Change) error {
	key := string(c.Key)
	switch was, stands := m.records[key]; {
	case m.use() != nil:
		return errBroken
	case stands != (c.Old != nil) || !bytes.Equal(was, c.Old):
		return fmt.Errorf("a change of %x names the old value %x, %x stands", key, c.Old, was)
	case m.dues[key] != c.OldDue:
		return fmt.Errorf("a change of %x names the old due time %d, %d stands", key, c.OldDue, m.dues[key])
	case c.NewDue < 0 || c.OldDue < 0:
		return fmt.Errorf("a change of %x has a due time before 1970", key)
	}
	m.forget(c)
	if c.New == nil {
		return nil
	}
	m.records[key] = slices.Clone(c.New)
	m.counted[key+string(c.New)]++
	if c.NewDue != 0 {
		m.dues[key] = c.NewDue
		at, _ := slices.BinarySearchFunc(m.byDue, dueKey{c.NewDue, key}, dueKey.compare)
		m.byDue = slices.Insert(m.byDue, at, dueKey{c.NewDue, key})
	}
	return nil
}

func (m *memState) forget(c Change) {
	if c.Old == nil {
		return
	}
	key := string(c.Key)
	if m.counted[key+string(c.Old)]--; m.counted[key+string(c.Old)] == 0 {
		delete(m.counted, key+string(c.Old))
	}
	if at, found := slices.BinarySearchFunc(m.byDue, dueKey{c.OldDue, key}, dueKey.compare); found {
		m.byDue = slices.Delete(m.byDue, at, at+1)
	}
	delete(m.records, key)
	delete(m.dues, key)
}

func (m *memState) Due(table byte, now int64, limit int) ([][]byte, error) {
	var keys [][]byte
	for _, d := range m.byDue {
		if d.due <= now && d.key[0] == table && len(keys) < limit {
			keys = append(keys, []byte(d.key))
		}
	}
	return keys, m.use()
}

func (m *memState) Count(table byte) (int, error) { return m.count(table), m.use() }

func (m *memState) Takers(id ListingID, n int) ([]ID, error) {
	var reporters []ID
	for _, key := range slices.Sorted(maps.Keys(m.records)) {
		if key[0] != TableActs || len(reporters) == n {
			continue
		}
		if of, reporter := ParseTakingKey([]byte(key)); of == id {
			reporters = append(reporters, reporter)
		}
	}
	if len(reporters) < n {
		return nil, fmt.Errorf("%d acts on listing %s, and it counts %d", len(reporters), id, n)
	}
	return reporters, m.use()
}

func (m *memState) Find(key ListingKey) (ListingID, bool, error) {
	ids := m.index[key]
	if len(ids) == 0 {
		return ListingID{}, false, m.use()
	}
	newest := slices.MaxFunc(ids, func(a, b ListingID) int {
		return cmp.Or(cmp.Compare(a.Leaf, b.Leaf), cmp.Compare(a.Item, b.Item))
	})
	return newest, true, m.use()
}

func (m *memState) Link(key ListingKey, id ListingID) error {
	if slices.Contains(m.index[key], id) {
		return fmt.Errorf("listing %s is linked twice", id)
	}
	m.index[key] = append(m.index[key], id)
	return m.use()
}

func (m *memState) Unlink(key ListingKey, id ListingID) error {
	at := slices.Index(m.index[key], id)
	if at < 0 {
		return fmt.Errorf("listing %s is not linked", id)
	}
	if m.index[key] = slices.Delete(m.index[key], at, at+1); len(m.index[key]) == 0 {
		delete(m.index, key)
	}
	return m.use()
}

func (m *memState) Body(id ItemID) (Body, error) { return m.bodies[id], m.use() }

func (m *memState) KeepBody(id ItemID, body Body) error {
	m.bodies[id] = body
	return m.use()
}

func (m *memState) DropBody(id ItemID) error {
	delete(m.bodies, id)
	return m.use()
}

// digest stands for the state digest: equal if and only if all records are.
func (m *memState) digest() Hash {
	h := sha256.New()
	for _, key := range slices.Sorted(maps.Keys(m.records)) {
		value := m.records[key]
		h.Write(putText(putU32(nil, uint32(len(value))), key))
		h.Write(value)
	}
	return Hash(h.Sum(nil))
}

// listings reads every listing, in the order of their ids.
func (m *memState) listings() []*Listing {
	var all []*Listing
	for _, key := range slices.Sorted(maps.Keys(m.records)) {
		if key[0] != TableListings {
			continue
		}
		l, err := ReadListing(ParseListingRecordKey([]byte(key)), m.records[key])
		if err != nil {
			panic(err)
		}
		all = append(all, l)
	}
	return all
}

// count says how many records a table has.
func (m *memState) count(table byte) int {
	n := 0
	for key := range m.records {
		if key[0] == table {
			n++
		}
	}
	return n
}
