package audit

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/risknet/risknet/ledger"
	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/store"
)

// Report is what a verification has found to be so.
type Report struct {
	Network   risk.Hash
	Origin    string
	Size      uint64
	Root      ledger.Hash
	Entries   uint64    // leaves that were read, each applied and held to its digest
	Time      time.Time // the network's, at that size
	SignedBy  string    // the node whose checkpoint it was
	Cosigners []Cosigner
	Missing   uint64 // bodies that nobody keeps any more
}

// Cosigner is a node of another institution that had the same root.
type Cosigner struct {
	Node string
	Time time.Time
}

// Verify reads the whole ledger of a node: the checkpoint's signatures, every leaf
// (its signatures, refusal, outcomes and state digest), every tile, and the root.
// The error is a [*BadLeaf] or [*BadTile] if one can be blamed. The replica is the
// caller's to close; it is nil after an error.
func Verify(ctx context.Context, log *Log, o Options) (*Replica, *Report, error) {
	signed, err := log.Checkpoint(ctx)
	if err != nil {
		return nil, nil, err
	}
	return VerifyAt(ctx, log, signed, signed.Size, o)
}

// VerifyAt is [Verify] up to a size within a checkpoint.
func VerifyAt(ctx context.Context, log *Log, signed *Signed, size uint64, o Options) (*Replica, *Report, error) {
	if size == 0 || size > signed.Size {
		return nil, nil, fmt.Errorf("size: %d is not one of the checkpoint's; give 1 to %d", size, signed.Size)
	}
	r, err := NewReplica(log, o)
	if err != nil {
		return nil, nil, err
	}
	report, err := r.verify(ctx, signed, size)
	if err != nil {
		return nil, nil, errors.Join(err, r.Close())
	}
	return r, report, nil
}

func (r *Replica) verify(ctx context.Context, signed *Signed, size uint64) (*Report, error) {
	if err := r.Extend(ctx, signed.Checkpoint, size); err != nil {
		return nil, err
	}
	net, err := r.store.Network()
	if err != nil {
		return nil, err
	}
	clock, err := r.store.Clock()
	if err != nil {
		return nil, err
	}
	head := r.Head()
	report := &Report{Network: net.ID, Origin: net.Origin, Size: head.Size, Root: ledger.Hash(head.Root), Entries: head.Size,
		Time: time.UnixMilli(clock.Time), Missing: r.Missing}
	return report, r.signers(signed, report)
}

// signers holds the checkpoint's signatures to the keys of the node records.
func (r *Replica) signers(signed *Signed, report *Report) error {
	nodes, err := r.store.Nodes()
	if err != nil {
		return err
	}
	var own *risk.PutNode
	for _, n := range nodes {
		plain, err := ledger.NewVerifier(report.Origin, n.LogKey.Bytes[:])
		if err != nil {
			return err
		}
		if _, _, err := ledger.OpenCheckpoint(signed.Note, report.Origin, plain); err == nil {
			own, report.SignedBy = n, n.Name
		}
	}
	for _, n := range nodes {
		if _, at, ok := cosignedBy(signed.Note, report.Origin, n); ok && own != nil && n.Institution != own.Institution {
			report.Cosigners = append(report.Cosigners, Cosigner{n.Name, at})
		}
	}
	if own == nil {
		return fmt.Errorf("log_key: is of no node that the ledger names at %d leaves; ask the hub which node this is", report.Size)
	}
	return nil
}

// NodeReport is what was found about one node's own state.
type NodeReport struct {
	Name    string
	Size    uint64
	Records uint64
	Err     error
}

// States holds what every node of the network stores to the digest that the leaves
// give, and has each read itself. Nodes are found and known by their records in the
// ledger. It extends the replica where they have gone on.
func (r *Replica) States(ctx context.Context, config *tls.Config) ([]NodeReport, error) {
	nodes, err := r.store.Nodes()
	if err != nil {
		return nil, err
	}
	reports := make([]NodeReport, len(nodes))
	var wait sync.WaitGroup
	for i, n := range nodes {
		verifier, err := ledger.NewVerifier(r.log.origin, n.LogKey.Bytes[:])
		if err != nil {
			return nil, err
		}
		report := &reports[i]
		report.Name = n.Name
		wait.Go(func() {
			log := newLog(n.HTTP, verifier, config)
			defer log.Close()
			if report.Err = r.state(ctx, log, report); report.Err == nil {
				report.Err = log.VerifyItself(ctx)
			}
		})
	}
	wait.Wait()
	return reports, ctx.Err()
}

