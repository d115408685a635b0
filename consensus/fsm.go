package consensus

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"

	"github.com/risknet/risknet/fault"
)

// delivery brings committed entries and images to the machine. Its methods run
// on raft's state machine goroutine, except where they say otherwise.
type delivery struct {
	machine Machine
	mu      sync.Mutex // ApplyBatch and Install never overlap

	applied atomic.Uint64 // index of the last entry in the machine
	synced  atomic.Uint64 // everything up to here is known to be on disk
	// superseded is set when an image has replaced the state and raft may drop the
	// whole log, which the image covers or contradicts.
	superseded atomic.Bool

	counts imageCounts

	committed func(index, term uint64) // hears of each commit before it is applied; may be nil

	broken  atomic.Pointer[error]
	down    chan struct{} // closed with the first failure
	failure chan error    // holds at most one
}

var _ raft.BatchingFSM = (*delivery)(nil)

func newDelivery(machine Machine, at Position) *delivery {
	d := &delivery{machine: machine, down: make(chan struct{}), failure: make(chan error, 1)}
	d.applied.Store(at.Index)
	return d
}

// undelivered stands in for the result of an entry that the machine could not apply.
type undelivered struct{ err error }

// ApplyBatch answers raft with one result for each entry, whatever happens.
func (d *delivery) ApplyBatch(logs []*raft.Log) []any {
	entries := make([]Entry, len(logs))
	for i, l := range logs {
		entries[i] = entryOf(l)
	}
	if last := logs[len(logs)-1]; d.committed != nil {
		d.committed(last.Index, last.Term)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	results, err := d.apply(entries)
	if err == nil {
		return results
	}
	results = make([]any, len(logs))
	for i := range results {
		results[i] = undelivered{err}
	}
	return results
}

// entryOf is for the two kinds that a machine sees.
func entryOf(l *raft.Log) Entry {
	e := Entry{Index: l.Index, Term: l.Term, Kind: Command, Data: l.Data}
	if l.Type == raft.LogConfiguration {
		e.Kind = Configuration
	}
	return e
}

// Apply is the same for one entry; raft prefers ApplyBatch.
func (d *delivery) Apply(l *raft.Log) any { return d.ApplyBatch([]*raft.Log{l})[0] }

// apply stops at the first error for good: the entries behind it must not be
// applied to a state that lacks one.
func (d *delivery) apply(entries []Entry) ([]any, error) {
	if err := d.broken.Load(); err != nil {
		return nil, *err
	}
	last := entries[len(entries)-1].Index
	results, err := d.machine.ApplyBatch(entries)
	if err == nil && len(results) != len(entries) {
		err = fmt.Errorf("the machine gave %d results for %d entries", len(results), len(entries))
	}
	if err != nil {
		return nil, d.fail(fmt.Errorf("apply entries %d to %d: %w", entries[0].Index, last, err))
	}
	d.applied.Store(last)
	d.counts.continued()
	return results, nil
}

// fail remembers the first failure and tells the caller of Replica.Failed.
func (d *delivery) fail(err error) error {
	if d.broken.CompareAndSwap(nil, &err) {
		d.failure <- err
		close(d.down)
	}
	return err
}

// Snapshot is raft's wish to cut its log. Nothing is copied: see settle.
func (d *delivery) Snapshot() (raft.FSMSnapshot, error) {
	if err := d.broken.Load(); err != nil {
		return nil, *err
	}
	return localSnapshot{d}, nil
}

// settle makes the state durable at least up to an index that raft has delivered.
// Raft counts its barriers, which no machine sees; if the last entry was one, the
// machine is told, or its position would lie before the log that remains. It
// runs on raft's snapshot goroutine.
func (d *delivery) settle(index, term uint64) error {
	if err := d.moveTo(index, term); err != nil {
		return err
	}
	// If we crash here, the state may fall back to its last Sync, and the log has
	// what it then lacks.
	fault.Point("consensus: before sync")
	if err := d.machine.Sync(); err != nil {
		// The next sync may well succeed, without what this one has lost.
		return d.fail(fmt.Errorf("%w: sync the state at %d: %w; see to the disk, then start again", ErrDisk, index, err))
	}
	// If we crash here, raft still has the log that it was about to cut.
	fault.Point("consensus: after sync")
	d.raiseSynced(index)
	return nil
}

// raiseSynced never goes back: an image may have come in the meantime.
func (d *delivery) raiseSynced(index uint64) {
	for {
		old := d.synced.Load()
		if index <= old || d.synced.CompareAndSwap(old, index) {
			return
		}
	}
}

func (d *delivery) moveTo(index, term uint64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.applied.Load() >= index {
		return nil
	}
	_, err := d.apply([]Entry{{Index: index, Term: term, Kind: Barrier}})
	return err
}

// Restore switches to an image that lies staged.
func (d *delivery) Restore(rc io.ReadCloser) error {
	for {
		wrapper, ok := rc.(raft.ReadCloserWrapper)
		if !ok {
			break
		}
		rc = wrapper.WrappedReadCloser()
	}
	staged, ok := rc.(*stagedImage)
	if !ok {
		return errors.New("restore: only an image that another server sent can be installed")
	}
	err := d.install(staged)
	if vain := d.counts.attempted(err); vain != nil {
		return errors.Join(err, d.fail(vain))
	}
	return err
}

func (d *delivery) install(staged *stagedImage) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.broken.Load(); err != nil {
		return *err
	}
	want := staged.at
	if at := d.applied.Load(); want.Index < at {
		return fmt.Errorf("restore image at %d: the state is at %d already and never goes back", want.Index, at)
	}
	if err := staged.staging.Install(want); err != nil {
		return fmt.Errorf("restore image at %d: %w", want.Index, err)
	}
	// If we crash here, the log lacks what the image holds, or contradicts it: the
	// next start drops it.
	fault.Point("consensus: image installed")
	if at := d.machine.Position(); at.Index != want.Index || at.Term != want.Term {
		return d.fail(fmt.Errorf("restore image at %d: the machine is at %d afterwards", want.Index, at.Index))
	}
	d.applied.Store(want.Index)
	d.raiseSynced(want.Index)
	d.superseded.Store(true)
	return nil
}

// localSnapshot is what raft takes for a snapshot of ours.
type localSnapshot struct{ d *delivery }

// Persist writes nothing: the machine is the snapshot.
func (s localSnapshot) Persist(sink raft.SnapshotSink) error {
	in, ok := sink.(*incoming)
	if !ok {
		return fmt.Errorf("snapshot: the sink is a %T", sink)
	}
	in.local = true
	return s.d.settle(in.at.Index, in.at.Term)
}

func (localSnapshot) Release() {}
