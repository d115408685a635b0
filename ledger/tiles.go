package ledger

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// A TileSource gets the bytes of a hash tile from wherever the log is served.
type TileSource func(t Tile) ([]byte, error)

// TileHashes reads the stored hashes of the tree with this size and root from
// tiles, and holds each tile to the root before it is believed.
func TileHashes(size uint64, root Hash, source TileSource) HashReader {
	tiles := tlog.TileHashReader(tlog.Tree{N: int64(size), Hash: tlog.Hash(root)}, &tileReader{source})
	return func(indexes []uint64, into []Hash) error {
		at := make([]int64, len(indexes))
		for i, index := range indexes {
			at[i] = int64(index)
		}
		hashes, err := tiles.ReadHashes(at)
		if err != nil {
			return fmt.Errorf("tree of %d leaves: %w", size, err)
		}
		for i, h := range hashes {
			into[i] = Hash(h)
		}
		return nil
	}
}

// tileReader gives tlog our tiles.
type tileReader struct{ source TileSource }

func (r *tileReader) Height() int { return tileHeight }

func (r *tileReader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, t := range tiles {
		var err error
		own := Tile{Level: t.L, Index: uint64(t.N), Width: t.W}
		if data[i], err = r.source(own); err != nil {
			return nil, fmt.Errorf("%s: %w", own.Path(), err)
		}
	}
	return data, nil
}

func (r *tileReader) SaveTiles([]tlog.Tile, [][]byte) {}