// BadRecord says which record of a node's state is wrong.
type BadRecord struct {
	Key    []byte
	Reason string
}

func (e *BadRecord) Error() string { return fmt.Sprintf("record %x: %s", e.Key, e.Reason) }

// state reads one node's records, and again, record by record, if their digest is
// not the one in the leaf.
func (r *Replica) state(ctx context.Context, log *Log, report *NodeReport) error {
	sum := store.NewSum()
	var head risk.Head
	err := log.Records(ctx, func(h risk.Head) error { head = h; return nil }, func(key, value []byte) error {
		sum.Add(key, value)
		report.Records++
		return nil
	})
	if err != nil {
		return err
	}
	report.Size = head.Size
	r.one.Lock() // the replica has one user at a time
	defer r.one.Unlock()
	want, err := r.digestAt(ctx, head)
	if err != nil {
		return err
	}
	if want == sum.Digest() {
		return nil
	}
	if err := r.firstBadRecord(ctx, log); err != nil {
		return err
	}
	return fmt.Errorf("at %d leaves its %d records give digest %s, leaf %d says %s", head.Size, report.Records, sum.Digest(), head.Size-1, want)
}

// digestAt holds a node's head to the ledger, extended as far as that, and gives the
// state digest that the ledger has there.
func (r *Replica) digestAt(ctx context.Context, head risk.Head) (risk.Hash, error) {
	if head.Size == 0 {
		return risk.Hash{}, errors.New("has no state yet")
	}
	if err := r.reach(ctx, head.Size); err != nil {
		return risk.Hash{}, err
	}
	root, err := ledger.RootAt(head.Size, r.store.Hashes)
	if err != nil {
		return risk.Hash{}, err
	}
	if root != ledger.Hash(head.Root) {
		return risk.Hash{}, fmt.Errorf("at %d leaves it has root %x, the ledger of %s has %x: one of the two has diverged or is forged", head.Size, head.Root, r.log.address, root)
	}
	encoded, err := r.store.Leaf(head.Size - 1)
	if err != nil {
		return risk.Hash{}, err
	}
	leaf, err := risk.DecodeLeaf(encoded)
	if err != nil {
		return risk.Hash{}, err
	}
	return leaf.State, nil
}

// reach extends the replica to a size that another node has: our own node's next
// checkpoint covers it.
func (r *Replica) reach(ctx context.Context, size uint64) error {
	for r.Head().Size < size {
		signed, err := r.log.Checkpoint(ctx)
		if err != nil {
			return err
		}
		if signed.Size > r.Head().Size {
			if err := r.Extend(ctx, signed.Checkpoint, signed.Size); err != nil {
				return err
			}
			continue
		}
		if err := wait(ctx, 200*time.Millisecond); err != nil {
			return fmt.Errorf("checkpoint of %d leaves: %w", size, err)
		}
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// firstBadRecord reads a node's records once more, beside those of a state made of
// the leaves up to the same size.
func (r *Replica) firstBadRecord(ctx context.Context, log *Log) error {
	var own *walk
	defer func() {
		if own != nil {
			own.close()
		}
	}()
	err := log.Records(ctx, func(head risk.Head) error {
		if _, err := r.digestAt(ctx, head); err != nil {
			return err
		}
		var err error
		own, err = r.walkAt(ctx, head.Size)
		return err
	}, func(key, value []byte) error { return own.compare(key, value) })
	if err != nil {
		return err
	}
	return own.rest()
}

// walk is a state of ours, record by record.
type walk struct {
	records chan [2][]byte
	failed  chan error
	stop    context.CancelFunc
	remove  func()
}

func (w *walk) close() {
	w.stop()
	for range w.records { // ends when the walk has
	}
	w.remove()
}

// compare meets the node's next record with ours.
func (w *walk) compare(key, value []byte) error {
	own, more := <-w.records
	switch {
	case !more:
		return errors.Join(<-w.failed, &BadRecord{key, "is not in the state that the leaves give"})
	case bytes.Compare(own[0], key) < 0:
		return &BadRecord{own[0], "is missing"}
	case bytes.Compare(own[0], key) > 0:
		return &BadRecord{key, "is not in the state that the leaves give"}
	case !bytes.Equal(own[1], value):
		return &BadRecord{key, fmt.Sprintf("holds %x, the leaves give %x", value, own[1])}
	}
	return nil
}

// rest is what the node lacks at the end.
func (w *walk) rest() error {
	own, more := <-w.records
	if !more {
		return <-w.failed
	}
	return &BadRecord{own[0], "is missing"}
}
