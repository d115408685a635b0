package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/dgraph-io/badger/v4"

	"github.com/risknet/risknet/ledger"
	"github.com/risknet/risknet/risk"
)

// Reader answers questions about the listings, at versions of one life of the
// state: a restored image begins another, and its readers are others too.
type Reader struct{ gen *generation }

// Reader gives the reader of the state as it is now.
func (s *Store) Reader() *Reader { return &Reader{s.now.Load().gen} }

// Standing gives the newest listing of each key of a token, in whatever state it
// is, of each reporter at most risk.MaxVoices; none if the token has no listing. Sum is the sum of what was read: it
// differs from the token's if something could not be. A listing that must be there
// and is not, or is older than its link, is ErrDamaged.
func (r *Reader) Standing(version uint64, kind risk.Kind, token risk.Token) (list []risk.Standing, sum uint16, err error) {
	err = r.gen.view(version, func(txn *badger.Txn) error {
		var reporter risk.ID
		voices := 0
		err := walk(txn, subjectPrefix(kind, token), func(item *badger.Item) error {
			sum += linkSum(item.Key()[1:], item.Version())
			if by := risk.ParseListingKey(item.Key()[1:]).Reporter; by != reporter {
				reporter, voices = by, 0
			}
			if voices++; voices > risk.MaxVoices {
				return nil
			}
			one, err := standingAt(txn, item)
			if err != nil {
				return err
			}
			list = append(list, *one)
			return nil
		})
		if err != nil || len(list) == 0 {
			return err
		}
		return vouch(txn, list)
	})
	return list, sum, err
}

// vouch says of each listing what its reporter's word is worth.
func vouch(txn *badger.Txn, list []risk.Standing) error {
	state := &direct{reader{txn: txn}}
	net, err := risk.LoadNetwork(state)
	if err != nil {
		return err
	}
	if net == nil {
		return fmt.Errorf("%w: somebody is listed and the network is not founded", ErrDamaged)
	}
	for i := range list {
		s := &list[i]
		s.ByHub = s.Listing.Reporter == net.Hub
		if s.Reputation, err = risk.LoadReputation(state, s.Listing.Reporter); err != nil {
			return err
		}
	}
	return nil
}

// direct is the state of one version, small tables too.
type direct struct{ reader }

func (d *direct) Record(key []byte) ([]byte, error) { return record(d.txn, key) }

// walkLinks visits every link, and says so if one cannot be read: a filter made
// of fewer would let listed subjects pass.
func walkLinks(txn *badger.Txn, visit func(item *badger.Item) error) error {
	want, err := linksOf(txn)
	if err != nil {
		return err
	}
	n := uint64(0)
	err = walk(txn, []byte{prefixLink}, func(item *badger.Item) error {
		n++
		return visit(item)
	})
	if err == nil && n != want {
		err = missingLinks(n, want)
	}
	return err
}

// linksOf is how many there are.
func linksOf(txn *badger.Txn) (uint64, error) {
	raw, err := get(txn, []byte(keyMeta))
	if err != nil || raw == nil {
		return 0, err
	}
	m, err := decodeMeta(raw)
	if err != nil {
		return 0, err
	}
	return m.links, nil
}

func missingLinks(n, want uint64) error {
	return fmt.Errorf("%w: %d of %d links can be read", ErrDamaged, n, want)
}

// standingAt reads the listing that a link leads to, with its body.
func standingAt(txn *badger.Txn, at *badger.Item) (*risk.Standing, error) {
	l, err := readLink(at)
	if err != nil {
		return nil, err
	}
	record, err := txn.Get(risk.ListingRecordKey(l.to))
	switch {
	case errors.Is(err, badger.ErrKeyNotFound):
		return nil, fmt.Errorf("%w: listing %s is linked and has no record", ErrDamaged, l.to)
	case err != nil:
		return nil, err
	case record.Version() != l.version:
		return nil, fmt.Errorf("%w: the record of listing %s is of version %d, its link of %d", ErrDamaged, l.to, record.Version(), l.version)
	}
	raw, err := record.ValueCopy(nil)
	if err != nil {
		return nil, err
	}
	return standingOf(txn, l.to, raw)
}

// standingOf is standing where what stands under the record's key is at hand.
func standingOf(txn *badger.Txn, id risk.ListingID, raw []byte) (*risk.Standing, error) {
	record, beside, err := splitListing(raw)
	if err != nil {
		return nil, err
	}
	l, err := risk.ReadListing(id, record)
	if err != nil {
		return nil, fmt.Errorf("%w: listing %s: %w", ErrDamaged, id, err)
	}
	var body risk.Body
	if l.Rev == id && beside != nil {
		body, err = risk.ReadBody(beside)
	} else {
		body, err = readBody(txn, l.Rev)
	}
	if err == nil && body.Erased() {
		err = errors.New("has no body")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: listing %s: %w", ErrDamaged, id, err)
	}
	content, err := risk.DecodeListingBody(body.Data)
	if err != nil {
		return nil, fmt.Errorf("%w: listing %s: %w", ErrDamaged, id, err)
	}
	return &risk.Standing{Listing: *l, Body: *content}, nil
}

