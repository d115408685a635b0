package store

import (
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

// imageReader takes an image apart and trusts nothing in it. What it gives lies in the
// chunks that it reads, which are not used again.
type imageReader struct {
	in     io.Reader
	hash   hash.Hash
	chunk  []byte
	at     int    // in the chunk: before it is what was given
	summed int    // in the chunk: before it is what the hash has
	last   []byte // the key before
}

// imageChunkBytes is how much is read at once, and hashed.
const imageChunkBytes = 1 << 20

func newImageReader(in io.Reader) *imageReader {
	return &imageReader{in: in, hash: sha256.New()}
}

// take gives the next bytes.
func (r *imageReader) take(n int) ([]byte, error) {
	if len(r.chunk)-r.at < n {
		if err := r.more(n); err != nil {
			return nil, err
		}
	}
	r.at += n
	return r.chunk[r.at-n : r.at : r.at], nil
}

// more reads until so many bytes have not been given.
func (r *imageReader) more(n int) error {
	if cap(r.chunk)-r.at < n {
		r.sum()
		next := make([]byte, len(r.chunk)-r.at, max(imageChunkBytes, n))
		copy(next, r.chunk[r.at:])
		r.chunk, r.at, r.summed = next, 0, 0
	}
	have := len(r.chunk)
	got, err := io.ReadAtLeast(r.in, r.chunk[have:cap(r.chunk)], n-(have-r.at))
	r.chunk = r.chunk[:have+got]
	return cutShort(err)
}

// sum hashes what was given.
func (r *imageReader) sum() {
	r.hash.Write(r.chunk[r.summed:r.at])
	r.summed = r.at
}

// cutShort tells an image that ends too early from one that cannot be read.
func cutShort(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return badImage("it is cut short")
	}
	return err
}

// long reads a part of bounded length, so that no length makes us reserve more.
func (r *imageReader) long(limit uint32) ([]byte, error) {
	head, err := r.take(4)
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
	head, err := r.take(1)
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
	r.sum()
	want := r.hash.Sum(nil)
	sum, err := r.take(len(want))
	if err != nil {
		return err
	}
	if !bytes.Equal(sum, want) {
		return badImage("its checksum is wrong")
	}
	if r.at == len(r.chunk) {
		n, err := io.ReadFull(r.in, make([]byte, 1))
		if n == 0 && errors.Is(err, io.EOF) {
			return nil
		}
		if n == 0 {
			return err
		}
	}
	return badImage("there is more behind its end")
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
