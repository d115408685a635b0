package store

import (
	"bytes"

	"github.com/dgraph-io/badger/v4"
)

// cursor reads what stands under a prefix beside another walk that goes in the
// same order: a step costs a tenth of a look-up. It ends early at a block that
// badger cannot read, so what must be there and is not found is damage.
type cursor struct {
	it     *badger.Iterator
	passed uint64
	raw    []byte
}

// cursorAt begins at the first key that is not below this one, whose first byte
// is the prefix.
func cursorAt(txn *badger.Txn, key []byte) *cursor {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: key[:1]})
	it.Seek(key)
	return &cursor{it: it}
}

func (c *cursor) close() { c.it.Close() }

// get reads a value, nil if there is none; it is good until the next. Who asks
// goes upwards.
func (c *cursor) get(key []byte) (value []byte, err error) {
	for ; c.it.Valid(); c.next() {
		item := c.it.Item()
		switch bytes.Compare(item.Key(), key) {
		case 0:
			c.raw, err = item.ValueCopy(c.raw)
			return c.raw, err
		case 1:
			return nil, nil
		}
	}
	return nil, nil
}

func (c *cursor) next() {
	c.it.Next()
	c.passed++
}

// count goes to the end, and says how many keys there are from the first on.
func (c *cursor) count() uint64 {
	for c.it.Valid() {
		c.next()
	}
	return c.passed
}
