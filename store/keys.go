package store

import (
	"encoding/binary"

	"github.com/risknet/risknet/risk"
)

// The keys in badger. A record stands under its own key (see package risk),
// whose first byte is one of its tables: n t e h s i k o r l c v u w d y p. Beside
// them:
//
//	f | listing key 36            -> item id of the newest listing of that key
//	b | u64 leaf | u16 item       -> salt | body, unless it stands beside its listing's
//	                                 record; see beside.go
//	x | table | u64 due | key     -> nothing: the record at key may go from then on;
//	                                 of listings, up to 64 of a leaf together; see due.go
//	a | u64 index                 -> leaf
//	m | u64 stored index          -> hash in the tree, in tlog's order
//	g | u64 before                -> u64 from: a chunk of leaves has come; see past.go
//	q | u64 version               -> nothing: the newest cut, and no other
//	z                             -> meta: what this replica alone keeps; see meta.go
//
// The state digest is over the records alone.
const (
	prefixLink  = 'f'
	prefixBody  = 'b'
	prefixDue   = 'x'
	prefixLeaf  = 'a'
	prefixHash  = 'm'
	prefixChunk = 'g'
	prefixCut   = 'q'
	keyMeta     = "z"
)

// tables of records, in the order in which a walk meets them.
var tables = []byte("cdehiklnoprstuvwy")

// small tables are also kept in memory: every command reads them, and they do
// not grow with the listings.
func isSmall(table byte) bool {
	return table != risk.TableListings && table != risk.TableRemembered && table != risk.TableActs
}

func linkKey(k risk.ListingKey) []byte { return appendLinkKey(make([]byte, 0, linkKeyBytes), &k) }

const linkKeyBytes = 1 + risk.ListingKeyBytes

func appendLinkKey(dst []byte, k *risk.ListingKey) []byte { return k.AppendTo(append(dst, prefixLink)) }

// subjectPrefix is where all links of one token stand.
func subjectPrefix(kind risk.Kind, token risk.Token) []byte {
	return append(append(make([]byte, 0, 18), prefixLink, byte(kind)), token[:]...)
}

func bodyKey(id risk.ItemID) []byte {
	return id.AppendTo(append(make([]byte, 0, 11), prefixBody))
}

func numbered(prefix byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, 9), prefix), n)
}
