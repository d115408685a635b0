package store

import (
	"bytes"
	"errors"
	"maps"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"github.com/risknet/risknet/risk"
)

// act notes what this cut does to the acts on a listing.
func (c *cut) act(ch *risk.Change) {
	of, by := risk.ParseTakingKey(ch.Key)
	if c.acts[of] == nil {
		c.acts[of] = map[risk.ID]bool{}
	}
	c.acts[of][by] = ch.New != nil
}

// Takers lists who has acted on a listing: what was committed before this cut, and
// what this cut has put. An iterator over the cut itself would sort all its writes.
// The listing knows how many there are; fewer are damage.
func (c *cut) Takers(listing risk.ListingID, n int) ([]risk.ID, error) {
	txn := c.meta.gen.db.NewTransactionAt(c.store.now.Load().version(), false)
	defer txn.Discard()
	mine := c.acts[listing]
	var list []risk.ID
	for by := range maps.Keys(mine) {
		if mine[by] {
			list = append(list, by)
		}
	}
	it := txn.NewIterator(badger.IteratorOptions{Prefix: listing.AppendTo([]byte{risk.TableActs})})
	defer it.Close()
	committed := 0
	for it.Rewind(); it.Valid() && committed < n; it.Next() {
		_, by := risk.ParseTakingKey(it.Item().Key())
		if _, moved := mine[by]; !moved {
			list, committed = append(list, by), committed+1
		}
	}
	slices.SortFunc(list, func(a, b risk.ID) int { return bytes.Compare(a[:], b[:]) })
	if len(list) < n {
		return nil, damage("%d acts on listing %s can be read, and it counts %d", len(list), listing, n)
	}
	for _, by := range list[:n] {
		c.led[string(listing.AppendTo([]byte{risk.TableActs}))+string(by[:])] = 0
	}
	return list[:n], nil
}

// Count says how many protections there are.
func (c *cut) Count(table byte) (int, error) { return len(c.meta.small[table]), nil }

func (r *reader) Takers(risk.ListingID, int) ([]risk.ID, error) { return nil, errReadOnly }
func (r *reader) Count(table byte) (int, error)                 { return len(r.meta.small[table]), nil }

// Lives are the longest lives of listings by code.
func (s *Store) Lives() (risk.Lives, error) { return risk.LoadLives(s.state()) }

// Protections lists those that the newest state holds, ended ones too, in the order
// in which they began, and the version that they are of. There are few: whoever
// answers checks keeps them in memory and asks again when a cut says that they have
// changed.
func (s *Store) Protections() (list []*risk.Protected, version uint64, err error) {
	err = s.newest(func(m *meta, txn *badger.Txn) error {
		list, version = nil, m.version()
		records := m.small[risk.TableProtections]
		for _, key := range slices.Sorted(maps.Keys(records)) {
			one, err := protectedIn(txn, []byte(key), records[key])
			if errors.Is(err, errErased) && s.replayed.Load() {
				continue // nobody keeps its token any more
			}
			if err != nil {
				return damage("protection %x: %w", key, err)
			}
			list = append(list, one)
		}
		return nil
	})
	return list, version, err
}

var errErased = errors.New("its body is gone")

func protectedIn(txn *badger.Txn, key, value []byte) (*risk.Protected, error) {
	p, err := risk.ReadProtection(key, value)
	if err != nil {
		return nil, err
	}
	body, err := readBody(txn, p.ID)
	if err != nil {
		return nil, err
	}
	if body.Erased() {
		return nil, errErased
	}
	if err := holdBody(&body, p.ID, p.Commitment); err != nil {
		return nil, err
	}
	content, err := risk.DecodeProtectionBody(body.Data)
	if err != nil {
		return nil, err
	}
	return &risk.Protected{Protection: *p, Body: *content}, nil
}
