package ledger

import (
	"bytes"
	"errors"
	"math/bits"
	"slices"
	"strings"
	"testing"
)

func TestRootAtEverySizeIsTheNaiveRoot(t *testing.T) {
	leaves := testLeaves(allSizes)
	tree, edge := grow(leaves), Edge{}
	for n := 0; n <= allSizes; n++ {
		want := naiveRoot(leaves[:n])
		if edge.Size() != uint64(n) || edge.Root() != want {
			t.Fatalf("size %d: edge has size %d, root %x; want %x", n, edge.Size(), edge.Root(), want)
		}
		if got := must[Hash](t)(RootAt(uint64(n), tree.readAt(uint64(n)))); got != want {
			t.Fatalf("size %d: RootAt gives %x, want %x", n, got, want)
		}
		if got := must[Edge](t)(EdgeAt(uint64(n), tree.readAt(uint64(n)))); got != edge {
			t.Fatalf("size %d: EdgeAt differs from the edge that grew", n)
		}
		if n < allSizes {
			edge.Append(nil, naiveLeaf(leaves[n]))
		}
	}
}

func TestAppendStoresEachSubtreeAtItsIndex(t *testing.T) {
	leaves := testLeaves(allSizes)
	var edge Edge
	for n := range uint64(allSizes) {
		first := StoredCount(n)
		stored := edge.Append(nil, LeafHash(leaves[n]))
		if want := 1 + bits.TrailingZeros64(n+1); len(stored) != want {
			t.Fatalf("leaf %d completes %d hashes, want %d", n, len(stored), want)
		}
		for level, h := range stored {
			at, width := n>>level, uint64(1)<<level
			if got := StoredIndex(level, at); got != first+uint64(level) {
				t.Fatalf("leaf %d, level %d: index %d, want %d", n, level, got, first+uint64(level))
			}
			if h != naiveRoot(leaves[at*width:(at+1)*width]) {
				t.Fatalf("leaf %d, level %d: wrong hash", n, level)
			}
		}
		if StoredCount(n+1) != first+uint64(len(stored)) {
			t.Fatalf("StoredCount(%d) = %d", n+1, StoredCount(n+1))
		}
	}
}

func TestEdgeSurvivesItsEncodingAndGrowsOn(t *testing.T) {
	leaves := testLeaves(2 * allSizes)
	var edge Edge
	for n := 0; n <= allSizes; n++ {
		data := must[[]byte](t)(edge.MarshalBinary())
		if want := 9 + 32*bits.OnesCount(uint(n)); len(data) != want {
			t.Fatalf("size %d takes %d bytes, want %d", n, len(data), want)
		}
		back := must[Edge](t)(ParseEdge(data))
		if back != edge {
			t.Fatalf("size %d: the edge read back differs", n)
		}
		// Past the next power of two, so that every kept root is used.
		to := n + 1<<bits.Len(uint(n))
		to = min(to, len(leaves))
		for _, leaf := range leaves[n:to] {
			back.Append(nil, LeafHash(leaf))
		}
		if back.Root() != naiveRoot(leaves[:to]) {
			t.Fatalf("an edge read back at size %d has a wrong root at %d", n, to)
		}
		edge.Append(nil, LeafHash(leaves[n]))
	}
}

func TestCopyOfAnEdgeIsIndependent(t *testing.T) {
	leaves := testLeaves(8)
	tree := grow(leaves[:7])
	before := tree.edge
	tree.edge.Append(nil, LeafHash(leaves[7]))
	if before.Size() != 7 || before.Root() != naiveRoot(leaves[:7]) {
		t.Fatal("appending to an edge changed its copy")
	}
}

