package store

import (
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"github.com/risknet/risknet/risk"
)

// Whoever applies the leaves again gets the state again: with every body that was
// ever sent, with those that are kept today, and with none.
func TestTheLeavesGiveTheStateAgain(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp(base, "")
		if err != nil {
			t.Fatalf("%v", err)
		}
		defer os.RemoveAll(dir)
		w := newWorld()
		w.grow(t, rapid.IntRange(5, 40).Draw(t, "entries"))
		lived := open(t, filepath.Join(dir, "lived"), Options{})
		defer lived.Close()
		sent := map[uint64][]risk.Body{}
		for i, r := range mustApply(t, lived, w.entries) {
			if entry, err := risk.DecodeEntry(w.entries[i].Data); r.Result.Leaf && err == nil {
				sent[r.Leaf] = entry.Signed.Bodies
			}
		}
		if _, err := lived.VerifyAll(ctx); err != nil {
			t.Fatalf("it does not hold together: %v", err)
		}
		for name, bodies := range map[string]func(leaf uint64) []risk.Body{
			"all":  func(leaf uint64) []risk.Body { return sent[leaf] },
			"none": func(uint64) []risk.Body { return nil },
			"kept": func(leaf uint64) []risk.Body {
				kept, err := lived.Bodies(leaf)
				if err != nil {
					t.Fatalf("bodies of leaf %d: %v", leaf, err)
				}
				return kept
			},
		} {
			again := open(t, filepath.Join(dir, name), Options{})
			for leaf := range lived.Head().Size {
				encoded, err := lived.Leaf(leaf)
				if err != nil {
					t.Fatalf("leaf %d: %v", leaf, err)
				}
				if err := again.Replay([]Replayed{{Leaf: encoded, Bodies: bodies(leaf)}}); err != nil {
					t.Fatalf("with bodies %q: %v", name, err)
				}
			}
			if again.Digest() != lived.Digest() || again.Head() != lived.Head() {
				t.Fatalf("with bodies %q the state is another", name)
			}
			mustClose(t, again)
		}
	})
}
