//go:build chaos

package chaos

import (
	"context"
	"fmt"
	"time"

	"github.com/risknet/risknet/node"
)

// rows are the faults, in the order of the page.
func rows() []row {
	three, five := setting{nodes: 3, voters: 3}, setting{nodes: 5, voters: 5}
	// Few commands come while an image is installed: more than stay in so short a
	// log would make another image necessary, again and again.
	cutting := setting{nodes: 3, voters: 3, tune: cutsItsLog, pause: 200 * time.Millisecond}
	return []row{
		{name: "kill", what: "SIGKILL of a random node", setting: three, fault: killOne},
		{name: "kill-leader", what: "SIGKILL of the leader", setting: three, fault: killLeader},
		{name: "kill-all", what: "SIGKILL of all nodes at once", setting: five, fault: killAll},
		{name: "pause", what: "SIGSTOP of a random node for 1 to 60 s", setting: three, fault: pause},
		{name: "rolling", what: "rolling restart", setting: three, fault: rolling},
		{name: "cut", what: "partition: a random node or two of five, both ways", setting: five, fault: cut},
		{name: "cut-real", what: "partition in the kernel: a random node or two of five, both ways", setting: five, can: canNamespaces, prepare: inNamespaces, fault: cutReal},
		{name: "cut-one-way", what: "partition in the kernel: single directions, also those of the leader", setting: five, can: canNamespaces, prepare: inNamespaces, fault: cutOneWay},
		{name: "slow-image", what: "a slow link while an image is on its way", setting: cutting, can: canNamespaces, prepare: inNamespaces, fault: slowImage},
		{name: "points", what: "SIGKILL at the named crash points", setting: cutting, more: pointsLeft, fault: crashPoints},
		{name: "old-backup", what: "an old copy of a voter's data is put back", setting: three, fault: oldBackup},
		{name: "lost", what: "a voter's data is gone", setting: three, fault: lostData},
		{name: "swapped", what: "two nodes' data directories are exchanged", setting: five, fault: swapped},
		{name: "damaged", what: "bits of a stopped node's files are turned, on one or two nodes of five", setting: five, fault: damaged},
		{name: "damaged-most", what: "bits of stopped nodes' files are turned, on all nodes but one", setting: three, fault: damagedMost},
		{name: "full-disk", what: "a node's disk fills up until half of its reserve is left", setting: three, can: canMount, prepare: onSmallDisk, fault: fullDisk},
		{name: "last-byte", what: "a node's disk is filled to the last byte by somebody else", setting: three, can: canMount, prepare: onSmallDisk, fault: lastByte},
		{name: "bad-disk", what: "EIO or ENOSPC of a node's writes and syncs", setting: three, can: canTrace, fault: badDisk},
	}
}

// cutsItsLog makes a node cut its log all the time, so that who was away for
// seconds needs an image.
func cutsItsLog(c *node.Config) {
	c.Raft.TrailingLogs, c.Raft.SnapshotThreshold, c.Raft.SnapshotInterval = 64, 64, 500*time.Millisecond
}

// breath is how long a network goes on with the fault before it ends.
func (r *rig) breath(low, high time.Duration) time.Duration {
	return low + time.Duration(r.dice.Int64N(int64(high-low)))
}

func (r *rig) any() string { return r.names()[r.dice.IntN(len(r.Nodes))] }

func killOne(ctx context.Context, r *rig) error {
	name := r.any()
	if err := r.kill(name); err != nil {
		return err
	}
	wait(ctx, r.breath(0, 3*time.Second))
	return r.begin(ctx, name)
}

// killLeader also measures how long no write went through.
func killLeader(ctx context.Context, r *rig) error {
	name, err := r.leader(ctx)
	if err != nil {
		return err
	}
	killed := time.Now()
	if err := r.kill(name); err != nil {
		return err
	}
	back, err := r.load.awaitBegunAfter(ctx, killed)
	if err != nil {
		return err
	}
	r.result.Failover = append(r.result.Failover, back.Sub(killed).Milliseconds())
	return r.begin(ctx, name)
}

func killAll(ctx context.Context, r *rig) error {
	if err := r.kill(r.names()...); err != nil {
		return err
	}
	return r.begin(ctx, r.names()...)
}

// pause stops a process: mostly for a second or a few, now and then for up to a
// minute.
func pause(ctx context.Context, r *rig) error {
	name := r.any()
	longest := 6 * time.Second
	if r.run%10 == 0 {
		longest = 60 * time.Second
	}
	r.strike(name)
	if err := r.Pause(name); err != nil {
		return err
	}
	wait(ctx, r.breath(time.Second, longest))
	if err := r.Resume(name); err != nil {
		return err
	}
	return r.await(ctx, name)
}

func rolling(ctx context.Context, r *rig) error {
	for _, name := range r.names() {
		r.strike(name)
		if err := r.Stop(name); err != nil {
			return err
		}
		if err := r.begin(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// cut takes one node or two off the others' network. Their own clients still
// reach them, so they answer all the time: stale, once the limit is past.
func cut(ctx context.Context, r *rig) error {
	names := r.names()
	r.dice.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	names = names[:1+r.dice.IntN(2)]
	for _, name := range names {
		if err := r.Cut(name); err != nil {
			return err
		}
	}
	wait(ctx, r.breath(time.Second, 8*time.Second))
	for _, name := range names {
		if err := r.Heal(name); err != nil {
			return fmt.Errorf("heal: %w", err)
		}
	}
	return nil
}
