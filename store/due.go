package store

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"github.com/risknet/risknet/risk"
)

// The index of what is due says of each record when it may go. A report of 512
// subjects makes 512 listings that end at one time, so those of one leaf and one time
// stand together, up to 64 to a key, as bits: an entry for each was a quarter of all
// that an import wrote.

// dueEntry is one record in the index.
type dueEntry struct {
	due int64
	key []byte
}

// dueKey orders entries by (due time, key of the record); it is also where an entry
// stands that is no listing.
func dueKey(due int64, key []byte) []byte {
	dst := append(make([]byte, 0, dueHead+len(key)), prefixDue, key[0])
	dst = binary.BigEndian.AppendUint64(dst, uint64(due))
	return append(dst, key...)
}

const (
	dueHead       = 1 + 1 + 8 // what stands before the record's key
	dueGroupItems = 64
	dueGroupBytes = dueHead + 1 + 8 + 1
	itemAt        = 1 + 8 // in the key of a listing
)

// dueGroupAt is a key of listings.
type dueGroupAt [dueGroupBytes]byte

// dueGroupKey is where a listing's entry stands, and as which bit: the key has the
// listing's leaf, and its item without the last six bits, which fit into a byte.
func dueGroupKey(due int64, listing []byte) (key dueGroupAt, bit uint64) {
	item := binary.BigEndian.Uint16(listing[itemAt:])
	key[0], key[1] = prefixDue, listing[0]
	binary.BigEndian.PutUint64(key[2:], uint64(due))
	copy(key[dueHead:], listing[:itemAt])
	key[dueGroupBytes-1] = byte(item / dueGroupItems)
	return key, 1 << (item % dueGroupItems)
}

// eachDue gives the entries that stand at one key, in their order. The record's key
// is good until the next.
func eachDue(key, value []byte, visit func(due int64, key []byte) error) error {
	if len(key) <= dueHead {
		return damage("entry %x of what is due names no record", key)
	}
	due := int64(binary.BigEndian.Uint64(key[2:]))
	if key[1] != risk.TableListings {
		return visit(due, key[dueHead:])
	}
	if len(key) != dueGroupBytes || len(value) != 8 {
		return damage("entry %x of what is due names no record", key)
	}
	record := append(make([]byte, 0, itemAt+2), key[dueHead:dueHead+itemAt]...)
	first := uint16(key[dueGroupBytes-1]) * dueGroupItems
	for left := binary.BigEndian.Uint64(value); left != 0; left &= left - 1 {
		item := first + uint16(bits.TrailingZeros64(left))
		if err := visit(due, binary.BigEndian.AppendUint16(record, item)); err != nil {
			return err
		}
	}
	return nil
}

// walkDue visits the whole index, in no certain order.
func walkDue(txn *badger.Txn, visit func(due int64, key []byte) error) error {
	return walk(txn, []byte{prefixDue}, func(item *badger.Item) error {
		return item.Value(func(value []byte) error { return eachDue(item.Key(), value, visit) })
	})
}

// isDueAt reports whether an entry is in the index.
func isDueAt(txn *badger.Txn, due int64, key []byte) (bool, error) {
	if key[0] != risk.TableListings {
		return has(txn, dueKey(due, key))
	}
	at, bit := dueGroupKey(due, key)
	raw, err := get(txn, at[:])
	return err == nil && len(raw) == 8 && binary.BigEndian.Uint64(raw)&bit != 0, err
}

// dueGroup is a key of listings that a cut has changed; it is written at the end.
type dueGroup struct{ bits uint64 }

// dueGroup reads one that this cut has not changed yet. Of a leaf that is of this cut
// there is none.
func (c *cut) dueGroup(due int64, listing []byte) (g *dueGroup, bit uint64, err error) {
	key, bit := dueGroupKey(due, listing)
	if g = c.dueGroups[key]; g != nil {
		return g, bit, nil
	}
	g = &dueGroup{}
	if binary.BigEndian.Uint64(listing[1:]) < c.store.now.Load().head.Size {
		raw, err := get(c.txn, bytes.Clone(key[:])) // so that the key stays on the stack
		if err != nil {
			return nil, 0, err
		}
		if len(raw) == 8 {
			g.bits = binary.BigEndian.Uint64(raw)
		}
	}
	c.dueGroups[key] = g
	c.bytes += int64(len(key) + 8 + entryOverhead)
	c.writes++
	return g, bit, nil
}

func (c *cut) writeDueGroups() error {
	for at, g := range c.dueGroups {
		err, key := error(nil), append(c.slab.room(len(at)), at[:]...)
		if g.bits == 0 {
			err = c.txn.Delete(key)
		} else {
			err = c.txn.Set(key, binary.BigEndian.AppendUint64(c.slab.room(8), g.bits))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *cut) reschedule(ch *risk.Change) error {
	if ch.OldDue == ch.NewDue {
		return nil
	}
	if ch.OldDue != 0 {
		c.removed[string(dueKey(ch.OldDue, ch.Key))] = true
		if err := c.dropDue(ch.OldDue, ch.Key); err != nil {
			return err
		}
	}
	if ch.NewDue == 0 {
		return nil
	}
	if len(c.removed) > 0 {
		delete(c.removed, string(dueKey(ch.NewDue, ch.Key)))
	}
	slot := dueSlot(ch.Key[0])
	c.added[slot] = append(c.added[slot], dueEntry{ch.NewDue, ch.Key})
	c.soonest[slot] = min(c.soonest[slot], ch.NewDue)
	return c.setDue(ch.NewDue, ch.Key)
}

func (c *cut) setDue(due int64, key []byte) error {
	if key[0] != risk.TableListings {
		return c.set(dueKey(due, key), nil)
	}
	g, bit, err := c.dueGroup(due, key)
	if err == nil {
		g.bits |= bit
	}
	return err
}

func (c *cut) dropDue(due int64, key []byte) error {
	if key[0] != risk.TableListings {
		return c.delete(dueKey(due, key))
	}
	g, bit, err := c.dueGroup(due, key)
	if err != nil {
		return err
	}
	if g.bits&bit == 0 { // to write the others of the group without it would lose them
		return damage("record %x is due at %d and is not among those that are", key, due)
	}
	g.bits &^= bit
	return nil
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
	found, err := c.committedDue(table, now, limit+1)
	if err != nil {
		return nil, err
	}
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
func (c *cut) committedDue(table byte, now int64, limit int) (found []dueEntry, err error) {
	txn := c.meta.gen.db.NewTransactionAt(c.store.now.Load().version(), false)
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{prefixDue, table}})
	defer it.Close()
	enough := false
	take := func(due int64, key []byte) error {
		if !enough && !c.removed[string(dueKey(due, key))] {
			found = append(found, dueEntry{due, bytes.Clone(key)})
			enough = due > now || len(found) == limit
		}
		return nil
	}
	for it.Seek(dueKey(c.soonest[dueSlot(table)], []byte{table})); it.Valid() && !enough && err == nil; it.Next() {
		key := it.Item().Key()
		err = it.Item().Value(func(value []byte) error { return eachDue(key, value, take) })
	}
	return found, err
}
