package store

import (
	"context"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"github.com/risknet/risknet/risk"
)

// Records visits every replicated record of the newest version, in the order of
// the keys, as it is on disk. Begin hears first which state it is. The digest over
// them must be the one in the last leaf; whoever asks can hold it to that, and
// need not believe this replica. A record that cannot be read is ErrDamaged.
func (s *Store) Records(ctx context.Context, begin func(risk.Head) error, visit func(key, value []byte) error) error {
	return s.scanNewest(func(m *meta, txn *badger.Txn) error {
		if err := begin(m.head); err != nil {
			return err
		}
		v := verifier{ctx: ctx, meta: m, txn: txn}
		listings, smalls := uint64(0), uint64(0)
		for _, table := range tables {
			err := v.walk([]byte{table}, func(key, value []byte) error {
				switch {
				case table == risk.TableListings:
					listings++
				case isSmall(table):
					smalls++
				}
				return visit(key, value)
			})
			if err != nil {
				return err
			}
		}
		if listings != m.listings || smalls != m.smalls {
			return damage("%d of %d listings and %d of %d records of the small tables can be read", listings, m.listings, smalls, m.smalls)
		}
		return nil
	})
}

// Bodies gives the bodies of a leaf's items, in their order; one that is not kept
// any more is erased.
func (s *Store) Bodies(leaf uint64) ([]risk.Body, error) {
	encoded, err := s.Leaf(leaf)
	if err != nil {
		return nil, err
	}
	if encoded == nil {
		return nil, fmt.Errorf("leaf %d: %w", leaf, ErrNotHeld)
	}
	decoded, err := risk.DecodeLeaf(encoded)
	if err != nil {
		return nil, damage("leaf %d: %w", leaf, err)
	}
	command, err := risk.DecodeCommand(decoded.Header)
	if err != nil {
		return nil, damage("leaf %d: %w", leaf, err)
	}
	bodies := make([]risk.Body, len(command.Items))
	err = s.newest(func(_ *meta, txn *badger.Txn) error {
		for i := range bodies {
			var err error
			if bodies[i], err = readBody(txn, risk.ItemID{Leaf: leaf, Item: uint16(i)}); err != nil {
				return err
			}
		}
		return nil
	})
	return bodies, err
}

// Sum makes the state digest of records that come from elsewhere, in any order.
type Sum struct {
	lanes   Lanes
	element *element
}

// NewSum is the sum of no records.
func NewSum() *Sum { return &Sum{element: newElement()} }

// Add takes a record in.
func (s *Sum) Add(key, value []byte) { s.lanes.add(s.element, key, value) }

// Digest is the state digest of what was added.
func (s *Sum) Digest() risk.Hash { return s.lanes.digest() }
