package audit

import (
	"crypto/ed25519"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/risknet/risknet/ledger"
	"github.com/risknet/risknet/risk"
)

const bigOrigin = "big.example/ledger"

// country is a network on paper: its hub's commands, and the keys of its nodes.
type country struct {
	t     *testing.T
	id    risk.Hash
	hub   risk.ID
	key   ed25519.PrivateKey
	nodes []ed25519.PrivateKey
	chain chain
}

// newCountry has so many institutions with a node each, and a hub that has changed
// its keys often.
func newCountry(t *testing.T, nodes int) *country {
	c := &country{t: t, hub: risk.ID{1}, key: keyOf(0)}
	c.order(&risk.Found{Name: "big", Origin: bigOrigin, Protocol: 2, Threshold: 1, HubKeys: []risk.PublicKey{publicOf(c.key)}})
	for i := range 20 {
		c.order(&risk.AddKey{Reporter: c.hub, Key: publicOf(keyOf(100 + i))})
	}
	c.key = keyOf(119)
	for i := range nodes {
		c.nodes = append(c.nodes, keyOf(200+i))
		c.order(c.record(i))
	}
	return c
}

func keyOf(n int) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[0], seed[1] = byte(n), byte(n>>8)
	return ed25519.NewKeyFromSeed(seed)
}

func publicOf(key ed25519.PrivateKey) risk.PublicKey {
	return risk.PublicKey{Algorithm: risk.Ed25519, Bytes: [32]byte(key.Public().(ed25519.PublicKey))}
}

func (c *country) record(i int) *risk.PutNode {
	return &risk.PutNode{Node: risk.ID{2, byte(i)}, Name: fmt.Sprintf("node-%d", i), Institution: fmt.Sprintf("bank-%d", i),
		Raft: "192.0.2.1:7001", API: "192.0.2.1:7002", HTTP: "192.0.2.1:7003", Suffrage: risk.Voter, LogKey: publicOf(c.nodes[i])}
}

// order has the hub sign a command.
func (c *country) order(params risk.Params) {
	c.t.Helper()
	command := &risk.Command{Network: c.id, Author: c.hub, Time: 1, NotAfter: 2, Params: params,
		Signers: []risk.Signer{{Reporter: c.hub, Key: publicOf(c.key).ID(), Algorithm: risk.Ed25519}}}
	signed, err := risk.Sign(command, nil, c.key)
	if err != nil {
		c.t.Fatal(err)
	}
	if c.id.IsZero() {
		c.id = signed.ID()
	}
	c.chain.take(command, SignedHeader{signed.Header, signed.Signatures})
}

func (c *country) signer(i int) ledger.Signer {
	c.t.Helper()
	s, err := ledger.NewSigner(bigOrigin, c.nodes[i])
	if err != nil {
		c.t.Fatal(err)
	}
	return s
}

