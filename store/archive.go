package store

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"github.com/risknet/risknet/fault"
	"github.com/risknet/risknet/risk"
)

// An archive is everything that a replica holds: an image, and the ledger behind
// it in chunks, from the newest to the oldest.
//
//	"risknet archive 1\n" | u64 image | { u8 1 | u32 chunk } | u8 0 | u32 chunks |
//	SHA-256 of all before
const archiveMagic = "risknet archive 1\n"

// ErrArchive says that an archive is not what it claims to be.
var ErrArchive = errors.New("the archive is damaged or forged")

// ArchiveInfo says what an archive holds.
type ArchiveInfo struct {
	Network    risk.Hash
	Name       string
	Size       uint64 // of the ledger
	Root       risk.Hash
	Index      uint64 // the place in the log
	Term       uint64
	LedgerFrom uint64 // the first leaf in it
	Listings   uint64 // ended ones too
	Bytes      int64  // of the archive
}

func infoOf(m *meta) (ArchiveInfo, error) {
	info := ArchiveInfo{Size: m.head.Size, Root: m.head.Root, Index: m.position.Index, Term: m.position.Term,
		LedgerFrom: m.gen.from.Load(), Listings: m.listings}
	net, err := risk.LoadNetwork(&reader{meta: m})
	if net != nil {
		info.Network, info.Name = net.ID, net.Name
	}
	return info, err
}

// WriteArchive writes the newest state and the ledger behind it. Applying goes
// on meanwhile. It needs room for an image in the state's directory. It may be
// called from any goroutine.
func (s *Store) WriteArchive(ctx context.Context, w io.Writer) (ArchiveInfo, error) {
	image, m, err := s.openImage(ctx.Err)
	if err != nil {
		return ArchiveInfo{}, err
	}
	defer image.Close()
	if m.version() == 0 {
		return ArchiveInfo{}, errors.New("this state is empty; there is nothing to write an archive of")
	}
	info, err := infoOf(m)
	if err != nil {
		return ArchiveInfo{}, err
	}
	out := newImageWriter(w)
	defer out.close()
	out.write([]byte(archiveMagic), binary.BigEndian.AppendUint64(nil, uint64(image.Size())))
	out.copy(ctx, image)
	if info.LedgerFrom, err = out.chunks(ctx, s, m); err != nil {
		return ArchiveInfo{}, fmt.Errorf("write an archive: %w", err)
	}
	out.write(out.sum())
	info.Bytes = out.bytes
	if err := out.close(); err != nil {
		return ArchiveInfo{}, fmt.Errorf("write an archive: %w", err)
	}
	return info, nil
}

// copy writes what it reads, as long as it may.
func (w *imageWriter) copy(ctx context.Context, from io.Reader) {
	part := make([]byte, 1<<20)
	for w.err == nil {
		n, err := from.Read(part)
		w.write(part[:n])
		if err == io.EOF {
			return
		}
		if w.err == nil {
			w.err = errors.Join(err, ctx.Err())
		}
	}
}

var errReplaced = errors.New("an image has taken the place of the state meanwhile; try again")

// chunks writes the ledger before the last leaf of the state in the image, and the
// end mark. It says where the ledger begins.
func (w *imageWriter) chunks(ctx context.Context, s *Store, of *meta) (from uint64, err error) {
	n := uint32(0)
	for from = max(of.head.Size, 1) - 1; from > of.gen.from.Load() && w.err == nil; n++ {
		if err := ctx.Err(); err != nil {
			return from, err
		}
		c, err := s.ReadChunk(from)
		if s.now.Load().gen != of.gen { // the other state may have less of the ledger
			return from, errReplaced
		}
		if err != nil {
			return from, err
		}
		w.write([]byte{1})
		w.long(c.Encode())
		from = c.From
	}
	w.write([]byte{0}, binary.BigEndian.AppendUint32(nil, n))
	return from, w.err
}

// ReadArchive makes a state of an archive in an empty directory, for [Open] to
// open. All of it is verified; if anything is wrong, nothing is left there.
func ReadArchive(dir string, r io.Reader, o Options) (info ArchiveInfo, err error) {
	if err := o.complete(); err != nil {
		return info, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return info, err
	}
	if there, err := os.ReadDir(dir); err != nil || len(there) > 0 {
		return info, errors.Join(err, fmt.Errorf("%s is not empty; name a directory that is, or that is not there yet", dir))
	}
	const name = "state-1"
	s := &Store{dir: dir, opts: o, element: newElement()}
	if info, err = s.unpack(filepath.Join(dir, name), r); err != nil {
		return ArchiveInfo{}, errors.Join(fmt.Errorf("read an archive: %w", err), os.RemoveAll(filepath.Join(dir, name)))
	}
	// If we crash here, the directory has no CURRENT and is refused.
	fault.Point("store: archive before CURRENT")
	return info, s.setCurrent(name)
}

