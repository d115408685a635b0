package ledger

import (
	"bytes"
	"fmt"
	"testing"
)

func TestTileHashes(t *testing.T) {
	const size = 70_000 // three levels of tiles
	leaves := testLeaves(size)
	var edge Edge
	var stored []Hash
	for _, leaf := range leaves {
		stored = edge.Append(stored, LeafHash(leaf))
	}
	direct := func(indexes []uint64, into []Hash) error {
		for i, index := range indexes {
			into[i] = stored[index]
		}
		return nil
	}
	bad := Tile{Level: -2}
	read := TileHashes(size, edge.Root(), func(tile Tile) ([]byte, error) {
		if !tile.Within(size) {
			return nil, fmt.Errorf("is not within %d leaves", size)
		}
		data, err := HashTile(tile, direct)
		if tile == bad {
			data = bytes.Clone(data)
			data[5]++
		}
		return data, err
	})
	for _, index := range []uint64{0, 255, 256, 65_535, 65_536, size - 1} {
		proof, err := ProveInclusion(size, index, read)
		if err != nil {
			t.Fatalf("leaf %d: %v", index, err)
		}
		if err := VerifyInclusion(proof, size, edge.Root(), index, LeafHash(leaves[index])); err != nil {
			t.Errorf("leaf %d: %v", index, err)
		}
	}
	bad = Tile{Level: 0, Index: 3, Width: 256}
	into := make([]Hash, 1)
	if err := read([]uint64{StoredIndex(0, 800)}, into); err == nil {
		t.Error("a tile that does not lead to the root is believed")
	}
}
