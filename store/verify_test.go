package store

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/risknet/risknet/ledger"
	"github.com/risknet/risknet/risk"
)

// Whatever one record, link, body, due time, leaf or hash is lost or changed to,
// a scan finds it and names it.
func TestVerifyAllNamesWhatIsWrong(t *testing.T) {
	w := newWorld()
	many(w, 3)
	command := w.publish(w.bank, "", 2).ID()
	id := risk.ListingID{Leaf: 3}
	alone := recordAlone(t, w, id)
	for what, one := range map[string]struct {
		key   []byte
		value []byte // nil loses it
		names string
	}{
		"a listing is lost":       {risk.ListingRecordKey(id), nil, "1 of 2 listings"},
		"an institution is lost":  {append([]byte{risk.TableInstitutions}, w.acq.id[:]...), nil, "small tables"},
		"an outcome is forgotten": {append([]byte{risk.TableRemembered}, command[:]...), nil, "do not give the digest"},
		"a link is lost":          {w.linkOf(1), nil, "1 of 2 links"},
		"a link leads elsewhere":  {w.linkOf(1), risk.ItemID{Leaf: 6}.AppendTo(nil), "listing 6.0"},
		"a link leads nowhere":    {w.linkOf(1), listingAt(1<<48+3, 0).AppendTo(nil), "listing 281474976710659.0"},
		"a body is lost":          {risk.ListingRecordKey(id), joinListing(alone, nil), "body 3.0"},
		"a body is changed":       {risk.ListingRecordKey(id), joinListing(alone, make([]byte, 40)), "body 3.0"},
		"a body is there twice":   {bodyKey(id), make([]byte, 40), "3 bodies for 2"},
		"a listing is cut short":  {risk.ListingRecordKey(id), joinListing(alone, nil)[:20], "cut short"},
		"a body too many":         {bodyKey(risk.ItemID{Leaf: 1}), make([]byte, 40), "3 bodies for 2"},
		"what is due is unknown":  {dueAt(worldStart, id), []byte{0, 0, 0, 0, 0, 0, 0, 1}, "of what is due"},
		"a leaf is lost":          {numbered(prefixLeaf, 2), nil, "leaf 2"},
		"a leaf is changed":       {numbered(prefixLeaf, 2), []byte{1}, "leaf 2"},
		"a hash is lost":          {numbered(prefixHash, ledger.StoredIndex(1, 0)), nil, "hash 2"},
		"a hash is changed":       {numbered(prefixHash, ledger.StoredIndex(1, 0)), make([]byte, 32), "hash 2"},
		"the position is another": {[]byte(keyMeta), []byte{1}, "position"},
		"a cut is lost":           {numbered(prefixCut, 2), []byte{}, "after entry 2"},
	} {
		t.Run(what, func(t *testing.T) {
			s := open(t, t.TempDir(), Options{})
			defer s.Close()
			mustApply(t, s, w.entries)
			if v := whole(t, s); v.Listings != 2 || v.Links != 2 || v.Bodies != 2 || v.Leaves != s.Head().Size {
				t.Fatalf("verified %+v", v)
			}
			c := s.begin()
			err := c.delete(one.key)
			if one.value != nil {
				err = c.set(one.key, one.value)
			}
			if err := errors.Join(err, c.txn.CommitAt(s.Version(), nil)); err != nil {
				t.Fatal(err)
			}
			if _, err := s.VerifyAll(ctx); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), one.names) {
				t.Errorf("verified: %v; want it to name %q", err, one.names)
			}
		})
	}
}