func TestEdgeIsRefused(t *testing.T) {
	tree := grow(testLeaves(5))
	good := must[[]byte](t)(tree.edge.MarshalBinary())
	with := func(at int, b byte) []byte { c := slices.Clone(good); c[at] = b; return c }
	for _, test := range []struct {
		name string
		data []byte
		says string
	}{
		{"nothing", nil, "cut short"},
		{"header cut", good[:8], "cut short"},
		{"version 0", with(0, 0), "version 0"},
		{"version 2", with(0, 2), "version 2"},
		{"hash cut", good[:len(good)-1], "bytes of hashes"},
		{"hash missing", good[:len(good)-32], "bytes of hashes"},
		{"byte behind", append(slices.Clone(good), 0), "bytes of hashes"},
		{"size with more subtrees", with(8, 7), "bytes of hashes"},
		{"size with fewer subtrees", with(8, 4), "bytes of hashes"},
		{"size above the largest", with(1, 1), "largest tree"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := ParseEdge(test.data); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Fatalf("got %v, want %q", err, test.says)
			}
		})
	}
}

func TestEdgeAtTheLargestSizes(t *testing.T) {
	for _, size := range []uint64{MaxSize, MaxSize - 1} {
		edge := Edge{size: size}
		for _, level := range levelsOf(size) {
			edge.roots[level] = LeafHash([]byte{byte(level)})
		}
		data := must[[]byte](t)(edge.MarshalBinary())
		if back := must[Edge](t)(ParseEdge(data)); back != edge {
			t.Fatalf("size %d: the edge read back differs", size)
		}
		edge.Append(nil, Hash{}) // must not run out of levels
		edge.Root()
	}
	if _, err := EdgeAt(MaxSize+1, nil); !errors.Is(err, errTooLarge) {
		t.Fatalf("EdgeAt above the largest size: %v", err)
	}
}

func TestReadFaultIsReported(t *testing.T) {
	broken := errors.New("disk gone")
	read := func([]uint64, []Hash) error { return broken }
	_, edge := EdgeAt(3, read)
	_, root := RootAt(3, read)
	_, inclusion := ProveInclusion(3, 0, read)
	_, consistency := ProveConsistency(2, 3, read)
	_, tile := HashTile(Tile{Width: 3}, read)
	for name, err := range map[string]error{
		"EdgeAt": edge, "RootAt": root, "ProveInclusion": inclusion, "ProveConsistency": consistency, "HashTile": tile,
	} {
		if !errors.Is(err, broken) {
			t.Errorf("%s hides the fault of its reader: %v", name, err)
		}
	}
}

func TestAppendToAGivenSliceAllocatesNothing(t *testing.T) {
	var edge Edge
	stored := make([]Hash, 0, maxLevel+1)
	leaf := LeafHash([]byte("leaf"))
	if n := testing.AllocsPerRun(1000, func() { edge.Append(stored, leaf); edge.Root() }); n != 0 {
		t.Fatalf("Append and Root allocate %v times", n)
	}
}

func FuzzParseEdge(f *testing.F) {
	for _, n := range []int{0, 1, 5, 256} {
		tree := grow(testLeaves(n))
		f.Add(must[[]byte](f)(tree.edge.MarshalBinary()))
	}
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		edge, err := ParseEdge(data)
		if err != nil {
			return
		}
		if again := must[[]byte](t)(edge.MarshalBinary()); !bytes.Equal(again, data) {
			t.Fatalf("%x was read, but is written as %x", data, again)
		}
		edge.Append(nil, Hash{})
		edge.Root()
	})
}

func BenchmarkAppend(b *testing.B) {
	b.ReportAllocs()
	var edge Edge
	stored := make([]Hash, 0, maxLevel+1)
	leaf := LeafHash([]byte("leaf"))
	for b.Loop() {
		edge.Append(stored, leaf)
	}
}

func BenchmarkRoot(b *testing.B) {
	edge := grow(testLeaves(1<<12 - 1)).edge // 12 subtrees, the most for its length
	for b.Loop() {
		edge.Root()
	}
}

func BenchmarkLeafHash(b *testing.B) {
	b.ReportAllocs()
	leaf := make([]byte, 512)
	for b.Loop() {
		LeafHash(leaf)
	}
}
