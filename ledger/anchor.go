package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// Anchor is what a node remembers, outside its data directory, of the highest
// head it signed, so that it notices when the data directory went back in time.
type Anchor struct {
	Network  [32]byte
	Node     [16]byte
	Size     uint64 // leaves in the tree
	Root     Hash   // of that tree
	LogIndex uint64 // last entry of the log that the node held
	Term     uint64 // the log's term that the node had reached
}

// The encoding of an anchor: a version byte, the fields in their order, numbers
// in 8 bytes big-endian, and SHA-256 of all before it. The checksum finds damage,
// not malice: whoever can write the file can write the sum.
const (
	anchorVersion = 1
	anchorBody    = 1 + 32 + 16 + 8 + 32 + 8 + 8

	// AnchorLength is the length of an encoded anchor in bytes.
	AnchorLength = anchorBody + sha256.Size
)

// MarshalBinary encodes the anchor. It never fails.
func (a Anchor) MarshalBinary() ([]byte, error) {
	data := make([]byte, 0, AnchorLength)
	data = append(data, anchorVersion)
	data = append(data, a.Network[:]...)
	data = append(data, a.Node[:]...)
	data = binary.BigEndian.AppendUint64(data, a.Size)
	data = append(data, a.Root[:]...)
	data = binary.BigEndian.AppendUint64(data, a.LogIndex)
	data = binary.BigEndian.AppendUint64(data, a.Term)
	sum := sha256.Sum256(data)
	return append(data, sum[:]...), nil
}

// ParseAnchor decodes what [Anchor.MarshalBinary] writes and refuses all else.
func ParseAnchor(data []byte) (Anchor, error) {
	if len(data) != AnchorLength {
		return Anchor{}, fmt.Errorf("anchor has %d bytes, not %d; it is damaged or not an anchor", len(data), AnchorLength)
	}
	if data[0] != anchorVersion {
		return Anchor{}, fmt.Errorf("anchor has version %d; this binary reads version %d", data[0], anchorVersion)
	}
	if sha256.Sum256(data[:anchorBody]) != [sha256.Size]byte(data[anchorBody:]) {
		return Anchor{}, errors.New("anchor is damaged: its checksum does not match")
	}
	var a Anchor
	rest := data[1:]
	rest = rest[copy(a.Network[:], rest):]
	rest = rest[copy(a.Node[:], rest):]
	a.Size, rest = binary.BigEndian.Uint64(rest), rest[8:]
	rest = rest[copy(a.Root[:], rest):]
	a.LogIndex, rest = binary.BigEndian.Uint64(rest), rest[8:]
	a.Term = binary.BigEndian.Uint64(rest)
	if a.Size > MaxSize {
		return Anchor{}, fmt.Errorf("anchor size %d %w", a.Size, errTooLarge)
	}
	return a, nil
}

// Standing is how a node's present head stands to its anchor.
type Standing uint8

// The standings. Only the first two let a node go on under its identity.
const (
	Unmoved Standing = iota // the same head
	Ahead                   // grown since; the root at the anchor's size is still to be compared
	Behind                  // a smaller tree, an older log or an older term: the data went back
	Forked                  // the same size with another root: the history is another
	Foreign                 // another network or another node: the file is not this node's
)

var standingNames = [...]string{"unmoved", "ahead", "behind", "forked", "foreign"}

func (s Standing) String() string {
	if int(s) < len(standingNames) {
		return standingNames[s]
	}
	return fmt.Sprintf("standing(%d)", uint8(s))
}

// Compare says how the head that a node has now stands to its anchor. For Ahead,
// the caller must still compare [RootAt] the anchor's size with the anchor's
// root, where it has the stored hashes: a longer history may be another one.
func (a Anchor) Compare(head Anchor) Standing {
	switch {
	case head.Network != a.Network || head.Node != a.Node:
		return Foreign
	case head.Size == a.Size && head.Root != a.Root:
		return Forked
	case head.Size < a.Size || head.LogIndex < a.LogIndex || head.Term < a.Term:
		return Behind
	case head == a:
		return Unmoved
	}
	return Ahead
}