// As many as there must be, and all of them sound, but not where they belong: a
// count does not tell, and a sum alone does not say which. The scan looks at
// listings that were revised, and those that another has taken the place of.
func TestVerifyAllNamesWhatIsInAWrongPlace(t *testing.T) {
	w := newWorld()
	w.publish(w.acq, "", 0, 1, 2) // leaf 3
	w.publish(w.acq, "worse", 0)  // leaf 4
	w.liftAll(3, 2)
	w.publish(w.acq, "again", 1, 3) // leaf 6
	first, old, sound := listingAt(3, 0), listingAt(3, 1), listingAt(3, 2)
	again, due, together := listingAt(6, 0), dueOf(t, w, sound), []byte{0, 0, 0, 0, 0, 0, 0, 4}
	for what, one := range map[string]struct {
		lost, put, value []byte
		names            string
	}{
		"the body of a revision is lost":       {lost: bodyKey(listingAt(4, 0)), names: "body 4.0"},
		"the body of a revision is changed":    {put: bodyKey(listingAt(4, 0)), value: make([]byte, 40), names: "body 4.0"},
		"the body before a revision is there":  {lost: bodyKey(listingAt(4, 0)), put: bodyKey(first), value: make([]byte, 40), names: "body 4.0"},
		"a body beside its record is lost":     {put: risk.ListingRecordKey(again), value: joinListing(recordAlone(t, w, again), nil), names: "body 6.0"},
		"a body stands beside a revision":      {put: risk.ListingRecordKey(first), value: joinListing(recordAlone(t, w, first), make([]byte, 40)), names: "6 bodies for 5"},
		"a link leads to an older listing":     {put: w.linkOf(1), value: old.AppendTo(nil), names: "listing 6.0"},
		"a link is of another subject":         {lost: w.linkOf(1), put: w.linkOf(9), value: again.AppendTo(nil), names: "listing 3.1"},
		"a link of a listing that stands":      {lost: w.linkOf(2), put: w.linkOf(9), value: sound.AppendTo(nil), names: "listing 3.2"},
		"a link is written again":              {put: w.linkOf(2), value: sound.AppendTo(nil), names: "listing 3.2"},
		"what is due is due at another time":   {lost: due, put: dueAt(worldStart, sound), value: together, names: "30002 is due"},
		"what is due names another":            {lost: due, put: dueAt(worldStart, listingAt(9, 9)), value: together, names: "30002 is due"},
		"what is due has another of its leaf":  {put: due, value: []byte{0, 0, 0, 0, 0, 0, 0, 2}, names: "30002 is due"},
		"what is due has one too many":         {put: due, value: []byte{0, 0, 0, 0, 0, 0, 1, 4}, names: "30008 of what is due"},
		"what is due is cut short":             {put: due, value: []byte{0, 0, 5}, names: "names no record"},
		"what is due names no record":          {put: []byte{prefixDue, risk.TableListings}, value: []byte{}, names: "names no record"},
		"what is due names what is never due":  {put: dueKey(1, append([]byte{risk.TableInstitutions}, w.acq.id[:]...)), value: []byte{}, names: "what is due"},
		"a hash of the tree has a longer tail": {put: numbered(prefixHash, 3), value: make([]byte, 33), names: "hash 3"},
	} {
		t.Run(what, func(t *testing.T) {
			s := open(t, t.TempDir(), Options{})
			defer s.Close()
			for i := range w.entries { // so that each is of a version of its own
				mustApply(t, s, w.entries[i:i+1])
			}
			if v := whole(t, s); v.Listings != 5 || v.Links != 4 || v.Bodies != 5 {
				t.Fatalf("verified %+v", v)
			}
			c := s.begin()
			var err error
			if one.lost != nil {
				err = c.delete(one.lost)
			}
			if one.put != nil {
				err = errors.Join(err, c.set(one.put, one.value))
			}
			if err := errors.Join(err, c.txn.CommitAt(s.Version(), nil)); err != nil {
				t.Fatal(err)
			}
			if _, err := s.VerifyAll(ctx); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), one.names) {
				t.Errorf("verified: %v; want it to name %q", err, one.names)
			}
		})
	}
}

func listingAt(leaf uint64, item uint16) risk.ListingID {
	return risk.ListingID{Leaf: leaf, Item: item}
}

// recordAlone is a listing's record, without the body beside it.
func recordAlone(t *testing.T, w *world, id risk.ListingID) (alone []byte) {
	t.Helper()
	s := open(t, t.TempDir(), Options{})
	defer s.Close()
	mustApply(t, s, w.entries)
	err := s.newest(func(_ *meta, txn *badger.Txn) (err error) {
		alone, err = record(txn, risk.ListingRecordKey(id))
		return err
	})
	if err != nil || alone == nil {
		t.Fatalf("listing %s has no record: %v", id, err)
	}
	return alone
}

// dueAt is where the index of what is due has a listing.
func dueAt(due int64, id risk.ListingID) []byte {
	key, _ := dueGroupKey(due, risk.ListingRecordKey(id))
	return key[:]
}

// dueOf is where it has one that is in the state.
func dueOf(t *testing.T, w *world, id risk.ListingID) []byte {
	t.Helper()
	s := open(t, t.TempDir(), Options{})
	defer s.Close()
	mustApply(t, s, w.entries)
	var found []byte
	err := s.newest(func(_ *meta, txn *badger.Txn) error {
		return walkDue(txn, func(due int64, key []byte) error {
			if bytes.Equal(key, risk.ListingRecordKey(id)) {
				found = dueAt(due, id)
			}
			return nil
		})
	})
	if err != nil || found == nil {
		t.Fatalf("listing %s is never due: %v", id, err)
	}
	return found
}

// After a reset of the network's time a listing can go before the older one that
// it took the place of; then no link leads to that, and nothing is damaged.
func TestAListingWithoutALinkAfterAResetOfTimeIsNoDamage(t *testing.T) {
	w := newWorld()
	w.publish(w.acq, "", 1)
	w.now += 30 * day // a bad stamp
	newer := w.publish(w.acq, "", 1)
	w.now = worldStart + minute
	w.propose(w.hub, &risk.ResetTime{Time: w.now}, nil, nil)
	w.lift(w.acq, listingAt(4, 0))
	w.now += 180*day + minute
	w.publish(w.acq, "", 2)
	s := open(t, t.TempDir(), Options{})
	defer s.Close()
	mustApply(t, s, w.entries)
	if id := idOf(t, w, newer); id != listingAt(4, 0) {
		t.Fatalf("the newer listing is %s", id)
	}
	if v := whole(t, s); v.Listings != 2 || v.Links != 1 {
		t.Errorf("verified %+v; want the older listing without a link", v)
	}
	imaged := imagedAt(t, t.TempDir(), s)
	defer imaged.Close()
	whole(t, imaged)
}

func TestVerifyAllEndsWithItsContext(t *testing.T) {
	w := newWorld()
	s := open(t, t.TempDir(), Options{})
	defer s.Close()
	whole(t, s) // an empty one
	mustApply(t, s, w.entries)
	if _, err := s.VerifyAll(cancelled()); err == nil || errors.Is(err, ErrDamaged) {
		t.Errorf("verified: %v", err)
	}
}
