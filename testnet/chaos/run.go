//go:build chaos

package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/risknet/risknet/risk"
)

const kindOfLoad = risk.KindDevice

// row is one fault, and how it is made.
type row struct {
	name    string
	what    string // a line of the page
	setting setting
	// can says why this machine cannot run the row.
	can func() error
	// prepare makes ready what the row needs outside of the network, and gives
	// what takes it away again.
	prepare func(ctx context.Context, r *rig, s *setting) (func(), error)
	// more asks for runs beyond the number that was asked for.
	more func(r *rig) bool
	// fault makes one fault under load and ends it: when it returns, every process
	// runs again and nothing is cut.
	fault func(ctx context.Context, r *rig) error
}

// rig is what a row's fault works with.
type rig struct {
	logf func(format string, args ...any)
	*network
	load   *load
	dice   *rand.Rand
	result *Result
	dir    string // of the row's networks
	run    int

	program   string
	abandoned bool           // the network of this run waits for a person, and is given up
	renew     bool           // the next run begins with another network
	points    []string       // crash points of the source
	hitGoal   int            // hits that each of them should have
	tried     map[string]int // by crash point
	counted   map[string]int // by crash point: hits, also of earlier goes
	way       map[string]int // by crash point: which of the ways reached it
	toolHits  map[string]int // by crash point, in programs that are no nodes
	flips     []string       // bits that were turned
}

// matrix measures rows.
type matrix struct {
	program string
	dir     string
	runs    int
	seed    uint64
	points  []string
	hits    map[string]int // by crash point, in earlier goes
	hitGoal int
	logf    func(format string, args ...any)
}

// measure runs one row, and gives what it measured even if there is an error:
// then the row could not be carried out.
func (m *matrix) measure(ctx context.Context, w *row) (*Result, error) {
	result := &Result{Row: w.name, What: w.what, Nodes: w.setting.nodes, Began: time.Now(), Seed: m.seed, Broken: map[Invariant]int{}}
	defer func() { result.Seconds = time.Since(result.Began).Seconds() }()
	if w.can != nil {
		if err := w.can(); err != nil {
			result.Skipped = err.Error()
			return result, nil
		}
	}
	result.Unreached = map[string]string{}
	r := &rig{logf: m.logf, points: m.points, hitGoal: m.hitGoal, tried: map[string]int{}, counted: addCounts(m.hits, nil), way: map[string]int{}, toolHits: map[string]int{}, program: m.program, dice: rand.New(rand.NewPCG(m.seed, uint64(len(w.name)))), result: result, dir: filepath.Join(m.dir, w.name)}
	defer func() { result.Hits = addCounts(result.Hits, r.toolHits) }()
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return result, err
	}
	set := w.setting
	if w.prepare != nil {
		undo, err := w.prepare(ctx, r, &set)
		if undo != nil {
			defer undo()
		}
		if err != nil {
			return result, err
		}
	}
	for r.run = 1; r.run <= m.runs || w.more != nil && w.more(r); r.run++ {
		if err := m.once(ctx, w, r, set); err != nil {
			return result, fmt.Errorf("%s: run %d: %w", w.name, r.run, errors.Join(err, m.close(r, true)))
		}
	}
	return result, m.close(r, false)
}

// once is one run. A network on which something broke is put aside with its
// files, and the next run begins with another.
func (m *matrix) once(ctx context.Context, w *row, r *rig, s setting) error {
	if r.network == nil {
		dir := filepath.Join(r.dir, fmt.Sprintf("net-%d", r.run))
		n, err := start(ctx, m.program, dir, s)
		if err != nil {
			return fmt.Errorf("start the network: %w", err)
		}
		r.network = n
	}
	began := time.Now()
	err := m.torment(ctx, w, r)
	if ctx.Err() == nil {
		r.result.Runs++
	}
	_, broken := r.witness.Violations()
	m.logf("%s: run %d of %d: %s, violations %v, writers failed %d times%s", w.name, r.run, m.runs,
		time.Since(began).Round(time.Millisecond), broken, len(r.load.failures), firstLine(r.load.failures))
	if err != nil || r.abandoned || r.renew || len(broken) > 0 {
		r.abandoned, r.renew = false, false
		if closed := m.close(r, err != nil || len(broken) > 0); err == nil {
			err = closed
		}
	}
	return err
}

func firstLine(failures []string) string {
	if len(failures) == 0 {
		return ""
	}
	return ", first with: " + failures[0]
}

// torment makes the fault under load and judges what came of it.
func (m *matrix) torment(ctx context.Context, w *row, r *rig) error {
	r.load = r.startLoad(r.dice)
	defer r.load.finish()
	if err := r.load.awaitAcks(ctx, 10); err != nil {
		return fmt.Errorf("before the fault: %w", err)
	}
	if err := w.fault(ctx, r); err != nil && ctx.Err() != nil {
		return fmt.Errorf("the fault: %w", err)
	} else if err != nil {
		r.witness.Violate(Heals, "", "the fault could not be made, or did not end: %v", err)
		return nil
	}
	if r.abandoned {
		r.load.giveUp()
		return nil
	}
	ended := time.Now()
	err := r.healthy(ctx, r.load)
	healed := time.Since(ended)
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted: %w", err)
	}
	r.spare(r.names()...)
	if err != nil || healed > healTime {
		r.witness.Violate(Heals, "", "not healthy after %s: %v", healed.Round(time.Millisecond), err)
	}
	if err != nil {
		return nil // a violation; there is nothing more to compare
	}
	r.result.HealMillis = append(r.result.HealMillis, healed.Milliseconds())
	if err := r.load.awaitAcks(ctx, 10); err != nil {
		return fmt.Errorf("after the fault: %w", err)
	}
	r.load.finish()
	if err := r.compare(ctx, r.load); err != nil {
		return fmt.Errorf("compare: %w", err)
	}
	return r.judgeHistory(r.result)
}

// close ends the network and takes over what it measured; files are kept where
// something broke.
func (m *matrix) close(r *rig, keep bool) error {
	if r.network == nil {
		return nil
	}
	n := r.network
	r.network = nil
	err := n.end()
	violations, broken := n.witness.Violations()
	answers, acks := n.witness.Counts()
	r.result.Violations = append(r.result.Violations, violations...)
	r.result.Broken = addCounts(r.result.Broken, broken)
	r.result.Answers, r.result.Acked = r.result.Answers+answers, r.result.Acked+acks
	r.result.Hits = addCounts(r.result.Hits, n.hits())
	r.result.Peaks.Cover(n.peaks)
	for _, v := range violations {
		m.logf("VIOLATION %s %s at %s: %s", v.Invariant, v.Node, v.At.Format(time.StampMilli), v.Text)
	}
	if keep {
		m.logf("the files of the network are kept in %s", n.dir)
		return err
	}
	if removed := os.RemoveAll(n.dir); err == nil {
		err = removed
	}
	return err
}
