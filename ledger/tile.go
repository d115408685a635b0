package ledger

import (
	"fmt"
	"strconv"
	"strings"
)

const (
	// TileWidth is the number of hashes, or of entries, in a full tile.
	TileWidth = 1 << tileHeight

	// Entries is the Level of a bundle of entries, which has its own path.
	Entries = -1

	tileHeight   = 8
	maxTileLevel = 63 // what the grammar allows; a tree of MaxSize ends at level 6
)

// Tile names a piece of the ledger that never changes once it is full: Width
// neighbouring hashes of one level, or Width entries if Level is [Entries].
//
// The hashes of level L are the roots of 256^L leaves each. The tile at Index
// begins with hash Index·256 of its level. A Width of 256 is a full tile, 1 to
// 255 a partial one, as the end of a tree of some size has it.
type Tile struct {
	Level int
	Index uint64
	Width int
}

// Path is the tile's address below the log's prefix, without a leading slash:
// tile/<L>/<N>[.p/<W>] or tile/entries/<N>[.p/<W>]. N is written in groups of
// three digits, all but the last behind an x, so that no file is also a folder:
// 1234067 is x001/x234/067.
func (t Tile) Path() string {
	var path strings.Builder
	path.WriteString("tile/")
	if t.Level == Entries {
		path.WriteString("entries")
	} else {
		path.WriteString(strconv.Itoa(t.Level))
	}
	digits := strconv.FormatUint(t.Index, 10)
	if short := len(digits) % 3; short != 0 {
		digits = "00"[:3-short] + digits
	}
	for ; len(digits) > 3; digits = digits[3:] {
		path.WriteString("/x" + digits[:3])
	}
	path.WriteString("/" + digits)
	if t.Width != TileWidth {
		path.WriteString(".p/" + strconv.Itoa(t.Width))
	}
	return path.String()
}

// ParseTile reads a path that [Tile.Path] writes, and no other spelling of it.
// Whether a tree has the tile is another question: see [Tile.Within].
func ParseTile(path string) (Tile, error) {
	tile, ok := readTile(path)
	if ok {
		if err := tile.check(); err != nil {
			return Tile{}, fmt.Errorf("tile path %q: %w", path, err)
		}
	}
	if !ok || tile.Path() != path {
		return Tile{}, fmt.Errorf("tile path %q is malformed; it must be tile/<L>/<N> or tile/entries/<N>, "+
			"with .p/<W> behind it for a partial tile, as in tile/0/x001/x234/067.p/5", path)
	}
	return tile, nil
}

// readTile takes a path apart generously: ParseTile compares the result with
// the path, so that the grammar is written once, in Path.
func readTile(path string) (tile Tile, ok bool) {
	level, path, ok := strings.Cut(strings.TrimPrefix(path, "tile/"), "/")
	if !ok {
		return Tile{}, false
	}
	var err error
	if tile.Level = Entries; level != "entries" {
		if tile.Level, err = strconv.Atoi(level); err != nil || tile.Level < 0 {
			return Tile{}, false
		}
	}
	index, width, partial := strings.Cut(path, ".p/")
	if tile.Width = TileWidth; partial {
		if tile.Width, err = strconv.Atoi(width); err != nil {
			return Tile{}, false
		}
	}
	digits := strings.NewReplacer("/x", "", "/", "").Replace("/" + index)
	tile.Index, err = strconv.ParseUint(digits, 10, 64)
	return tile, err == nil
}

// check refuses a tile that no path can name. It bounds the index so that the
// tile's leaves can be counted; above level 6 that leaves only index 0.
func (t Tile) check() error {
	if t.Level < Entries || t.Level > maxTileLevel {
		return fmt.Errorf("tile level %d is not between 0 and %d", t.Level, maxTileLevel)
	}
	if t.Width < 1 || t.Width > TileWidth {
		return fmt.Errorf("tile width %d is not between 1 and %d", t.Width, TileWidth)
	}
	if t.Index > MaxSize>>(tileHeight*(max(t.Level, 0)+1)) {
		return fmt.Errorf("tile index %d at level %d is beyond the largest tree", t.Index, t.Level)
	}
	return nil
}

// Within reports whether a tree of size leaves has all that the tile holds. A
// partial tile stays within every larger tree, also when a full one replaced it.
func (t Tile) Within(size uint64) bool {
	if t.check() != nil {
		return false
	}
	return t.Index<<tileHeight+uint64(t.Width) <= size>>(tileHeight*max(t.Level, 0))
}

// HashTile makes the bytes of a hash tile, 32 for each of its hashes. The tile
// must be within the tree that read serves.
func HashTile(t Tile, read HashReader) ([]byte, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	if t.Level == Entries || !t.Within(MaxSize) {
		return nil, fmt.Errorf("%s is not a tile of hashes that a tree can have", t.Path())
	}
	indexes, hashes := make([]uint64, t.Width), make([]Hash, t.Width)
	for i := range indexes {
		indexes[i] = StoredIndex(tileHeight*t.Level, t.Index<<tileHeight+uint64(i))
	}
	if err := read(indexes, hashes); err != nil {
		return nil, fmt.Errorf("read the hashes of %s: %w", t.Path(), err)
	}
	data := make([]byte, 0, t.Width*len(Hash{}))
	for _, h := range hashes {
		data = append(data, h[:]...)
	}
	return data, nil
}

// ParseHashTile takes the bytes of a hash tile of a width apart.
func ParseHashTile(data []byte, width int) ([]Hash, error) {
	if width < 1 || width > TileWidth {
		return nil, fmt.Errorf("tile width %d is not between 1 and %d", width, TileWidth)
	}
	if want := width * len(Hash{}); len(data) != want {
		return nil, fmt.Errorf("tile of %d hashes has %d bytes, not %d", width, len(data), want)
	}
	hashes := make([]Hash, width)
	for i := range hashes {
		hashes[i] = Hash(data[i*len(Hash{}):])
	}
	return hashes, nil
}
