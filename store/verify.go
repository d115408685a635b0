package store

import (
	"bytes"
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
		v := verifier{ctx: ctx, meta: m, txn: txn, element: newElement(), keyed: newKeyed()}
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
	smalls  uint64
	keyed   *keyed
	due     multiset // what records say of when they may go
	scan    *listingScan
	seen    Verified
}

func damage(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrDamaged, fmt.Errorf(format, args...))
}

func (v *verifier) all() error {
	v.seen = Verified{Head: v.meta.head, Index: v.meta.version(), LedgerFrom: v.meta.gen.from.Load()}
	defer func() {
		if v.scan != nil {
			v.scan.close()
		}
	}()
	for _, part := range []func() error{v.tables, v.position, v.begin, v.records, v.numbers, v.links, v.dues, v.leaves, v.lastLeaf} {
		if err := part(); err != nil {
			return err
		}
	}
	return nil
}

// tables: what is on disk now, whatever badger has in memory of it.
func (v *verifier) tables() error {
	g := v.meta.gen
	return checkFiles(g.dir, g.db.Opts())
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

// begin reads the links; what they lead to is met among the records.
func (v *verifier) begin() (err error) {
	v.scan, err = scanListings(v.ctx, v.meta, v.txn)
	return err
}

func (v *verifier) records() error {
	for _, table := range tables {
		err := walk(v.txn, []byte{table}, func(item *badger.Item) error {
			if err := v.ctx.Err(); err != nil {
				return err
			}
			return item.Value(func(value []byte) error { return v.record(item, value) })
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) walk(prefix []byte, visit func(key, value []byte) error) error {
	return walk(v.txn, prefix, func(item *badger.Item) error {
		if err := v.ctx.Err(); err != nil {
			return err
		}
		raw, err := item.ValueCopy(nil)
		if err == nil {
			raw, err = recordIn(item.Key(), raw)
		}
		if err != nil {
			return damage("%x: %w", item.Key(), err)
		}
		return visit(item.KeyCopy(nil), raw)
	})
}

func (v *verifier) record(item *badger.Item, raw []byte) error {
	key := item.Key()
	value, err := recordIn(key, raw)
	if err != nil {
		return damage("record %x: %w", key, err)
	}
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
		v.due.add(v.keyed, dueKey(due, key))
	}
	if err := v.bodyOf(item, raw); err != nil {
		return damage("record %x: %w", key, err)
	}
	return nil
}

// bodyOf holds listings, rule sets and protections to their bodies.
func (v *verifier) bodyOf(item *badger.Item, value []byte) error {
	switch key := item.Key(); key[0] {
	case risk.TableListings:
		v.seen.Listings++
		v.seen.Bodies++
		return v.scan.hold(risk.ParseListingRecordKey(key), item.Version(), value)
	case risk.TableRuleSets:
		set, err := risk.ReadRuleSet(key, value)
		if err != nil {
			return err
		}
		v.seen.Bodies++
		return verifyBody(v.txn, risk.ItemID{Leaf: set.Leaf}, set.Commitment)
	case risk.TableProtections:
		p, err := risk.ReadProtection(key, value)
		if err != nil {
			return err
		}
		v.seen.Bodies++
		return verifyBody(v.txn, p.ID, p.Commitment)
	default:
		return nil
	}
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
	if bodies := v.scan.bodies.count() + v.scan.beside; bodies != v.seen.Bodies {
		return damage("there are %d bodies for %d records that have one", bodies, v.seen.Bodies)
	}
	return v.ctx.Err()
}

func (v *verifier) links() error {
	v.seen.Links = v.scan.links.count
	if err := v.scan.agree(); err != nil {
		return damage("%w", err)
	}
	return nil
}

// dues: the index of what is due holds what the records say. Only if the sums
// differ is each looked up, to name the one that is wrong.
func (v *verifier) dues() error {
	var index multiset
	err := walkDue(v.txn, func(due int64, key []byte) error {
		index.add(v.keyed, dueKey(due, key))
		return v.ctx.Err()
	})
	if err != nil || index == v.due {
		return err
	}
	for _, table := range []byte{risk.TableListings, risk.TableRemembered} {
		if err := v.walk([]byte{table}, v.isIndexed); err != nil {
			return err
		}
	}
	if err := walkDue(v.txn, v.isDue); err != nil {
		return err
	}
	return damage("%d entries of what is due, for %d records", index.count, v.due.count)
}

// isIndexed: what a record says is among what is due.
func (v *verifier) isIndexed(key, value []byte) error {
	due, err := risk.DueOf(key, value)
	if err != nil || due == 0 {
		return err
	}
	if found, err := isDueAt(v.txn, due, key); err != nil || !found {
		return damage("record %x is due at %d and is not among those that are; %v", key, due, err)
	}
	return nil
}

// isDue: an entry of what is due has a record that says so.
func (v *verifier) isDue(at int64, key []byte) error {
	if !wellFormed(key) {
		return damage("entry %x of what is due names no record", dueKey(at, key))
	}
	value, err := record(v.txn, key)
	due := int64(0)
	if err == nil && value != nil {
		due, err = risk.DueOf(key, value)
	}
	if err != nil || due == 0 || due != at {
		return damage("entry %x of what is due is not what its record says; %v", dueKey(at, key), err)
	}
	return nil
}

// leaves appends every leaf that is held to the edge before it, and compares the
// hashes and, at the end, the root.
func (v *verifier) leaves() error {
	edge, err := ledger.EdgeAt(v.seen.LedgerFrom, hashesIn(v.txn))
	if err != nil {
		return err
	}
	leaves := cursorAt(v.txn, numbered(prefixLeaf, edge.Size()))
	defer leaves.close()
	hashes := cursorAt(v.txn, numbered(prefixHash, ledger.StoredCount(edge.Size())))
	defer hashes.close()
	var grown []ledger.Hash
	for i := edge.Size(); i < v.meta.head.Size; i++ {
		leaf, err := leaves.get(numbered(prefixLeaf, i))
		if err != nil || leaf == nil {
			return damage("leaf %d is missing: %v", i, err)
		}
		grown = edge.Append(grown[:0], ledger.LeafHash(leaf))
		for j, hash := range grown {
			index := ledger.StoredCount(i) + uint64(j)
			switch stored, err := hashes.get(numbered(prefixHash, index)); {
			case err != nil:
				return damage("hash %d of the tree: %w", index, err)
			case !bytes.Equal(stored, hash[:]):
				return damage("leaf %d does not give hash %d of the tree", i, index)
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
