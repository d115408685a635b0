package node

import (
	"crypto/ed25519"
	"testing"
)

func TestPensAreMadeOnceForAnOrigin(t *testing.T) {
	n := &Node{}
	n.checkpoints.key = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	first, err := n.pensFor("net.example/log")
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := n.pensFor("net.example/log"); again != first {
		t.Error("the same origin has other pens")
	}
	if other, err := n.pensFor("other.example/log"); err != nil || other.signer.Name() != "other.example/log" {
		t.Errorf("the pens of another origin sign as %v, %v", other, err)
	}
	n.checkpoints.key[40] ^= 1
	if _, err := n.pensFor("third.example/log"); err == nil {
		t.Error("a damaged key has pens")
	}
}
