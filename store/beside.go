package store

import (
	"encoding/binary"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"github.com/risknet/risknet/risk"
)

// A listing's first body stands beside its record, under the record's key, if it is
// short: most are, and a key of its own was a third of what an import still writes. It
// also saves a check the second look. Where a body stands changes nothing that is
// replicated; an image has each under its own key, as if none stood beside its record.
//
//	u16 record | record | salt | body, or nothing where the body stands elsewhere

// besideBytes is the longest body that does. Each change of a listing writes it again,
// and a command may change 512; see roomBytes.
const besideBytes = 512

func joinListing(record, body []byte) []byte {
	return append(appendRecord(make([]byte, 0, 2+len(record)+len(body)), record), body...)
}

// appendRecord begins a listing: its body may follow.
func appendRecord(dst, record []byte) []byte {
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(record))), record...)
}

// splitListing gives the record, and the body if it stands beside it.
func splitListing(raw []byte) (record, body []byte, err error) {
	if len(raw) < 2 || len(raw)-2 < int(binary.BigEndian.Uint16(raw)) {
		return nil, nil, damage("a listing of %d bytes is cut short", len(raw))
	}
	n := 2 + int(binary.BigEndian.Uint16(raw))
	if len(raw) > n {
		body = raw[n:]
	}
	return raw[2:n:n], body, nil
}

// recordIn gives what the digest holds of a record.
func recordIn(key, raw []byte) ([]byte, error) {
	if key[0] != risk.TableListings {
		return raw, nil
	}
	record, _, err := splitListing(raw)
	return record, err
}

// eachRecord reads an item's record.
func eachRecord(item *badger.Item, visit func(key, record []byte) error) error {
	return item.Value(func(raw []byte) error {
		record, err := recordIn(item.Key(), raw)
		if err != nil {
			return err
		}
		return visit(item.Key(), record)
	})
}

// record reads one; nil if there is none.
func record(txn *badger.Txn, key []byte) ([]byte, error) {
	raw, err := get(txn, key)
	if err != nil || raw == nil {
		return nil, err
	}
	return recordIn(key, raw)
}

// readBody gives a body wherever it stands.
func readBody(txn *badger.Txn, id risk.ItemID) (risk.Body, error) {
	raw, err := get(txn, bodyKey(id))
	if err == nil && raw == nil {
		raw, err = bodyBeside(txn, id)
	}
	if err != nil || raw == nil {
		return risk.Body{}, err
	}
	return risk.ReadBody(raw)
}

func bodyBeside(txn *badger.Txn, id risk.ItemID) ([]byte, error) {
	raw, err := get(txn, risk.ListingRecordKey(id))
	if err != nil || raw == nil {
		return nil, err
	}
	_, body, err := splitListing(raw)
	return body, err
}

// walkBodies visits all bodies, in the order of their own keys.
func walkBodies(txn *badger.Txn, visit func(key, body []byte) error) error {
	apart := cursorAt(txn, []byte{prefixBody})
	defer apart.close()
	err := walk(txn, []byte{risk.TableListings}, func(item *badger.Item) error {
		return item.Value(func(raw []byte) error {
			_, body, err := splitListing(raw)
			if err != nil || body == nil {
				return err
			}
			key := bodyKey(risk.ParseListingRecordKey(item.Key()))
			if err := apart.before(key, visit); err != nil {
				return err
			}
			return visit(key, body)
		})
	})
	if err != nil {
		return err
	}
	return apart.before([]byte{prefixBody + 1}, visit)
}

// before visits all up to a key.
func (c *cursor) before(key []byte, visit func(key, value []byte) error) error {
	for ; c.it.Valid() && slices.Compare(c.it.Item().Key(), key) < 0; c.next() {
		item := c.it.Item()
		if err := item.Value(func(value []byte) error { return visit(item.Key(), value) }); err != nil {
			return err
		}
	}
	return nil
}

// created is a listing that was put and not yet written: its body comes next.
type created struct{ key, record []byte }

// putListing writes a listing. One that is new waits for its body; one that stood keeps
// what stands beside it.
func (c *cut) putListing(ch *risk.Change) error {
	if ch.Old == nil {
		c.created = created{ch.Key, ch.New}
		return nil
	}
	_, body, err := c.listing(ch.Key)
	if err != nil {
		return err
	}
	return c.set(ch.Key, joinListing(ch.New, body))
}

// listing reads what stands under a listing's key; nil if there is none.
func (c *cut) listing(key []byte) (record, body []byte, err error) {
	raw, err := get(c.txn, key)
	if err != nil || raw == nil {
		return nil, nil, err
	}
	return splitListing(raw)
}

// writeCreated writes the listing that waits, without a body beside it. It comes
// before everything that may read it.
func (c *cut) writeCreated() error {
	last := c.created
	if last.key == nil {
		return nil
	}
	c.created = created{}
	return c.set(last.key, joinListing(last.record, nil))
}

// KeepBody stores a body beside the ledger.
func (c *cut) KeepBody(id risk.ItemID, b risk.Body) error {
	last, room := c.created, len(b.Salt)+len(b.Data)
	if len(b.Data) > besideBytes || last.key == nil || risk.ParseListingRecordKey(last.key) != id {
		return c.set(bodyKey(id), b.AppendTo(make([]byte, 0, room)))
	}
	c.created = created{}
	return c.set(last.key, b.AppendTo(appendRecord(c.slab.room(2+len(last.record)+room), last.record)))
}

// DropBody destroys a body. What stood beside a record goes by writing the record
// again; the law then changes it, and with it the link that is of its version.
func (c *cut) DropBody(id risk.ItemID) error {
	if err := c.writeCreated(); err != nil {
		return err
	}
	key := risk.ListingRecordKey(id)
	record, body, err := c.listing(key)
	switch {
	case err != nil:
		return err
	case body != nil:
		return c.set(key, joinListing(record, nil))
	}
	return c.delete(bodyKey(id))
}

// Body gives an item's body. The law asks for those of records that it has read,
// and nothing erases those yet: one that is missing is damage, but in a replay, which
// may be given none.
func (c *cut) Body(id risk.ItemID) (risk.Body, error) {
	if err := c.writeCreated(); err != nil {
		return risk.Body{}, err
	}
	body, err := readBody(c.txn, id)
	if err == nil && body.Erased() && !c.replaying {
		err = damage("body %s is missing", id)
	}
	return body, err
}
