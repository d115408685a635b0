package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"github.com/risknet/risknet/ledger"
	"github.com/risknet/risknet/risk"
)

// Verified is what VerifyAll has read.
type Verified struct {
	Head       risk.Head
	Index      uint64
	Records    uint64
	Listings   uint64
	Links      uint64
	Bodies     uint64
	Leaves     uint64 // held here, from LedgerFrom on
	LedgerFrom uint64
}

// VerifyAll reads the whole newest state and holds every part of it to the
// others: tables to their checksums, records to the digest, links and bodies to
// the records, what is due to what says so, leaves and the tree's hashes to the
// root, and the last leaf to the digest. The error names the first that is wrong, and is ErrDamaged. It
// takes long; applying goes on meanwhile. It may be called from any goroutine.
func (s *Store) VerifyAll(ctx context.Context) (Verified, error) {
	var seen Verified
	err := s.scanNewest(func(m *meta, txn *badger.Txn) error {
		v := verifier{ctx: ctx, meta: m, txn: txn, element: newElement()}
		err := v.all()
		seen = v.seen
		return err
	})
	return seen, err
}

// verifier reads one version. Every error in what it reads is damage.
type verifier struct {
	ctx     context.Context
	meta    *meta
	txn     *badger.Txn
	element *element
	lanes   Lanes
	due     uint64 // records that are to go some day
	smalls  uint64
	seen    Verified
}

func damage(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrDamaged, fmt.Errorf(format, args...))
}

