package store

import (
	"errors"
	"strings"
	"testing"

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
	key := risk.ListingKey{Kind: risk.KindIP, Token: tokenOf(1), Reporter: w.acq.id, List: risk.ListBlack, Code: 12}
	for what, one := range map[string]struct {
		key   []byte
		value []byte // nil loses it
		names string
	}{
		"a listing is lost":       {risk.ListingRecordKey(id), nil, "1 of 2 listings"},
		"an institution is lost":  {append([]byte{risk.TableInstitutions}, w.acq.id[:]...), nil, "small tables"},
		"an outcome is forgotten": {append([]byte{risk.TableRemembered}, command[:]...), nil, "do not give the digest"},
		"a link is lost":          {linkKey(key), nil, "1 of 2 links"},
		"a link leads elsewhere":  {linkKey(key), risk.ItemID{Leaf: 6}.AppendTo(nil), "listing 6.0"},
		"a body is lost":          {bodyKey(id), nil, "body 3.0"},
		"a body is changed":       {bodyKey(id), make([]byte, 40), "body 3.0"},
		"a body too many":         {bodyKey(risk.ItemID{Leaf: 1}), make([]byte, 40), "3 bodies for 2"},
		"what is due is unknown":  {dueKey(worldStart, risk.ListingRecordKey(id)), []byte{}, "of what is due"},
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
