package store

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/risknet/risknet/ledger"
	"github.com/risknet/risknet/risk"
)

// ErrImage says that an image is not what it claims to be.
var ErrImage = errors.New("the image is damaged or forged")

func badImage(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrImage, fmt.Sprintf(format, args...))
}

// imageHead is what stands before the parts.
type imageHead struct {
	network risk.Hash
	meta    *meta
	leaf    []byte
	before  ledger.Edge
}

// imageReader takes an image apart and trusts nothing in it.
type imageReader struct {
	in    *bufio.Reader
	hash  hash.Hash
	last  []byte // the key before
	short [4]byte
}

func newImageReader(in io.Reader) *imageReader {
	return &imageReader{in: bufio.NewReaderSize(in, 1<<20), hash: sha256.New()}
}

func (r *imageReader) take(n int) ([]byte, error) { return r.fill(make([]byte, n)) }

func (r *imageReader) fill(part []byte) ([]byte, error) {
	if err := readAll(r.in, part); err != nil {
		return nil, err
	}
	r.hash.Write(part)
	return part, nil
}

// readAll tells an image that ends too early from one that cannot be read.
func readAll(in io.Reader, part []byte) error {
	_, err := io.ReadFull(in, part)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return badImage("it is cut short")
	}
	return err
}

// long reads a part of bounded length, so that no length makes us reserve more.
func (r *imageReader) long(limit uint32) ([]byte, error) {
	head, err := r.fill(r.short[:4])
	if err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head)
	if n > limit {
		return nil, badImage("a part of %d bytes; at most %d are possible", n, limit)
	}
	return r.take(int(n))
}

const (
	maxImageKey   = 512
	maxImageValue = risk.MaxRuleSetBytes + 64<<10
)

func (r *imageReader) head() (*imageHead, error) {
	magic, err := r.take(len(imageMagic))
	if err != nil {
		return nil, err
	}
	if string(magic) != imageMagic {
		return nil, badImage("it does not begin as an image of format 1")
	}
	network, err := r.take(len(risk.Hash{}))
	if err != nil {
		return nil, err
	}
	h := &imageHead{network: risk.Hash(network)}
	encoded, err := r.long(maxImageValue)
	if err != nil {
		return nil, err
	}
	if h.meta, err = decodeMeta(encoded); err != nil {
		return nil, badImage("its position: %v", err)
	}
	if h.leaf, err = r.long(risk.MaxLeafBytes); err != nil {
		return nil, err
	}
	edge, err := r.long(maxImageKey * 16)
	if err != nil {
		return nil, err
	}
	if h.before, err = ledger.ParseEdge(edge); err != nil {
		return nil, badImage("its edge: %v", err)
	}
	return h, h.check()
}

// check holds the head together: the last leaf makes the edge before it into
// the edge of the image, and commits to the digest of its lanes.
func (h *imageHead) check() error {
	if len(h.leaf) == 0 {
		var none Lanes
		if h.meta.edge.Size() != 0 || h.meta.lanes != none {
			return badImage("it has no last leaf and is not empty")
		}
		return nil
	}
	leaf, err := risk.DecodeLeaf(h.leaf)
	if err != nil {
		return badImage("its last leaf: %v", err)
	}
	edge := h.before
	edge.Append(nil, ledger.LeafHash(h.leaf))
	if edge != h.meta.edge {
		return badImage("its last leaf does not lead to its root")
	}
	if leaf.State != h.meta.lanes.digest() {
		return badImage("its last leaf commits to another state")
	}
	return nil
}

// next gives a part; a nil key at the end, after the checksum has been compared.
func (r *imageReader) next() (key, value []byte, err error) {
	head, err := r.fill(r.short[:1])
	if err != nil {
		return nil, nil, err
	}
	kind := head[0]
	if kind == 0 {
		return nil, nil, r.end()
	}
	if key, err = r.long(maxImageKey); err != nil {
		return nil, nil, err
	}
	if value, err = r.long(maxImageValue); err != nil {
		return nil, nil, err
	}
	if len(key) == 0 || key[0] != kind || !wellFormed(key) {
		return nil, nil, badImage("it has a part of a kind that is not known")
	}
	if bytes.Compare(key, r.last) <= 0 {
		return nil, nil, badImage("its parts are not in order")
	}
	r.last = key
	return key, value, nil
}

func (r *imageReader) end() error {
	want := r.hash.Sum(nil)
	sum := make([]byte, len(want))
	if err := readAll(r.in, sum); err != nil {
		return err
	}
	if !bytes.Equal(sum, want) {
		return badImage("its checksum is wrong")
	}
	if _, err := r.in.ReadByte(); !errors.Is(err, io.EOF) {
		return badImage("there is more behind its end")
	}
	return nil
}

// wellFormed holds the keys that the rest takes apart to their lengths.
func wellFormed(key []byte) bool {
	switch key[0] {
	case prefixLink:
		return len(key) == 1+risk.ListingKeyBytes
	case prefixBody, risk.TableListings, risk.TableProtections:
		return len(key) == 1+risk.ItemIDBytes
	case risk.TableActs:
		return len(key) == risk.TakingKeyBytes
	case risk.TableRuleSets:
		return len(key) == 1+4
	case risk.TableInstitutions, risk.TableNodes, risk.TableReputations:
		return len(key) == 1+len(risk.ID{})
	case risk.TableKeys:
		return len(key) == 1+2*len(risk.ID{})
	case risk.TableRevocations:
		return len(key) == 1+len(risk.Hash{})
	default:
		return bytes.IndexByte(tables, key[0]) >= 0
	}
}
