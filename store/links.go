package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"

	"github.com/dgraph-io/badger/v4"

	"github.com/risknet/risknet/risk"
)

// A link is written again whenever the record that it leads to changes, so the
// two are of one version. A reader that meets an older copy of one, because the
// newer is in a block that badger cannot read, knows by that.
type link struct {
	key     risk.ListingKey
	to      risk.ListingID
	version uint64 // before this cut; 0 for none
	is      bool   // there is one
	moved   bool   // this cut has written or removed it
}

// sums are of this process alone: nothing of them is stored.
var sums = maphash.MakeSeed()

// linkSum is a link's share of the sum over all links of its token. Who knows the
// sum of a token, and is given fewer or older links than there are, knows that.
func linkSum(key []byte, version uint64) uint16 {
	var whole [risk.ListingKeyBytes + 8]byte
	return uint16(maphash.Bytes(sums, binary.BigEndian.AppendUint64(append(whole[:0], key...), version)))
}

func findLink(txn *badger.Txn, k risk.ListingKey) (link, error) {
	item, err := txn.Get(linkKey(k))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return link{}, nil
	}
	if err != nil {
		return link{}, err
	}
	return readLink(item)
}

func readLink(item *badger.Item) (link, error) {
	l := link{version: item.Version(), is: true}
	err := item.Value(func(raw []byte) error {
		if len(raw) != risk.ItemIDBytes {
			return fmt.Errorf("%w: a link of %d bytes", ErrDamaged, len(raw))
		}
		l.to = risk.ReadItemID(raw)
		return nil
	})
	return l, err
}

// link is what this cut knows of a link.
func (c *cut) link(k risk.ListingKey) (*link, error) {
	if l := c.links[k]; l != nil {
		return l, nil
	}
	l := link{}
	if !c.store.opts.Lacks(c.store.now.Load().version(), Key{k.Kind, k.Token}) {
		var err error
		if l, err = findLink(c.txn, k); err != nil {
			return nil, err
		}
	}
	l.key = k
	if len(c.fresh) == cap(c.fresh) {
		c.fresh = make([]link, 0, 128)
	}
	c.fresh = append(c.fresh, l)
	at := &c.fresh[len(c.fresh)-1]
	c.links[k] = at
	return at, nil
}

func (c *cut) move(l *link) {
	if !l.moved {
		l.moved = true
		c.moved = append(c.moved, l)
	}
}

// Find gives the newest listing of a key.
func (c *cut) Find(k risk.ListingKey) (risk.ListingID, bool, error) {
	l, err := c.link(k)
	if err != nil || !l.is {
		return risk.ListingID{}, false, err
	}
	c.led[string(risk.ListingRecordKey(l.to))] = l.committed()
	return l.to, true, nil
}

// committed is the version on disk; 0 if this cut is about to give another.
func (l *link) committed() uint64 {
	if l.moved {
		return 0
	}
	return l.version
}

// Link makes a listing the newest of its key.
func (c *cut) Link(k risk.ListingKey, id risk.ListingID) error {
	l, err := c.link(k)
	if err != nil {
		return err
	}
	if !l.is {
		c.meta.links++
	}
	l.to, l.is = id, true
	c.move(l)
	return c.set(appendLinkKey(c.slab.room(linkKeyBytes), &k), id.AppendTo(c.slab.room(risk.ItemIDBytes)))
}

// Unlink takes a listing out of the index, unless a newer one has its place.
func (c *cut) Unlink(k risk.ListingKey, id risk.ListingID) error {
	l, err := c.link(k)
	if err != nil || !l.is || l.to != id {
		return err
	}
	c.meta.links--
	l.is = false
	c.move(l)
	return c.delete(linkKey(k))
}

// relink writes the link of a listing whose record has changed. A replay that
// has lost its body does not know the link; then there is none.
func (c *cut) relink(ch *risk.Change) error {
	listing, err := risk.ReadListing(risk.ParseListingRecordKey(ch.Key), ch.New)
	if err != nil {
		return err
	}
	body, err := readBody(c.txn, listing.Rev)
	if err != nil || body.Erased() {
		return err
	}
	content, err := risk.DecodeListingBody(body.Data)
	if err != nil {
		return err
	}
	k := (&risk.Standing{Listing: *listing, Body: *content}).Key()
	if l, err := c.link(k); err != nil || !l.is || l.to != listing.ID {
		return err
	}
	return c.Link(k, listing.ID)
}

// touched are the tokens of the links that this cut has moved.
func (c *cut) touched() (linked, unlinked []Touched) {
	linked = make([]Touched, 0, len(c.moved))
	var room [risk.ListingKeyBytes]byte
	for _, l := range c.moved {
		raw := l.key.AppendTo(room[:0])
		t := Touched{Key: Key{l.key.Kind, l.key.Token}}
		if l.version != 0 {
			t.Delta -= linkSum(raw, l.version)
		}
		switch {
		case l.is:
			t.Delta += linkSum(raw, c.meta.version())
			linked = append(linked, t)
		case l.version != 0:
			unlinked = append(unlinked, t)
		}
	}
	return linked, unlinked
}