// Listings visits every linked listing of the newest state, in the order of
// their tokens, which tells nothing.
func (s *Store) Listings(ctx context.Context, visit func(*risk.Standing) error) error {
	return s.scanNewest(func(_ *meta, txn *badger.Txn) error {
		return walkLinks(txn, func(item *badger.Item) error {
			one, err := standingAt(txn, item)
			if err != nil {
				return err
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			return visit(one)
		})
	})
}

// state lets the law's own loaders read the small tables.
func (s *Store) state() risk.State { return &reader{meta: s.now.Load()} }

// Network is nil before the founding.
func (s *Store) Network() (*risk.Network, error) { return risk.LoadNetwork(s.state()) }

// Clock is the network's time.
func (s *Store) Clock() (risk.Clock, error) { return risk.LoadClock(s.state()) }

// Epochs are the token keys in use.
func (s *Store) Epochs() (risk.Epochs, error) { return risk.LoadEpochs(s.state()) }

// Policy is how reports are weighed.
func (s *Store) Policy() (*risk.Policy, error) { return risk.LoadPolicy(s.state()) }

// Reputations lists what is held for and against reporters.
func (s *Store) Reputations() ([]*risk.Reputation, error) {
	return collect(s, risk.TableReputations, risk.ReadReputation)
}

// Scopes says which scopes are in use.
func (s *Store) Scopes() (risk.Scopes, error) { return risk.LoadScopes(s.state()) }

// RulesHead says which rule sets are the newest and the one in force.
func (s *Store) RulesHead() (risk.RulesHead, error) { return risk.LoadRulesHead(s.state()) }

// Nodes lists the node records by name.
func (s *Store) Nodes() ([]*risk.PutNode, error) {
	list, err := collect(s, risk.TableNodes, func(_, value []byte) (*risk.PutNode, error) { return risk.ReadNode(value) })
	slices.SortFunc(list, func(a, b *risk.PutNode) int { return compareNames(a.Name, b.Name) })
	return list, err
}

// compareNames puts n2 before n10.
func compareNames(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

// Revocations lists the certificates that are let in no more.
func (s *Store) Revocations() ([]*risk.Revocation, error) {
	return collect(s, risk.TableRevocations, risk.ReadRevocation)
}

// Institution reads one; nil if there is none of that id.
func (s *Store) Institution(reporter risk.ID) (inst *risk.Institution, err error) {
	err = s.newest(func(m *meta, txn *badger.Txn) error {
		inst, err = risk.LoadInstitution(&reader{meta: m, txn: txn}, reporter)
		return err
	})
	return inst, err
}

// Institutions lists the reporting identities by id.
func (s *Store) Institutions() ([]*risk.Institution, error) {
	return collect(s, risk.TableInstitutions, risk.ReadInstitution)
}

// AuthorKeys lists the keys of all institutions, those that are retired too.
func (s *Store) AuthorKeys() ([]*risk.AuthorKey, error) {
	return collect(s, risk.TableKeys, risk.ReadAuthorKey)
}

// RuleSets lists the rule sets by version.
func (s *Store) RuleSets() ([]*risk.RuleSet, error) {
	return collect(s, risk.TableRuleSets, risk.ReadRuleSet)
}

// collect reads a small table in the order of its keys.
func collect[T any](s *Store, table byte, read func(key, value []byte) (T, error)) ([]T, error) {
	records := s.now.Load().small[table]
	var list []T
	for _, key := range slices.Sorted(maps.Keys(records)) {
		one, err := read([]byte(key), records[key])
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		list = append(list, one)
	}
	return list, nil
}

// RuleSource gives a rule set and its text; nil if there is no such version.
func (s *Store) RuleSource(version uint32) ([]byte, *risk.RuleSet, error) {
	var set *risk.RuleSet
	var body risk.Body
	err := s.newest(func(m *meta, txn *badger.Txn) (err error) {
		if set, err = risk.LoadRuleSet(&reader{meta: m}, version); err == nil && set != nil {
			body, err = readBody(txn, risk.ItemID{Leaf: set.Leaf})
		}
		return err
	})
	if err != nil || set == nil {
		return nil, nil, err
	}
	if body.Commit() != set.Commitment {
		err = fmt.Errorf("%w: rule set %d is not what was published", ErrDamaged, version)
	}
	return body.Data, set, err
}

// Leaf gives a leaf of the ledger; nil if this replica does not hold it.
func (s *Store) Leaf(index uint64) ([]byte, error) {
	var leaf []byte
	err := s.newest(func(m *meta, txn *badger.Txn) (err error) {
		held := index >= m.gen.from.Load() && index < m.head.Size
		if leaf, err = get(txn, numbered(prefixLeaf, index)); err == nil && held && leaf == nil {
			err = fmt.Errorf("%w: leaf %d is missing", ErrDamaged, index)
		}
		return err
	})
	return leaf, err
}

// Hashes reads the tree's stored hashes, for proofs and tiles.
func (s *Store) Hashes(indexes []uint64, into []ledger.Hash) error {
	return s.newest(func(_ *meta, txn *badger.Txn) error {
		for i, index := range indexes {
			raw, err := get(txn, numbered(prefixHash, index))
			if err != nil {
				return err
			}
			if len(raw) != len(into[i]) {
				return fmt.Errorf("hash %d of the tree is not here", index)
			}
			copy(into[i][:], raw)
		}
		return nil
	})
}

// Rescan makes the digest anew from every record on disk. It equals Digest, or
// something has changed a record that was not the law.
func (s *Store) Rescan() (risk.Hash, error) {
	var lanes Lanes
	e := newElement()
	err := s.scanNewest(func(_ *meta, txn *badger.Txn) error {
		for _, table := range tables {
			err := walk(txn, []byte{table}, func(item *badger.Item) error {
				return eachRecord(item, func(key, record []byte) error {
					lanes.add(e, key, record)
					return nil
				})
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	return lanes.digest(), err
}
