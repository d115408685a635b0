package ledger

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

func TestTilePath(t *testing.T) {
	for path, want := range map[string]Tile{
		"tile/0/000":                     {0, 0, 256},
		"tile/0/000.p/1":                 {0, 0, 1},
		"tile/0/000.p/255":               {0, 0, 255},
		"tile/0/999":                     {0, 999, 256},
		"tile/0/x001/000":                {0, 1000, 256},
		"tile/0/x001/x234/067":           {0, 1234067, 256},
		"tile/1/x001/x234/067.p/112":     {1, 1234067, 112},
		"tile/4/255":                     {4, 255, 256},
		"tile/5/000":                     {5, 0, 256},
		"tile/63/000":                    {63, 0, 256},
		"tile/entries/000":               {Entries, 0, 256},
		"tile/entries/x273/000.p/7":      {Entries, 273000, 7},
		"tile/0/x001/x099/x511/x627/775": {0, 1<<40 - 1, 256},
	} {
		got, err := ParseTile(path)
		if err != nil || got != want {
			t.Errorf("%s is read as %+v, %v; want %+v", path, got, err, want)
		}
		if want.Path() != path {
			t.Errorf("%+v is written %s, want %s", want, want.Path(), path)
		}
	}
}

func TestTilePathIsRefused(t *testing.T) {
	for _, path := range strings.Fields(`
		/tile/0/000 tile tile/ tile/0 tile/0/ tile//000 tile/0/000/ tile/0//000 0/000 tile/tile/0/000
		tile/00/000 tile/+1/000 tile/-1/000 tile/64/000 tile/a/000 tile/Entries/000 tile/data/000
		tile/0/0 tile/0/00 tile/0/0000 tile/0/1000 tile/0/x000/000 tile/0/x000 tile/0/001/000 tile/0/x001/x000
		tile/0/x01/000 tile/0/xx01/000 tile/0/X001/000 tile/0/-01 tile/0/+01 tile/0/0x1 tile/0/..
		tile/0/000.p tile/0/000.p/ tile/0/000.p/0 tile/0/000.p/256 tile/0/000.p/257 tile/0/000.p/01 tile/0/000.p/-1
		tile/0/000.p/+1 tile/0/000.p/1/ tile/0/000.p/1.p/1 tile/0/000.P/1 tile/0/000p/1 tile/0/000.p/1e1
		tile/0/x001/234/067 tile/0/x001/x234/x067
		tile/0/x001/x099/x511/x627/777 tile/5/002.p/1 tile/5/257 tile/6/001 tile/63/001
		tile/0/x999/x999/x999/x999/x999/x999/999 tile/entries/x999/x999/x999/x999/x999
	`) {
		if tile, err := ParseTile(path); err == nil {
			t.Errorf("%s is read as %+v", path, tile)
		}
	}
	for _, path := range []string{"", "tile/0/0 0", "tile/0/000 ", "tile/0/٠٠٠", "tile/0/000\x00"} {
		if tile, err := ParseTile(path); err == nil {
			t.Errorf("%q is read as %+v", path, tile)
		}
	}
}

// The example of the specification: the tiles of a tree of 70,000 leaves, and
// of one of 256.
func TestTileWithin(t *testing.T) {
	for _, test := range []struct {
		path string
		size uint64
		want bool
	}{
		{"tile/0/272", 70000, true}, {"tile/0/273", 70000, false},
		{"tile/0/273.p/112", 70000, true}, {"tile/0/273.p/113", 70000, false},
		{"tile/0/273.p/111", 70000, true},
		{"tile/1/000", 70000, true}, {"tile/1/001", 70000, false},
		{"tile/1/001.p/17", 70000, true}, {"tile/1/001.p/18", 70000, false},
		{"tile/2/000.p/1", 70000, true}, {"tile/2/000.p/2", 70000, false},
		{"tile/3/000.p/1", 70000, false}, {"tile/63/000.p/1", MaxSize, false},
		{"tile/entries/272", 70000, true}, {"tile/entries/273.p/112", 70000, true},
		{"tile/entries/273.p/113", 70000, false},
		{"tile/0/000", 256, true}, {"tile/0/000", 255, false}, {"tile/1/000.p/1", 256, true},
		{"tile/1/000.p/1", 255, false}, {"tile/0/000.p/1", 0, false},
		{"tile/6/000.p/1", MaxSize, true}, {"tile/5/000", MaxSize, true}, {"tile/4/255", MaxSize, true},
		{"tile/5/000", MaxSize - 1, false}, {"tile/0/x001/x099/x511/x627/775", MaxSize, true},
	} {
		if got := must[Tile](t)(ParseTile(test.path)).Within(test.size); got != test.want {
			t.Errorf("%s within %d: %v", test.path, test.size, got)
		}
	}
	for _, tile := range []Tile{{Level: -2, Width: 1}, {Level: 64, Width: 1}, {Width: 0}, {Width: 257}, {Index: 1 << 63, Width: 1}} {
		if tile.Within(MaxSize) {
			t.Errorf("%+v is within a tree", tile)
		}
	}
}

