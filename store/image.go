package store

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"github.com/risknet/risknet/fault"
	"github.com/risknet/risknet/ledger"
	"github.com/risknet/risknet/risk"
)

// An image is the whole state at one size, without the ledger behind it:
//
//	"risknet image 1\n" | network 32 | u32 meta | last leaf as u32 + bytes (none
//	in an empty ledger) | u32 edge before the last leaf | parts | u8 0 | SHA-256
//	of all before
//
// A part is u8 kind | u32 key | u32 value, and its kind the first byte of its
// key: records, links and the bodies that live records need. Parts come in the
// order of their keys.
const imageMagic = "risknet image 1\n"

const imagesDir = "images"

// Image is one on disk, ready to be sent.
type Image struct {
	*os.File
	size     int64
	position Position
}

// Size is the number of bytes.
func (i *Image) Size() int64 { return i.size }

// Position is the state's own.
func (i *Image) Position() Position { return i.position }

// Close closes and removes the image.
func (i *Image) Close() error { return errors.Join(i.File.Close(), os.Remove(i.File.Name())) }

// OpenImage writes an image of the newest state. Applying goes on meanwhile. It asks
// with each megabyte whether the image is still wanted, and gives up when it is not.
func (s *Store) OpenImage(wanted func() error) (*Image, error) {
	image, _, err := s.openImage(wanted)
	return image, err
}

func (s *Store) openImage(wanted func() error) (image *Image, of *meta, err error) {
	if err := errors.Join(s.Sound(context.Background()), s.roomForImage()); err != nil {
		return nil, nil, fmt.Errorf("write an image: %w", err)
	}
	dir := filepath.Join(s.dir, imagesDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, err
	}
	f, err := os.CreateTemp(dir, "image-*")
	if err != nil {
		return nil, nil, err
	}
	image = &Image{File: f}
	err = s.scanNewest(func(m *meta, txn *badger.Txn) error {
		image.position, of = m.position, m
		room := func(bytes uint64) error { return cmp.Or(wanted(), s.opts.Room(bytes)) }
		return writeImage(&roomy{to: f, room: room}, m, txn)
	})
	// If we crash here, the image is swept aside at the next start.
	fault.Point("store: image written")
	if err == nil {
		image.size, err = f.Seek(0, io.SeekCurrent)
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("write an image at %d: %w", image.position.Index, errors.Join(err, image.Close()))
	}
	return image, of, nil
}

// roomForImage asks for about what an image takes, before there is one: what the
// tables on disk take. What is in memory alone, and what they packed, the writer
// asks for as it goes.
func (s *Store) roomForImage() error {
	tables, err := filepath.Glob(filepath.Join(s.now.Load().gen.dir, "*.sst"))
	if err != nil {
		return err
	}
	var bytes int64
	for _, table := range tables {
		if info, err := os.Stat(table); err == nil { // else it was merged into others just now
			bytes += info.Size()
		}
	}
	return s.opts.Room(uint64(bytes))
}

func (w *imageWriter) long(part []byte) {
	w.write(binary.BigEndian.AppendUint32(nil, uint32(len(part))), part)
}

func (w *imageWriter) part(key, value []byte) {
	w.write(key[:1])
	w.long(key)
	w.long(value)
}

// imageOrder is every table, with bodies and links: where a table is left out, the
// image cannot be installed.
var imageOrder = slices.Sorted(slices.Values(append([]byte{prefixBody, prefixLink}, tables...)))

func writeImage(f io.Writer, m *meta, txn *badger.Txn) error {
	w := newImageWriter(f)
	defer w.close()
	if err := writeImageHead(w, m, txn); err != nil {
		return err
	}
	put := func(key, value []byte) error { w.part(key, value); return w.err }
	part := func(item *badger.Item) error { return eachRecord(item, put) }
	for _, prefix := range imageOrder {
		var err error
		switch prefix {
		case prefixLink:
			err = walkLinks(txn, part)
		case prefixBody:
			err = walkBodies(txn, put)
		default:
			err = walk(txn, []byte{prefix}, part) // the receiver counts these
		}
		if err != nil {
			return err
		}
	}
	w.write([]byte{0})
	w.write(w.sum())
	return w.close()
}

func writeImageHead(w *imageWriter, m *meta, txn *badger.Txn) error {
	net, err := risk.LoadNetwork(&reader{meta: m})
	if err != nil {
		return err
	}
	var id risk.Hash
	if net != nil {
		id = net.ID
	}
	encoded, err := m.encode()
	if err != nil {
		return err
	}
	var leaf []byte
	var before ledger.Edge
	if size := m.head.Size; size > 0 {
		if leaf, err = get(txn, numbered(prefixLeaf, size-1)); err == nil && leaf == nil {
			err = fmt.Errorf("%w: the last leaf is missing", ErrDamaged)
		}
		if err != nil {
			return err
		}
		if before, err = ledger.EdgeAt(size-1, hashesIn(txn)); err != nil {
			return err
		}
	}
	edge, err := before.MarshalBinary()
	if err != nil {
		return err
	}
	w.write([]byte(imageMagic), id[:])
	w.long(encoded)
	w.long(leaf)
	w.long(edge)
	return w.err
}

func hashesIn(txn *badger.Txn) ledger.HashReader {
	return func(indexes []uint64, into []ledger.Hash) error {
		for i, index := range indexes {
			raw, err := get(txn, numbered(prefixHash, index))
			if err != nil {
				return err
			}
			if len(raw) != len(into[i]) {
				return fmt.Errorf("%w: hash %d of the tree is missing", ErrDamaged, index)
			}
			copy(into[i][:], raw)
		}
		return nil
	}
}
