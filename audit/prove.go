package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/risknet/risknet/ledger"
	"github.com/risknet/risknet/risk"
)

// Proof is a small file that verifies offline: that a leaf is in the ledger at a
// checkpoint, that the ledger has only grown since an earlier one, or both. Its
// form is JSON; hashes and leaves are in base64, checkpoints are signed notes. Who
// verifies it needs the log key of the node that signed, and nothing else of it is
// believed.
type Proof struct {
	Checkpoint string     `json:"checkpoint"`
	Leaf       *LeafProof `json:"leaf,omitempty"`
	Since      *Growth    `json:"since,omitempty"`
}

// LeafProof is an inclusion proof (RFC 6962, section 2.1.1), leaf side first.
type LeafProof struct {
	Index uint64   `json:"index"`
	Data  []byte   `json:"data"`
	Path  [][]byte `json:"path"`
}

// Growth is a consistency proof (RFC 6962, section 2.1.2).
type Growth struct {
	Checkpoint string   `json:"checkpoint"`
	Path       [][]byte `json:"path"`
}

// maxProofBytes is more than a leaf and two proofs can have in base64.
const maxProofBytes = 256 << 10

// Prove makes a proof of a leaf at the node's newest checkpoint; since is an earlier
// checkpoint, or nil. Without a leaf it is of growth alone.
func Prove(ctx context.Context, log *Log, leaf *uint64, since []byte) ([]byte, error) {
	signed, err := log.Checkpoint(ctx)
	if err != nil {
		return nil, err
	}
	p := Proof{Checkpoint: string(signed.Note)}
	if leaf != nil {
		if p.Leaf, err = log.proveLeaf(ctx, signed.Checkpoint, *leaf); err != nil {
			return nil, err
		}
	}
	if since != nil {
		if p.Since, err = log.proveGrowth(ctx, signed.Checkpoint, since); err != nil {
			return nil, err
		}
	}
	data, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return nil, err
	}
	_, err = VerifyProof(data, log.verifier) // what we hand out holds
	return append(data, '\n'), err
}

func (l *Log) proveLeaf(ctx context.Context, c ledger.Checkpoint, index uint64) (*LeafProof, error) {
	path, err := ledger.ProveInclusion(c.Size, index, l.Hashes(ctx, c))
	if err != nil {
		return nil, err
	}
	p := &LeafProof{Index: index, Path: raw(path)}
	err = l.Leaves(ctx, index, index+1, func(_ uint64, leaves [][]byte) error {
		p.Data = leaves[0]
		return nil
	})
	return p, err
}

func (l *Log) proveGrowth(ctx context.Context, c ledger.Checkpoint, since []byte) (*Growth, error) {
	old, err := l.open(since)
	if err != nil {
		return nil, fmt.Errorf("since: %w", err)
	}
	path, err := ledger.ProveConsistency(old.Size, c.Size, l.Hashes(ctx, c))
	return &Growth{Checkpoint: string(since), Path: raw(path)}, err
}

func raw(hashes []ledger.Hash) [][]byte {
	list := make([][]byte, len(hashes))
	for i := range hashes {
		list[i] = hashes[i][:]
	}
	return list
}

func hashes(list [][]byte) ([]ledger.Hash, error) {
	all := make([]ledger.Hash, len(list))
	for i, h := range list {
		if len(h) != len(all[i]) {
			return nil, fmt.Errorf("path: hash %d has %d bytes, not %d", i, len(h), len(all[i]))
		}
		all[i] = ledger.Hash(h)
	}
	return all, nil
}

// Proven is what a proof proves.
type Proven struct {
	Checkpoint ledger.Checkpoint
	Index      uint64     // of the leaf, if there is one
	Leaf       *risk.Leaf // nil if the proof is of growth alone
	Command    *risk.Command
	Since      *ledger.Checkpoint // nil if the proof is of a leaf alone
}

// VerifyProof checks a proof offline, under the key of the node that signed it.
func VerifyProof(data []byte, key ledger.Verifier) (*Proven, error) {
	if len(data) > maxProofBytes {
		return nil, fmt.Errorf("proof: has %d bytes; at most %d are taken", len(data), maxProofBytes)
	}
	var p Proof
	in := json.NewDecoder(bytes.NewReader(data))
	in.DisallowUnknownFields()
	if err := in.Decode(&p); err != nil {
		return nil, fmt.Errorf("proof: %w; give a file that `risknet audit prove` has written", err)
	}
	if p.Leaf == nil && p.Since == nil {
		return nil, errors.New("proof: proves nothing; it must have a leaf or a since")
	}
	c, _, err := ledger.OpenCheckpoint([]byte(p.Checkpoint), key.Name(), key)
	if err != nil {
		return nil, fmt.Errorf("proof: %w", err)
	}
	proven := &Proven{Checkpoint: c}
	if p.Leaf != nil {
		if err := proven.leaf(p.Leaf); err != nil {
			return nil, fmt.Errorf("proof: %w", err)
		}
	}
	if p.Since != nil {
		if err := proven.since(p.Since, key); err != nil {
			return nil, fmt.Errorf("proof: since: %w", err)
		}
	}
	return proven, nil
}

func (p *Proven) leaf(l *LeafProof) error {
	path, err := hashes(l.Path)
	if err != nil {
		return err
	}
	if err := ledger.VerifyInclusion(path, p.Checkpoint.Size, p.Checkpoint.Root, l.Index, ledger.LeafHash(l.Data)); err != nil {
		return err
	}
	if p.Leaf, err = risk.DecodeLeaf(l.Data); err != nil {
		return err
	}
	p.Index = l.Index
	p.Command, err = risk.DecodeCommand(p.Leaf.Header)
	return err
}

func (p *Proven) since(g *Growth, key ledger.Verifier) error {
	old, _, err := ledger.OpenCheckpoint([]byte(g.Checkpoint), key.Name(), key)
	if err != nil {
		return err
	}
	path, err := hashes(g.Path)
	if err != nil {
		return err
	}
	p.Since = &old
	return ledger.VerifyConsistency(path, old.Size, old.Root, p.Checkpoint.Size, p.Checkpoint.Root)
}