func TestHashTileHoldsTheNaiveRoots(t *testing.T) {
	const size = 2*256 + 44
	leaves := testLeaves(size)
	tree := grow(leaves)
	for path, span := range map[string]int{
		"tile/0/000": 1, "tile/0/001": 1, "tile/0/002.p/44": 1, "tile/0/002.p/7": 1, "tile/1/000.p/2": 256,
	} {
		tile := must[Tile](t)(ParseTile(path))
		hashes := must[[]Hash](t)(ParseHashTile(must[[]byte](t)(HashTile(tile, tree.read)), tile.Width))
		for i, h := range hashes {
			at := (int(tile.Index)*TileWidth + i) * span
			if h != naiveRoot(leaves[at:at+span]) {
				t.Errorf("%s: hash %d is wrong", path, i)
			}
		}
	}
	if _, err := HashTile(Tile{0, 2, 45}, tree.read); err == nil {
		t.Error("a tile is made of hashes that are not stored")
	}
}

func TestImpossibleHashTileIsRefusedUnread(t *testing.T) {
	for _, tile := range []Tile{{Entries, 0, 5}, {7, 0, 1}, {6, 0, 2}, {0, 0, 0}, {0, 0, 257}, {0, 1 << 40, 1}, {0, 1 << 63, 1}} {
		read := func([]uint64, []Hash) error { t.Errorf("hashes of %+v were read", tile); return nil }
		if _, err := HashTile(tile, read); err == nil {
			t.Errorf("%+v is made", tile)
		}
	}
}

func TestHashTileOfWrongLengthIsRefused(t *testing.T) {
	for _, test := range []struct{ bytes, width int }{{31, 1}, {33, 1}, {0, 1}, {0, 0}, {257 * 32, 257}, {32, -1}} {
		if _, err := ParseHashTile(make([]byte, test.bytes), test.width); err == nil {
			t.Errorf("%d bytes are read as %d hashes", test.bytes, test.width)
		}
	}
}

func TestBundle(t *testing.T) {
	for name, entries := range map[string][][]byte{
		"one":            {[]byte("a")},
		"empty entry":    {{}, []byte("b"), {}},
		"largest entry":  {make([]byte, MaxEntry)},
		"full":           testLeaves(TileWidth),
		"looks nested":   {{0, 1, 0}, {0, 0}},
		"nothing inside": {{}},
	} {
		data := must[[]byte](t)(EncodeEntries(entries))
		back := must[[][]byte](t)(DecodeEntries(data, len(entries)))
		if !slices.EqualFunc(back, entries, bytes.Equal) {
			t.Errorf("%s: entries differ", name)
		}
	}
	// An entry shares memory with the bundle, but growing one must not reach the next.
	data := must[[]byte](t)(EncodeEntries([][]byte{[]byte("a"), []byte("b")}))
	entries := must[[][]byte](t)(DecodeEntries(data, 2))
	_ = append(entries[0], 9, 9, 9)
	if string(entries[1]) != "b" || data[2+1] != 0 {
		t.Error("growing an entry wrote over the next")
	}
}

func TestBundleIsRefused(t *testing.T) {
	good := must[[]byte](t)(EncodeEntries([][]byte{[]byte("a"), []byte("bc")}))
	for _, test := range []struct {
		name  string
		data  []byte
		width int
		says  string
	}{
		{"of no entries", nil, 0, "must hold 1 to 256"},
		{"of too many", make([]byte, 514), 257, "must hold 1 to 256"},
		{"fewer than named", good, 3, "ends before entry 2"},
		{"more than named", good, 1, "4 bytes behind"},
		{"cut in an entry", good[:len(good)-1], 2, "within entry 1: 1 bytes of 2"},
		{"cut in a length", good[:4], 2, "before entry 1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := DecodeEntries(test.data, test.width); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Fatalf("got %v, want %q", err, test.says)
			}
		})
	}
	for name, entries := range map[string][][]byte{
		"none": nil, "too many": make([][]byte, 257), "entry too large": {make([]byte, MaxEntry+1)},
	} {
		if _, err := EncodeEntries(entries); err == nil {
			t.Errorf("%s: encoded", name)
		}
	}
}

func FuzzParseTile(f *testing.F) {
	for _, seed := range []string{"tile/0/x001/x234/067.p/5", "tile/entries/000", "tile/63/000", "tile/0/x000/000", "tile/0/000.p/256"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		tile, err := ParseTile(path)
		if err != nil {
			return
		}
		if tile.Path() != path {
			t.Fatalf("%q was read, but is written %q", path, tile.Path())
		}
		if strings.Contains(path, "..") {
			t.Fatalf("%q can leave its folder", path)
		}
		tile.Within(MaxSize)
	})
}

func FuzzDecodeEntries(f *testing.F) {
	f.Add([]byte{0, 0}, 1)
	f.Add([]byte{0, 1, 'a', 0, 2, 'b', 'c'}, 2)
	f.Add([]byte{0xff, 0xff, 1}, 1)
	f.Fuzz(func(t *testing.T, data []byte, width int) {
		entries, err := DecodeEntries(data, width)
		if err != nil {
			return
		}
		if again := must[[]byte](t)(EncodeEntries(entries)); !bytes.Equal(again, data) {
			t.Fatalf("%x was read, but is written %x", data, again)
		}
	})
}
