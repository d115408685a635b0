package store

import (
	"errors"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"github.com/risknet/risknet/risk"
)

// errFar says that too much lies between the state and what is asked about.
var errFar = errors.New("the state is too far behind to foresee that; ask again when it has applied more")

// ForeseeNodes lists the node records as they will be when some entries are applied,
// which changes nothing. It may be called beside Apply; entries that are in the state
// already are skipped.
func (s *Store) ForeseeNodes(entries []Entry) (nodes []*risk.PutNode, err error) {
	err = s.newest(func(m *meta, _ *badger.Txn) error {
		apart := &Store{opts: s.opts, element: newElement()} // what Apply works with is not touched
		apart.now.Store(m)
		c := apart.begin()
		defer c.txn.Discard()
		applied := 0
		for i := range entries {
			if !touchesNodes(&entries[i]) {
				continue // reports come by the megabyte, and would not fit
			}
			if applied++; applied > 1 && !c.hasRoom() {
				return errFar
			}
			if err := c.apply(&entries[i], new(Applied)); err != nil {
				return err
			}
		}
		nodes, err = c.meta.nodes()
		return err
	})
	return nodes, err
}

// touchesNodes reports whether a command can have to do with node records: all but
// those that carry reports and texts.
func touchesNodes(e *Entry) bool {
	if e.Kind != Command {
		return true
	}
	entry, err := risk.DecodeEntry(e.Data)
	if err != nil {
		return true // the law says what it is
	}
	command, err := risk.DecodeCommand(entry.Signed.Header)
	if err != nil {
		return true
	}
	switch command.Params.Kind() {
	case risk.KindListings, risk.KindPublishRules, risk.KindFeedback, risk.KindProtect:
		return false
	}
	return true
}

// nodes lists the node records by name.
func (m *meta) nodes() (nodes []*risk.PutNode, err error) {
	for _, value := range m.small[risk.TableNodes] {
		node, err := risk.ReadNode(value)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, node)
	}
	slices.SortFunc(nodes, func(a, b *risk.PutNode) int { return compareNames(a.Name, b.Name) })
	return nodes, nil
}
