//go:build chaos

package chaos

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// crashesARun is how many crash points are hit in one run.
const crashesARun = 6

// runsANetwork is after how many runs another network is begun: a small state is
// copied sooner.
const runsANetwork = 4

// way is one scenario that may pass a crash point. It reports whether the point
// was hit; whatever happened, the network has all its nodes when it returns.
type way struct {
	name string
	try  func(ctx context.Context, r *rig, point string) error
}

// ways lists the scenarios, from the cheapest.
var ways = []way{
	{"under load", crashLive},
	{"in an election", crashElecting},
	{"at a start", crashAtStart},
	{"while it ends", crashAtStop},
	{"while it catches up from an image", crashBehind},
	{"while it sends an image", crashSender},
	{"at a start without its data", crashLost},
	{"at a start with damaged data", crashDamaged},
	{"while a backup is restored", crashRestoring},
	{"while a lost majority is recovered", crashRecovering},
}

// hints say with which way to begin, by a word in the name of a point.
var hints = []struct{ word, way string }{
	{"recovery", "while a lost majority is recovered"},
	{"archive", "while a backup is restored"},
	{"image written", "while it sends an image"},
	{"image", "at a start without its data"},
	{"stage", "at a start without its data"},
	{"restore", "at a start without its data"},
	{"CURRENT.new", "at a start without its data"},
	{"truncation", "while it catches up from an image"},
	{"compaction", "in an election"},
	{"sync", "in an election"},
	{"life", "at a start without its data"},
	{"aside", "at a start with damaged data"},
	{"chunk", "at a start without its data"},
	{"vote", "in an election"},
}

// firstWay is the one that reached the point before, or that its name suggests.
func (r *rig) firstWay(point string) int {
	if known, ok := r.way[point]; ok {
		return known
	}
	for _, h := range hints {
		if strings.Contains(point, h.word) {
			return slices.IndexFunc(ways, func(w way) bool { return w.name == h.way })
		}
	}
	return 0
}

// crashPoints hits the points that were hit least so far, each in the way that
// was found to reach it.
func crashPoints(ctx context.Context, r *rig) error {
	if len(r.points) == 0 {
		return fmt.Errorf("the source has no crash points")
	}
	for range crashesARun {
		point, more := r.leastHit()
		if !more {
			return nil
		}
		began := time.Now()
		if err := r.hit(ctx, point); err != nil {
			return fmt.Errorf("%s: %w", point, err)
		}
		struck := time.Now()
		// Another blow before all votes are back could strike a majority.
		if err := r.settled(ctx); err != nil {
			return fmt.Errorf("%s: the network does not heal: %w", point, err)
		}
		r.logf("%s: %d hits, the last %s, in %s, whole after %s", point, r.counted[point], ways[r.firstWay(point)].name, struck.Sub(began).Round(time.Millisecond), time.Since(struck).Round(time.Millisecond))
	}
	r.renew = r.run%runsANetwork == 0
	return nil
}

// settled waits until the network is whole again.
func (n *network) settled(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, healTime)
	defer cancel()
	return until(ctx, 50*time.Millisecond, func() error { return n.agreed(ctx) })
}

// pointsLeft reports whether a crash point lacks hits.
func pointsLeft(r *rig) bool {
	_, more := r.leastHit()
	return more
}

// leastHit gives the point that was hit least, of those that can be reached and
// were not hit often enough.
func (r *rig) leastHit() (string, bool) {
	points := slices.DeleteFunc(slices.Clone(r.points), func(p string) bool {
		return r.result.Unreached[p] != "" || r.counted[p] >= r.hitGoal || r.tried[p] >= 3*r.hitGoal
	})
	if len(points) == 0 {
		return "", false
	}
	return slices.MinFunc(points, func(a, b string) int {
		return cmp.Or(r.counted[a]-r.counted[b], r.tried[a]-r.tried[b])
	}), true
}

// hit tries the ways until one reaches the point.
func (r *rig) hit(ctx context.Context, point string) error {
	r.tried[point]++
	first := r.firstWay(point)
	for i := range ways {
		w := ways[(first+i)%len(ways)]
		before := r.hitsOf(point)
		if err := w.try(ctx, r, point); err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		if r.hitsOf(point) > before {
			r.way[point] = (first + i) % len(ways)
			r.counted[point]++
			return nil
		}
	}
	if _, known := r.way[point]; r.tried[point] >= 2 && !known {
		r.result.Unreached[point] = "no scenario of this harness passes it"
	}
	return nil
}

// never is a passing that does not come: it takes a point off its guard.
const never = 1 << 30

// gone waits until a process has ended.
func (r *rig) gone(ctx context.Context, name string, patience time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return until(ctx, 10*time.Millisecond, func() error {
		if r.Runs(name) {
			return fmt.Errorf("%s runs", name)
		}
		return nil
	}) == nil
}

