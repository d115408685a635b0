package store

import (
	"slices"
	"sync"
	"sync/atomic"
)

// keptVersions is how many cuts a reader may be behind.
const keptVersions = 1024

// versions says which versions of a generation may still be asked for: those of
// the newest cuts, and everything from the oldest pin on.
type versions struct {
	oldest atomic.Uint64 // those below are gone

	mu   sync.Mutex
	kept []uint64 // oldest first
	pins []uint64
}

// begin is the first version that can be asked for.
func (v *versions) begin(version uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.kept = []uint64{version}
	v.oldest.Store(version)
}

// keep notes a new version, lets the oldest go, and gives the oldest that stays.
func (v *versions) keep(version uint64) uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.kept = append(v.kept, version)
	if len(v.kept) > keptVersions {
		v.kept = slices.Delete(v.kept, 0, len(v.kept)-keptVersions)
	}
	oldest := v.kept[0]
	for _, pin := range v.pins {
		oldest = min(oldest, pin)
	}
	v.oldest.Store(max(oldest, v.oldest.Load()))
	return v.oldest.Load()
}

// pin keeps a version, for a reader that takes its time, until the release.
func (v *versions) pin(version uint64) (release func(), err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if version < v.oldest.Load() {
		return nil, ErrVersionGone
	}
	v.pins = append(v.pins, version)
	return func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		if i := slices.Index(v.pins, version); i >= 0 {
			v.pins = slices.Delete(v.pins, i, i+1)
		}
	}, nil
}