// shows completes evidence and holds it to what a third party sees.
func (c *country) shows(e *Evidence, accused ...string) {
	c.t.Helper()
	if err := c.chain.complete(e, c.id, nil); err != nil {
		c.t.Fatal(err)
	}
	data, err := e.Encode()
	if err != nil {
		c.t.Fatal(err)
	}
	finding, err := VerifyEvidence(data, c.id, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	if !slices.Equal(finding.Accused, accused) {
		c.t.Errorf("accused are %v, not %v: %s", finding.Accused, accused, finding.Text)
	}
}

// broken is a promise of the first node that two others deny.
func (c *country) broken() *Evidence {
	c.t.Helper()
	promise := ledger.Promise{Origin: bigOrigin, Command: ledger.Hash{7}, At: 1_000, By: 31_000, NotAfter: 900_000}
	note, err := ledger.SignPromise(promise, c.signer(0))
	if err != nil {
		c.t.Fatal(err)
	}
	e := &Evidence{Kind: BrokenPromise, Promise: string(note)}
	for i := 1; i <= 2; i++ {
		absence, err := ledger.SignAbsence(ledger.Absence{Origin: bigOrigin, Command: promise.Command, Promise: promise.Hash(), Time: 60_000, Size: 9}, c.signer(i))
		if err != nil {
			c.t.Fatal(err)
		}
		e.Absence = append(e.Absence, string(absence))
	}
	return e
}

// backdated is a leaf of the first node that is stamped at a minute, behind a
// checkpoint that others cosigned at these times.
func (c *country) backdated(cosigned map[int]time.Time) *Evidence {
	c.t.Helper()
	command := &risk.Command{Network: c.id, Author: c.hub, Time: 1, NotAfter: 2, Params: &risk.RemoveNode{}, Signers: []risk.Signer{{Reporter: c.hub, Algorithm: risk.Ed25519}}}
	header, err := command.Encode()
	if err != nil {
		c.t.Fatal(err)
	}
	leaf := (&risk.Leaf{Header: header, Signatures: [][]byte{make([]byte, 64)}, At: 60_000, Proposer: c.record(0).Node}).Encode()
	var edge ledger.Edge
	edge.Append(nil, ledger.Hash{1})
	before := ledger.Checkpoint{Origin: bigOrigin, Size: 1, Root: edge.Root()}
	edge.Append(nil, ledger.LeafHash(leaf))
	after := ledger.Checkpoint{Origin: bigOrigin, Size: 2, Root: edge.Root()}
	heads := make([]string, 2)
	for i, head := range []ledger.Checkpoint{before, after} {
		note, err := ledger.SignCheckpoint(head, c.signer(1))
		if err != nil {
			c.t.Fatal(err)
		}
		for by, at := range cosigned {
			cosigner, err := ledger.NewCosigner(cosignerName(bigOrigin, c.record(by)), c.nodes[by])
			if err != nil {
				c.t.Fatal(err)
			}
			line, err := cosigner.Line(head, at)
			if err != nil {
				c.t.Fatal(err)
			}
			note = append(note, line...)
		}
		heads[i] = string(note)
	}
	hash, first := ledger.LeafHash(leaf), ledger.Hash{1}
	return &Evidence{Kind: Backdated, Heads: heads, Leaves: []EvidenceLeaf{{Head: 1, Index: 1, Hash: hash[:], Path: [][]byte{first[:]}, Data: leaf}}}
}

func TestEvidenceIsSmallInALargeNetwork(t *testing.T) {
	c := newCountry(t, 60)
	c.shows(c.broken(), "node-0")
	all := map[int]time.Time{}
	for i := range c.nodes {
		all[i] = time.UnixMilli(120_000)
	}
	c.shows(c.backdated(all), "node-0")
}

// What a node has signed it has signed, whatever its record says today.
func TestANewRecordLaundersNothing(t *testing.T) {
	c := newCountry(t, 3)
	e := c.broken()
	c.nodes[0] = keyOf(300)
	c.order(c.record(0))
	c.shows(e, "node-0")
	c.shows(c.broken(), "node-0") // and with its new key
}

// One clock that is ahead accuses nobody, nor do two of one institution or the
// accused's own.
func TestBackdatingTakesTwoOtherInstitutions(t *testing.T) {
	late, soon := time.UnixMilli(600_000), time.UnixMilli(61_000)
	for name, cosigned := range map[string]map[int]time.Time{
		"one is ahead":                {1: late, 2: soon},
		"one alone":                   {1: late},
		"the accused and one other":   {0: late, 1: late},
		"two, but clocks explain it":  {1: soon, 2: soon},
		"two nodes of one other bank": {1: late, 3: late},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCountry(t, 3)
			c.nodes = append(c.nodes, keyOf(400))
			second := c.record(3)
			second.Institution = "bank-1"
			c.order(second)
			err := c.chain.complete(c.backdated(cosigned), c.id, nil)
			if err == nil || !strings.Contains(err.Error(), "two are needed") {
				t.Errorf("error is %v", err)
			}
		})
	}
}
