package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
	"time"

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

// refused has something ended by ErrImage, and ended at all.
func refused(t *testing.T, what func() error) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- what() }()
	select {
	case err := <-done:
		if !errors.Is(err, ErrImage) {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("it is neither taken nor refused")
	}
}

// The worker that meets a bad record ends; the others must not wait for more for ever.
func TestABadRecordAheadOfManyIsRefused(t *testing.T) {
	w := newWorld()
	w.publish(w.acq, "", subjects(0, 4)...)
	image, at := imageMade(t, w)
	head := len(imageMagic) + len(risk.Hash{})
	for range 3 {
		head += 4 + int(binary.BigEndian.Uint32(image[head:]))
	}
	bad := bytes.Clone(image[:head])
	for i := range 100_000 {
		table := byte(risk.TableRemembered) // the first cannot be read
		if i > 0 {
			table = risk.TableLives // nothing is due of these
		}
		key := binary.BigEndian.AppendUint64([]byte{table}, uint64(i))
		bad = append(binary.BigEndian.AppendUint32(append(bad, table), uint32(len(key))), key...)
		bad = append(binary.BigEndian.AppendUint32(bad, 3), "bad"...)
	}
	s := open(t, t.TempDir(), Options{})
	refused(t, func() error { return install(s, bad, at) })
	mustClose(t, s)
}

// One bit of a listing's number, in an archive of some length.
func TestARottenArchiveIsRefused(t *testing.T) {
	w := newWorld()
	for i := range 40 {
		w.publish(w.acq, "", subjects(500*i, 500)...)
	}
	source := open(t, t.TempDir(), Options{})
	mustApply(t, source, w.entries)
	var archive bytes.Buffer
	if _, err := source.WriteArchive(ctx, &archive); err != nil {
		t.Fatal(err)
	}
	mustClose(t, source)
	key := risk.ListingRecordKey(risk.ListingID{Leaf: 3, Item: 499}) // the last of its leaf, so that the order holds
	at := bytes.Index(archive.Bytes(), append([]byte{risk.TableListings, 0, 0, 0, byte(len(key))}, key...))
	if at < 0 {
		t.Fatal("the listing is not in the archive")
	}
	archive.Bytes()[at+5+len(key)-2] ^= 0x80
	refused(t, func() error {
		_, err := VerifyArchive(bytes.NewReader(archive.Bytes()), Options{Logger: quiet})
		return err
	})
}
