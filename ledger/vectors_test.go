package ledger

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
)

// The roots published with the reference implementation of Certificate
// Transparency: the n-th is of the first n leaves.
func TestPublishedRoots(t *testing.T) {
	leaves := []string{
		"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
	}
	roots := []string{
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
		"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
		"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
		"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
		"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
		"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
	}
	var edge Edge
	for n, want := range roots {
		if root := edge.Root(); hex.EncodeToString(root[:]) != want {
			t.Errorf("root of the first %d leaves is %x, want %s", n, root, want)
		}
		if n < len(leaves) {
			edge.Append(nil, LeafHash(must[[]byte](t)(hex.DecodeString(leaves[n]))))
		}
	}
}

// frozen is testdata/vectors.json. What stands there is in ledgers and on disks:
// a failure means that the code is wrong, never the file.
type frozen struct {
	Trees []struct {
		Size uint64
		Root string
		Edge string // the encoded edge
	}
	Anchor     string
	Checkpoint string // signed by the key of seed 00 01 … 1f
	Verifier   string
	Bundle     string // of the entries "", "a" and "leaf 2"
}

func readFrozen(t *testing.T) frozen {
	t.Helper()
	var v frozen
	if err := json.Unmarshal(must[[]byte](t)(os.ReadFile("testdata/vectors.json")), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestFrozenTrees(t *testing.T) {
	trees := readFrozen(t).Trees
	if len(trees) < 10 {
		t.Fatalf("only %d trees in the vectors", len(trees))
	}
	for _, want := range trees {
		tree := grow(testLeaves(int(want.Size)))
		if root := tree.edge.Root(); hex.EncodeToString(root[:]) != want.Root {
			t.Errorf("root at %d is %x, want %s", want.Size, root, want.Root)
		}
		if data := must[[]byte](t)(tree.edge.MarshalBinary()); hex.EncodeToString(data) != want.Edge {
			t.Errorf("edge at %d is %x, want %s", want.Size, data, want.Edge)
		}
	}
}

func TestFrozenFormats(t *testing.T) {
	want := readFrozen(t)
	if data := must[[]byte](t)(testAnchor().MarshalBinary()); hex.EncodeToString(data) != want.Anchor {
		t.Errorf("anchor is %x, want %s", data, want.Anchor)
	}
	bundle := must[[]byte](t)(EncodeEntries([][]byte{{}, []byte("a"), []byte("leaf 2")}))
	if hex.EncodeToString(bundle) != want.Bundle {
		t.Errorf("bundle is %x, want %s", bundle, want.Bundle)
	}
	key := testKey(0)
	signed := must[[]byte](t)(SignCheckpoint(testCheckpoint(), must[Signer](t)(NewSigner(testOrigin, key))))
	if string(signed) != want.Checkpoint {
		t.Errorf("checkpoint is\n%swant\n%s", signed, want.Checkpoint)
	}
	if text := must[string](t)(VerifierKey(testOrigin, publicOf(key))); text != want.Verifier {
		t.Errorf("verifier key is %s, want %s", text, want.Verifier)
	}
}
