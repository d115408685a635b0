package ledger

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
)

func testAnchor() Anchor {
	return Anchor{
		Network: LeafHash([]byte("network")), Node: [16]byte([]byte("node 0123456789a")),
		Size: 5, Root: naiveRoot(testLeaves(5)), LogIndex: 77, Term: 3,
	}
}

func TestAnchorSurvivesItsEncoding(t *testing.T) {
	for name, a := range map[string]Anchor{"zero": {}, "filled": testAnchor(), "largest": {Size: MaxSize, LogIndex: 1<<64 - 1, Term: 1<<64 - 1}} {
		data := must[[]byte](t)(a.MarshalBinary())
		if back := must[Anchor](t)(ParseAnchor(data)); back != a || len(data) != AnchorLength {
			t.Errorf("%s: read back as %+v", name, back)
		}
	}
}

func TestEveryDamagedByteOfAnAnchorIsFound(t *testing.T) {
	good := must[[]byte](t)(testAnchor().MarshalBinary())
	for at := range good {
		damaged := slices.Clone(good)
		damaged[at] ^= 0x10
		if a, err := ParseAnchor(damaged); err == nil {
			t.Fatalf("byte %d is damaged, and read as %+v", at, a)
		}
		if _, err := ParseAnchor(good[:at]); err == nil {
			t.Fatalf("cut at %d, and read", at)
		}
	}
	if _, err := ParseAnchor(append(slices.Clone(good), 0)); err == nil {
		t.Fatal("a byte behind the anchor is read over")
	}
}

// A right checksum does not make a wrong content right.
func TestSealedAnchorIsRefused(t *testing.T) {
	good := must[[]byte](t)(testAnchor().MarshalBinary())
	seal := func(change func(body []byte)) []byte {
		body := slices.Clone(good[:anchorBody])
		change(body)
		sum := sha256.Sum256(body)
		return append(body, sum[:]...)
	}
	for says, data := range map[string][]byte{
		"version 2":    seal(func(body []byte) { body[0] = 2 }),
		"largest tree": seal(func(body []byte) { binary.BigEndian.PutUint64(body[49:], MaxSize+1) }),
	} {
		if _, err := ParseAnchor(data); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %q", err, says)
		}
	}
}

func TestAnchorCompare(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(head *Anchor)
		want   Standing
	}{
		{"the same head", func(*Anchor) {}, Unmoved},
		{"grown tree", func(h *Anchor) { h.Size, h.Root, h.LogIndex = 6, Hash{6}, 78 }, Ahead},
		{"log grew without a leaf", func(h *Anchor) { h.LogIndex++ }, Ahead},
		{"new term", func(h *Anchor) { h.Term++ }, Ahead},
		{"smaller tree", func(h *Anchor) { h.Size, h.Root = 4, Hash{4} }, Behind},
		{"empty data directory", func(h *Anchor) { h.Size, h.Root, h.LogIndex, h.Term = 0, EmptyRoot(), 0, 0 }, Behind},
		{"older log", func(h *Anchor) { h.LogIndex-- }, Behind},
		{"older term, where it could vote twice", func(h *Anchor) { h.Term-- }, Behind},
		{"grown tree, but an older log", func(h *Anchor) { h.Size, h.LogIndex = 6, 1 }, Behind},
		{"same size, other root", func(h *Anchor) { h.Root[0] ^= 1 }, Forked},
		{"forked and an older log", func(h *Anchor) { h.Root[0] ^= 1; h.LogIndex = 0 }, Forked},
		{"another node", func(h *Anchor) { h.Node[15]++ }, Foreign},
		{"another network, smaller tree", func(h *Anchor) { h.Network[0]++; h.Size = 1 }, Foreign},
	} {
		t.Run(test.name, func(t *testing.T) {
			head := testAnchor()
			test.change(&head)
			if got := testAnchor().Compare(head); got != test.want {
				t.Fatalf("got %v, want %v", got, test.want)
			}
		})
	}
	if Foreign.String() != "foreign" || Standing(9).String() != "standing(9)" {
		t.Error("a standing has a wrong name")
	}
}

func FuzzParseAnchor(f *testing.F) {
	f.Add(must[[]byte](f)(testAnchor().MarshalBinary()))
	f.Add(must[[]byte](f)(Anchor{}.MarshalBinary()))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := ParseAnchor(data)
		if err != nil {
			return
		}
		if again := must[[]byte](t)(a.MarshalBinary()); !bytes.Equal(again, data) {
			t.Fatalf("%x was read, but is written %x", data, again)
		}
	})
}
