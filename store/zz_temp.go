package store

import (
	"context"
	"errors"
	"io"

	"github.com/risknet/risknet/risk"
)

var ErrNotHeld = errors.New("not held")

type Chunk struct{}

func (c *Chunk) Encode() []byte                         { return nil }
func DecodeChunk(b []byte) (*Chunk, error)              { return nil, ErrNotHeld }
func (s *Store) ReadChunk(before uint64) (*Chunk, error) { return nil, ErrNotHeld }
func (s *Store) AddChunk(before uint64, c *Chunk) error { return ErrNotHeld }

type ArchiveInfo struct {
	Network                                 risk.Hash
	Size, Index, Term, LedgerFrom, Listings uint64
	Root                                    risk.Hash
	Bytes                                   int64
}

func (s *Store) WriteArchive(ctx context.Context, w io.Writer) (ArchiveInfo, error) {
	return ArchiveInfo{}, ErrNotHeld
}
func ReadArchive(dir string, r io.Reader, o Options) (ArchiveInfo, error) {
	return ArchiveInfo{}, ErrNotHeld
}