// crashLive arms a node that runs: the leader, or any.
func crashLive(ctx context.Context, r *rig, point string) error {
	name := r.any()
	if r.dice.IntN(2) == 0 {
		leader, err := r.leader(ctx)
		if err != nil {
			return err
		}
		name = leader
	}
	r.strike(name)
	if err := r.CrashAt(name, point, 1+r.dice.IntN(3)); err != nil {
		return err
	}
	if !r.gone(ctx, name, 2500*time.Millisecond) {
		r.spare(name)
		if err := r.CrashAt(name, point, never); err != nil && r.Runs(name) {
			return err
		}
		if r.Runs(name) {
			return nil
		}
		r.strike(name)
	}
	return r.begin(ctx, name)
}

// crashElecting arms a follower and kills the leader.
func crashElecting(ctx context.Context, r *rig, point string) error {
	_, name, err := r.follower(ctx)
	if err != nil {
		return err
	}
	leader, err := r.leader(ctx)
	if err != nil {
		return err
	}
	r.strike(name)
	if err := r.CrashAt(name, point, 1); err != nil {
		return err
	}
	if err := r.kill(leader); err != nil {
		return err
	}
	fell := r.gone(ctx, name, 4*time.Second)
	if !fell {
		_ = r.CrashAt(name, point, never) // it may have ended meanwhile
		fell = !r.Runs(name)
	}
	if fell {
		return r.begin(ctx, leader, name)
	}
	r.spare(name)
	return r.begin(ctx, leader)
}

// armed starts a node with a point armed, waits until it ended there or is ready,
// and sees that it runs in the end.
func (r *rig) armed(ctx context.Context, name, point string) error {
	r.arm(name, fmt.Sprintf("%s@1", point))
	err := r.network.run(name)
	r.arm(name, "")
	if err != nil {
		return err
	}
	limit, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	err = until(limit, 20*time.Millisecond, func() error {
		if !r.Runs(name) {
			return nil
		}
		status, err := r.ask(limit, name)
		if err == nil && !status.Ready {
			err = fmt.Errorf("%s is not ready", name)
		}
		return err
	})
	if err != nil {
		return err
	}
	// What follows after the start, such as fetching the older ledger, may pass it.
	if !r.gone(ctx, name, time.Second) {
		_ = r.CrashAt(name, point, never) // it may have ended meanwhile
	}
	if !r.Runs(name) {
		return r.begin(ctx, name)
	}
	r.spare(name)
	return nil
}

func crashAtStart(ctx context.Context, r *rig, point string) error {
	name := r.any()
	if err := r.kill(name); err != nil {
		return err
	}
	return r.armed(ctx, name, point)
}

func crashAtStop(ctx context.Context, r *rig, point string) error {
	name, err := r.leader(ctx)
	if err != nil {
		return err
	}
	r.strike(name)
	if err := r.CrashAt(name, point, 1); err != nil {
		return err
	}
	if err := r.Stop(name); err != nil {
		return err
	}
	return r.begin(ctx, name)
}

// leaveBehind kills a follower and writes until the log no longer reaches back
// to it.
func (r *rig) leaveBehind(ctx context.Context) (string, error) {
	_, name, err := r.follower(ctx)
	if err != nil {
		return "", err
	}
	if err := r.kill(name); err != nil {
		return "", err
	}
	if err := r.load.publishMany(160, 1); err != nil { // more than two thresholds
		return "", err
	}
	// Longer than the log is kept for an image that went out just before, and then
	// is cut.
	wait(ctx, 6500*time.Millisecond)
	return name, nil
}

func crashBehind(ctx context.Context, r *rig, point string) error {
	name, err := r.leaveBehind(ctx)
	if err != nil {
		return err
	}
	return r.armed(ctx, name, point)
}

func crashSender(ctx context.Context, r *rig, point string) error {
	name, err := r.leaveBehind(ctx)
	if err != nil {
		return err
	}
	leader, err := r.leader(ctx)
	if err != nil {
		return err
	}
	r.strike(leader)
	if err := r.CrashAt(leader, point, 1); err != nil {
		return err
	}
	if err := r.network.run(name); err != nil {
		return err
	}
	if r.gone(ctx, leader, 5*time.Second) {
		if err := r.begin(ctx, leader); err != nil {
			return err
		}
	} else {
		_ = r.CrashAt(leader, point, never)
	}
	r.spare(leader)
	return r.await(ctx, name)
}

// follower gives a node that does not lead.
func (r *rig) follower(ctx context.Context) (int, string, error) {
	leader, err := r.leader(ctx)
	if err != nil {
		return 0, "", err
	}
	names := others(r.names(), leader)
	name := names[r.dice.IntN(len(names))]
	return slices.Index(r.names(), name), name, nil
}

// images counts how often a node was brought up to date by an image.
func (n *network) images(name string) int {
	return strings.Count(n.logs[name].all(), "Installed remote snapshot")
}
