package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"github.com/risknet/risknet/risk"
)

// listingScan holds each listing to its body and each key's link to the newest
// listing of that key. It goes along listings, bodies and links in their own
// orders and looks up only what stands elsewhere: the body of a revision, and the
// link of a listing that a newer one has taken the place of. It takes eight bytes
// a link as long as it lasts.
type listingScan struct {
	txn    *badger.Txn
	strict bool // no listing is without a link to it or to a newer one
	bodies *cursor
	beside uint64 // bodies that stood beside their records

	linked  []uint64 // places of listings that links lead to, upwards; those behind are taken off
	keyed   *keyed
	element []byte   // used again
	links   multiset // what links say: key, listing, version of its record
	led     multiset // what the listings that they lead to say
}

// scanListings reads the links, which is the first half.
func scanListings(ctx context.Context, m *meta, txn *badger.Txn) (*listingScan, error) {
	net, err := risk.LoadNetwork(&reader{meta: m})
	if err != nil {
		return nil, damage("its network: %w", err)
	}
	// A reset of the network's time can let a newer listing go, and with it the
	// link, before an older one of the same key.
	s := &listingScan{txn: txn, strict: net == nil || net.Resets == 0, keyed: newKeyed()}
	err = walkLinks(txn, func(item *badger.Item) error {
		l, err := readLink(item)
		if err != nil {
			return err
		}
		s.linked = append(s.linked, place(l.to))
		s.add(&s.links, item.Key(), l.to, l.version)
		return ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(s.linked)
	s.bodies = cursorAt(txn, []byte{prefixBody})
	return s, nil
}

func (s *listingScan) close() { s.bodies.close() }

// place orders listings as their keys do. There are no 2^48 leaves; a link that
// names such a one is found by its share of the sum.
func place(id risk.ListingID) uint64 { return id.Leaf<<16 | uint64(id.Item) }

func (s *listingScan) add(m *multiset, key []byte, to risk.ListingID, version uint64) {
	s.element = binary.BigEndian.AppendUint64(to.AppendTo(append(s.element[:0], key...)), version)
	m.add(s.keyed, s.element)
}

// hold takes the next listing.
func (s *listingScan) hold(id risk.ListingID, version uint64, raw []byte) error {
	record, beside, err := splitListing(raw)
	if err != nil {
		return fmt.Errorf("listing %s: %w", id, err)
	}
	l, err := risk.ReadListing(id, record)
	if err != nil {
		return fmt.Errorf("listing %s: %w", id, err)
	}
	body, err := s.body(l, beside)
	if err != nil {
		return err
	}
	content, err := risk.DecodeListingBody(body.Data)
	if err != nil {
		return fmt.Errorf("listing %s: %w", id, err)
	}
	key := (&risk.Standing{Listing: *l, Body: *content}).Key()
	if s.isLinked(id) {
		s.add(&s.led, linkKey(key), id, version)
		return nil
	}
	return s.replaced(id, key)
}

// body is beside the record or where the listing stands among the bodies, unless it
// was revised.
func (s *listingScan) body(l *risk.Listing, beside []byte) (body risk.Body, err error) {
	var raw []byte
	if beside != nil {
		s.beside++
	}
	if l.Rev == l.ID && beside != nil {
		raw = beside
	} else if l.Rev == l.ID {
		raw, err = s.bodies.get(bodyKey(l.ID))
	} else {
		raw, err = get(s.txn, bodyKey(l.Rev))
	}
	if err == nil && raw != nil {
		body, err = risk.ReadBody(raw)
	}
	if err != nil {
		return body, fmt.Errorf("body %s: %w", l.Rev, err)
	}
	return body, holdBody(&body, l.Rev, l.Item.Commitment)
}

// isLinked goes upwards with the listings.
func (s *listingScan) isLinked(id risk.ListingID) bool {
	for len(s.linked) > 0 && s.linked[0] < place(id) {
		s.linked = s.linked[1:]
	}
	return len(s.linked) > 0 && s.linked[0] == place(id)
}

// replaced: the link of its key leads to a newer listing.
func (s *listingScan) replaced(id risk.ListingID, key risk.ListingKey) error {
	if !s.strict {
		return nil
	}
	link, err := findLink(s.txn, key)
	if err != nil {
		return err
	}
	if !link.is || place(link.to) <= place(id) {
		return fmt.Errorf("no link leads to listing %s", id)
	}
	return nil
}

// agree is the other half: each link has met the listing that it names, under its
// own key and of its own version. Only if the sums differ is each link followed,
// which costs two look-ups, to name the one that is wrong.
func (s *listingScan) agree() error {
	if s.links == s.led {
		return nil
	}
	if err := verifyLinks(s.txn); err != nil {
		return err
	}
	return errors.New("its links do not lead to its listings")
}

// verifyLinks: each link leads to a listing that it is about.
func verifyLinks(txn *badger.Txn) error {
	return walkLinks(txn, func(item *badger.Item) error {
		key := risk.ParseListingKey(item.Key()[1:])
		one, err := standingAt(txn, item)
		if err != nil {
			return err
		}
		if one.Key() != key {
			return fmt.Errorf("a link leads to listing %s, which is about something else", one.Listing.ID)
		}
		return nil
	})
}
