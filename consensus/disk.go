package consensus

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/risknet/risknet/fault"
)

// slowRun is how many slow appends in a row make a leader hand over.
const slowRun = 3

// disk watches the log being written. Raft waits for its disk in its main loop:
// while a leader hangs there its heartbeats go on, and nobody else stands up. And
// what raft does after a failed write is to try on; a disk that has failed once,
// though, may have kept anything.
type disk struct {
	logStore
	after, limit time.Duration
	gate         Gate              // of all connections, beside the caller's own
	fail         func(error) error // ends the replica's work
	log          *bridge
	slow         chan struct{} // appends take long, and do return

	mu      sync.Mutex
	lost    error  // the first failure: nothing is written after it
	hanging int    // writes that take longer than after
	stalls  uint64 // such writes since the start
	run     int    // slow appends in a row
}

func newDisk(store logStore, cfg *Config, fail func(error) error, log *bridge) *disk {
	return &disk{logStore: store, after: cfg.StallAfter, limit: cfg.StallLimit,
		fail: fail, log: log, slow: make(chan struct{}, 1)}
}

// stalled reports whether this server is cut off because of its disk, and how
// often it was.
func (d *disk) stalled() (bool, uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.hanging > 0 || d.lost != nil, d.stalls
}

// do runs one write under watch.
func (d *disk) do(what string, write func() error) (took time.Duration, err error) {
	d.mu.Lock()
	lost := d.lost
	d.mu.Unlock()
	if lost != nil {
		return 0, lost
	}
	start, end := time.Now(), d.watch(what)
	err = write()
	end()
	if err != nil {
		return 0, d.lose(fmt.Errorf("%w: %s: %w; see to the disk, then start again", ErrDisk, what, err))
	}
	return time.Since(start), nil
}

// watch starts two alarms for a write; the function it returns ends them.
func (d *disk) watch(what string) (end func()) {
	var mu sync.Mutex
	over, hangs := false, false
	stall := time.AfterFunc(d.after, func() {
		mu.Lock()
		defer mu.Unlock()
		if !over {
			hangs = true
			d.hang(what)
		}
	})
	limit := time.AfterFunc(d.limit, func() {
		d.lose(fmt.Errorf("%w: %s: has not returned for %v; see to the disk, then start again", ErrDisk, what, d.limit))
	})
	return func() {
		stall.Stop()
		limit.Stop()
		mu.Lock()
		defer mu.Unlock()
		if over = true; hangs {
			d.resume()
		}
	}
}

func (d *disk) hang(what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hanging++
	d.stalls++
	d.log.Error("the disk hangs: this server cuts its connections until it is back", "doing", what, "for", d.after)
	d.gate.Cut() // under the lock, so that another write's end does not heal it
}

func (d *disk) resume() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hanging--
	if d.hanging == 0 && d.lost == nil {
		d.log.Warn("the disk is back: this server opens its connections")
		d.gate.Heal()
	}
}

// lose is for good: a write may be on disk or not, and this process cannot know.
func (d *disk) lose(err error) error {
	d.mu.Lock()
	if d.lost != nil {
		defer d.mu.Unlock()
		return d.lost
	}
	d.lost = err
	d.mu.Unlock()
	d.log.Error("the log cannot be written: this server stops taking part", "error", err)
	d.gate.Cut()
	return d.fail(err)
}

func (d *disk) StoreLog(l *raft.Log) error { return d.StoreLogs([]*raft.Log{l}) }

func (d *disk) StoreLogs(logs []*raft.Log) error {
	if len(logs) == 0 {
		return nil
	}
	what := fmt.Sprintf("append entries %d to %d", logs[0].Index, logs[len(logs)-1].Index)
	took, err := d.do(what, func() error {
		// If we crash here, nobody was told of these entries.
		fault.Point("consensus: before append")
		err := d.logStore.StoreLogs(logs)
		// If we crash here, they are on disk, and the leader sends them again.
		fault.Point("consensus: after append")
		return err
	})
	if err == nil {
		d.pace(took)
	}
	return err
}

// pace counts slow appends in a row.
func (d *disk) pace(took time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if took <= d.after/4 {
		d.run = 0
		return
	}
	if d.run++; d.run < slowRun {
		return
	}
	d.run = 0
	select {
	case d.slow <- struct{}{}:
	default:
	}
}

func (d *disk) DeleteRange(from, to uint64) error {
	last, err := d.LastIndex()
	if err != nil {
		return err
	}
	if to < last {
		return d.compact(from, to)
	}
	_, err = d.do(fmt.Sprintf("truncate the log at %d", from), func() error {
		// If we crash here, the log still contradicts the leader's.
		fault.Point("consensus: before truncation")
		err := d.logStore.DeleteRange(from, to)
		// If we crash here, the leader sends what takes its place.
		fault.Point("consensus: after truncation")
		return err
	})
	return err
}

func (d *disk) compact(from, to uint64) error {
	_, err := d.do(fmt.Sprintf("cut the log up to %d", to), func() error {
		// If we crash here, the log is longer than it need be.
		fault.Point("consensus: before compaction")
		err := d.logStore.DeleteRange(from, to)
		// If we crash here, the machine holds on disk what the log no longer has.
		fault.Point("consensus: after compaction")
		return err
	})
	return err
}

func (d *disk) Set(key, value []byte) error {
	_, err := d.do("store "+string(key), func() error { return d.logStore.Set(key, value) })
	return err
}

func (d *disk) SetUint64(key []byte, value uint64) error {
	_, err := d.do("store "+string(key), func() error {
		// If we crash here, this server has voted for nobody in that term.
		fault.Point("consensus: before vote")
		err := d.logStore.SetUint64(key, value)
		// If we crash here, it keeps the promise that nobody has heard; of a vote it
		// knows the term, and not yet for whom.
		fault.Point("consensus: after vote")
		return err
	})
	return err
}

// GetLog meets rot that came after the start. Raft panics where it must apply the
// entry, and retries where it would send it; this server goes on in neither case.
func (d *disk) GetLog(index uint64, l *raft.Log) error {
	err := d.logStore.GetLog(index, l)
	if err == nil && l.Index != index {
		err = fmt.Errorf("%w: entry %d stands in its place", ErrDamaged, l.Index)
	}
	if err != nil && errors.Is(err, ErrDamaged) {
		err = fmt.Errorf("read entry %d of the log: %w; %s", index, err, cureDamage)
		d.log.Error("the log is damaged: this server applies nothing more", "error", err)
		return d.fail(err)
	}
	return err
}