func (v *verifier) all() error {
	v.seen = Verified{Head: v.meta.head, Index: v.meta.version(), LedgerFrom: v.meta.gen.from.Load()}
	for _, part := range []func() error{v.tables, v.position, v.records, v.numbers, v.links, v.dues, v.leaves, v.lastLeaf} {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

// tables: what is on disk now, whatever badger has in memory of it.
func (v *verifier) tables() error {
	g := v.meta.gen
	return checkFiles(g.dir, g.db.Opts(), true)
}

// position: what stands on disk is what this process goes on from.
func (v *verifier) position() error {
	raw, err := get(v.txn, []byte(keyMeta))
	if err != nil {
		return err
	}
	want, err := v.meta.encode()
	if err != nil {
		return err
	}
	if v.meta.version() > 0 && string(raw) != string(want) {
		return damage("the position on disk is not the one in memory")
	}
	return checkCuts(v.meta, v.txn)
}

func (v *verifier) records() error {
	for _, table := range tables {
		if err := v.walk([]byte{table}, v.record); err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) walk(prefix []byte, visit func(key, value []byte) error) error {
	return walk(v.txn, prefix, true, func(item *badger.Item) error {
		if err := v.ctx.Err(); err != nil {
			return err
		}
		value, err := item.ValueCopy(nil)
		if err != nil {
			return damage("%x: %w", item.Key(), err)
		}
		return visit(item.KeyCopy(nil), value)
	})
}

func (v *verifier) record(key, value []byte) error {
	v.lanes.add(v.element, key, value)
	v.seen.Records++
	table := key[0]
	if isSmall(table) {
		v.smalls++
		if string(v.meta.small[table][string(key)]) != string(value) {
			return damage("record %x is not what it is in memory", key)
		}
	}
	due, err := risk.DueOf(key, value)
	if err != nil {
		return damage("record %x: %w", key, err)
	}
	if due != 0 {
		v.due++
		found, err := has(v.txn, dueKey(due, key))
		if err != nil || !found {
			return damage("record %x is due at %d and is not among those that are; %v", key, due, err)
		}
	}
	return v.bodyOf(key, value)
}

// bodyOf holds listings and rule sets to their bodies.
func (v *verifier) bodyOf(key, value []byte) error {
	var id risk.ItemID
	var commitment risk.Hash
	switch key[0] {
	case risk.TableListings:
		l, err := risk.ReadListing(risk.ParseListingRecordKey(key), value)
		if err != nil {
			return damage("record %x: %w", key, err)
		}
		v.seen.Listings++
		id, commitment = l.Rev, l.Item.Commitment
	case risk.TableRuleSets:
		set, err := risk.ReadRuleSet(key, value)
		if err != nil {
			return damage("record %x: %w", key, err)
		}
		id, commitment = risk.ItemID{Leaf: set.Leaf}, set.Commitment
	default:
		return nil
	}
	v.seen.Bodies++
	if err := verifyBody(v.txn, id, commitment); err != nil {
		return damage("record %x: %w", key, err)
	}
	return nil
}

// numbers: digest and counts, which a scan that was cut short would miss.
func (v *verifier) numbers() error {
	m := v.meta
	switch {
	case v.seen.Listings != m.listings:
		return damage("%d of %d listings can be read", v.seen.Listings, m.listings)
	case v.smalls != m.smalls:
		return damage("%d of %d records of the small tables can be read", v.smalls, m.smalls)
	case v.lanes != m.lanes:
		return damage("its %d records do not give the digest %s", v.seen.Records, m.lanes.digest())
	}
	bodies, err := v.count(prefixBody)
	if err == nil && bodies != v.seen.Bodies {
		err = damage("there are %d bodies for %d records that have one", bodies, v.seen.Bodies)
	}
	return err
}

func (v *verifier) count(prefix byte) (n uint64, err error) {
	err = walk(v.txn, []byte{prefix}, false, func(*badger.Item) error { n++; return v.ctx.Err() })
	return n, err
}

func (v *verifier) links() error {
	var err error
	if v.seen.Links, err = v.count(prefixLink); err != nil {
		return err
	}
	if err := verify(v.meta); err != nil {
		return damage("%w", err)
	}
	return v.ctx.Err()
}

// dues: each record that is due was found, so equal numbers mean that there is
// no more.
func (v *verifier) dues() error {
	n, err := v.count(prefixDue)
	if err == nil && n != v.due {
		err = damage("%d entries of what is due, for %d records", n, v.due)
	}
	return err
}

// leaves appends every leaf that is held to the edge before it, and compares the
// hashes and, at the end, the root.
func (v *verifier) leaves() error {
	edge, err := ledger.EdgeAt(v.seen.LedgerFrom, hashesIn(v.txn))
	if err != nil {
		return err
	}
	var grown, stored []ledger.Hash
	var indexes []uint64
	for i := edge.Size(); i < v.meta.head.Size; i++ {
		leaf, err := get(v.txn, numbered(prefixLeaf, i))
		if err != nil || leaf == nil {
			return damage("leaf %d is missing: %v", i, err)
		}
		grown, indexes = edge.Append(grown[:0], ledger.LeafHash(leaf)), indexes[:0]
		for j := range grown {
			indexes = append(indexes, ledger.StoredCount(i)+uint64(j))
		}
		stored = append(stored[:0], make([]ledger.Hash, len(grown))...)
		if err := hashesIn(v.txn)(indexes, stored); err != nil {
			return fmt.Errorf("leaf %d: %w", i, err)
		}
		for j := range grown {
			if grown[j] != stored[j] {
				return damage("leaf %d does not give hash %d of the tree", i, indexes[j])
			}
		}
		v.seen.Leaves++
		if err := v.ctx.Err(); err != nil {
			return err
		}
	}
	if edge != v.meta.edge {
		return damage("the leaves from %d on do not lead to the root at %d", v.seen.LedgerFrom, v.meta.head.Size)
	}
	return nil
}

func (v *verifier) lastLeaf() error {
	if v.meta.head.Size == 0 {
		return nil
	}
	raw, err := get(v.txn, numbered(prefixLeaf, v.meta.head.Size-1))
	if err != nil {
		return err
	}
	leaf, err := risk.DecodeLeaf(raw)
	if err != nil {
		return damage("the last leaf: %w", err)
	}
	if leaf.State != v.lanes.digest() {
		return damage("the last leaf commits to another state")
	}
	return nil
}

func has(txn *badger.Txn, key []byte) (bool, error) {
	_, err := txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return false, nil
	}
	return err == nil, err
}