// unpack builds, closes and syncs the state of an archive.
func (s *Store) unpack(dir string, in io.Reader) (info ArchiveInfo, err error) {
	r := &archiveReader{in: bufio.NewReaderSize(in, 1<<20), hash: sha256.New()}
	size, err := r.begin()
	if err != nil {
		return info, err
	}
	image := &hashedReader{from: io.LimitReader(r.in, size), reader: r}
	if _, err := s.receive(dir, image); err != nil {
		return info, err
	}
	m, err := s.openBuilt(dir)
	if err != nil {
		return info, err
	}
	defer func() { err = errors.Join(err, m.gen.close()) }()
	if err := r.chunks(m); err != nil {
		return info, err
	}
	if err := m.gen.sync(m.position); err != nil {
		return info, err
	}
	info, err = infoOf(m)
	info.Bytes = r.bytes
	return info, err
}

// VerifyArchive reads an archive as ReadArchive does, into a directory that is
// removed again.
func VerifyArchive(r io.Reader, o Options) (info ArchiveInfo, err error) {
	dir, err := os.MkdirTemp("", "risknet-archive-*")
	if err != nil {
		return info, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	return ReadArchive(dir, r, o)
}

// archiveReader takes an archive apart.
type archiveReader struct {
	in    *bufio.Reader
	hash  hash.Hash
	bytes int64
}

func badArchive(err error) error { return fmt.Errorf("%w: %w", ErrArchive, err) }

func (r *archiveReader) take(n int) ([]byte, error) {
	part := make([]byte, n)
	_, err := io.ReadFull(r.in, part)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("%w: it is cut short", ErrArchive)
	}
	if err != nil {
		return nil, err
	}
	r.hash.Write(part)
	r.bytes += int64(n)
	return part, nil
}

// begin reads up to the image, and gives its size.
func (r *archiveReader) begin() (int64, error) {
	head, err := r.take(len(archiveMagic) + 8)
	if err != nil {
		return 0, err
	}
	size, ok := readNumber(head[len(archiveMagic):])
	if string(head[:len(archiveMagic)]) != archiveMagic || !ok || int64(size) < 0 {
		return 0, fmt.Errorf("%w: it does not begin as an archive of format 1", ErrArchive)
	}
	return int64(size), nil
}

// hashedReader passes the image on, and counts it to the archive.
type hashedReader struct {
	from   io.Reader
	reader *archiveReader
}

func (h *hashedReader) Read(p []byte) (int, error) {
	n, err := h.from.Read(p)
	h.reader.hash.Write(p[:n])
	h.reader.bytes += int64(n)
	return n, err
}

// chunks adds the ledger, and holds the archive to its end mark.
func (r *archiveReader) chunks(m *meta) error {
	for n := uint32(0); ; n++ {
		kind, err := r.take(1)
		if err != nil {
			return err
		}
		if kind[0] == 0 {
			return r.end(n)
		}
		length, err := r.take(4)
		if err != nil {
			return err
		}
		size := binary.BigEndian.Uint32(length)
		if kind[0] != 1 || size > MaxChunkBytes {
			return fmt.Errorf("%w: it has a part that is no chunk", ErrArchive)
		}
		data, err := r.take(int(size))
		if err != nil {
			return err
		}
		c, err := DecodeChunk(data)
		if err == nil {
			err = m.gen.addChunk(m.gen.from.Load(), c)
		}
		if err != nil {
			return badArchive(err)
		}
	}
}

func (r *archiveReader) end(chunks uint32) error {
	count, err := r.take(4)
	if err != nil {
		return err
	}
	if n := binary.BigEndian.Uint32(count); n != chunks {
		return fmt.Errorf("%w: it has %d chunks and says %d", ErrArchive, chunks, n)
	}
	want := r.hash.Sum(nil)
	sum, err := r.take(len(want))
	if err != nil {
		return err
	}
	if !bytes.Equal(sum, want) {
		return fmt.Errorf("%w: its checksum is wrong", ErrArchive)
	}
	if _, err := r.in.ReadByte(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: there is more behind its end", ErrArchive)
	}
	return nil
}
