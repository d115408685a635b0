package store

import (
	"errors"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/risknet/risknet/risk"
)

// A number that no command has would break the order of what is due.
func TestAListingOfNoCommandIsNotLoaded(t *testing.T) {
	w := newWorld()
	w.publish(w.acq, "", 0)
	s := open(t, t.TempDir(), Options{})
	defer mustClose(t, s)
	mustApply(t, s, w.entries)
	key := risk.ListingRecordKey(risk.ListingID{Leaf: s.Head().Size - 1})
	var value []byte
	err := s.newest(func(_ *meta, txn *badger.Txn) (err error) {
		value, err = record(txn, key)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for item, want := range map[uint16]error{0: nil, risk.MaxItems - 1: nil, risk.MaxItems: ErrImage, 1 << 14: ErrImage} {
		var c census
		forged := pair{risk.ListingRecordKey(risk.ListingID{Leaf: 7, Item: item}), value}
		if err := c.batch([]pair{forged}, newElement()); !errors.Is(err, want) {
			t.Errorf("item %d: %v", item, err)
		}
	}
}
