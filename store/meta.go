package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"

	"github.com/risknet/risknet/ledger"
	"github.com/risknet/risknet/risk"
)

// Position is how far the state has come in the log.
type Position struct {
	Index, Term        uint64
	Configuration      []byte // consensus's own words, not read here
	ConfigurationIndex uint64
}

// meta is everything that moves with a cut beside the records. One that is
// published is never changed; the next cut works on a copy.
type meta struct {
	position Position
	lastAt   int64  // the highest stamp seen
	from     uint64 // the first leaf that it began with; chunks have brought those before
	listings uint64
	links    uint64
	smalls   uint64 // records of the small tables
	lanes    Lanes
	edge     ledger.Edge

	// Not in its encoding:
	gen   *generation
	head  risk.Head
	small map[byte]map[string][]byte // the records of the small tables, by table
}

// version names the state in badger and for readers.
func (m *meta) version() uint64 { return m.position.Index }

func (m *meta) setHead() { m.head = risk.Head{Size: m.edge.Size(), Root: m.edge.Root()} }

// copyFor begins a cut. A table is copied when the cut first changes it.
func (m *meta) copyFor() *meta {
	next := *m
	next.small = maps.Clone(m.small)
	return &next
}

// Format 2 counts links and small records too, so that a scan knows that it has
// seen them all. Format 3 has a mark of the newest cut beside it. In format 4 a link
// is of its record's version. Format 5 has what is due of listings together, and short
// bodies beside their records.
const (
	metaFormat  = 5
	metaNumbers = 8
	metaFixed   = 1 + metaNumbers*8 + laneBytes
)

// encode: u8 format | u64 index | u64 term | u64 configuration index | u64 last
// at | u64 from | u64 listings | u64 links | u64 small records | lanes 2048 |
// u32 edge | u32 configuration.
func (m *meta) encode() ([]byte, error) {
	edge, err := m.edge.MarshalBinary()
	if err != nil {
		return nil, err
	}
	dst := append(make([]byte, 0, metaFixed+8+len(edge)+len(m.position.Configuration)), metaFormat)
	for _, n := range [metaNumbers]uint64{m.position.Index, m.position.Term, m.position.ConfigurationIndex,
		uint64(m.lastAt), m.from, m.listings, m.links, m.smalls} {
		dst = binary.BigEndian.AppendUint64(dst, n)
	}
	dst = append(dst, m.lanes.bytes()...)
	dst = append(binary.BigEndian.AppendUint32(dst, uint32(len(edge))), edge...)
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(m.position.Configuration))), m.position.Configuration...), nil
}

var errMeta = fmt.Errorf("%w: its own position cannot be read", ErrDamaged)

func decodeMeta(b []byte) (*meta, error) {
	if len(b) < metaFixed {
		return nil, errMeta
	}
	if b[0] != metaFormat {
		return nil, fmt.Errorf("the state is kept in format %d and this program reads %d: start the program that wrote it, or let this node join anew with an empty data directory", b[0], metaFormat)
	}
	var n [metaNumbers]uint64
	for i := range n {
		n[i] = binary.BigEndian.Uint64(b[1+8*i:])
	}
	m := &meta{position: Position{Index: n[0], Term: n[1], ConfigurationIndex: n[2]},
		lastAt: int64(n[3]), from: n[4], listings: n[5], links: n[6], smalls: n[7]}
	m.lanes = lanesOf(b[metaFixed-laneBytes : metaFixed])
	edge, rest, ok := long(b[metaFixed:])
	configuration, rest, ok2 := long(rest)
	if !ok || !ok2 || len(rest) > 0 {
		return nil, errMeta
	}
	var err error
	if m.edge, err = ledger.ParseEdge(edge); err != nil {
		return nil, errors.Join(errMeta, err)
	}
	m.position.Configuration = append([]byte(nil), configuration...)
	m.setHead()
	return m, nil
}

// long takes bytes behind a u32 length.
func long(b []byte) (part, rest []byte, ok bool) {
	if len(b) < 4 || uint64(len(b)-4) < uint64(binary.BigEndian.Uint32(b)) {
		return nil, nil, false
	}
	n := binary.BigEndian.Uint32(b)
	return b[4 : 4+n : 4+n], b[4+n:], true
}
