//go:build chaos

package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// crashRecovering takes every node down, has the one that led recover alone, and
// crashes the recovery. What led holds everything that was acknowledged, so the
// second try must bring all of it back; the others begin with empty disks.
func crashRecovering(ctx context.Context, r *rig, point string) error {
	leader, err := r.leader(ctx)
	if err != nil {
		return err
	}
	if err := r.kill(r.names()...); err != nil {
		return err
	}
	p, err := r.Node(leader)
	if err != nil {
		return err
	}
	if err := r.twice(point, "cluster", "recover", "--config", p.Config, "--yes"); err != nil {
		return err
	}
	return r.afterRecovery(ctx, leader)
}

// crashRestoring saves a backup, takes the data of a follower away and crashes
// the restore of the backup in its place.
func crashRestoring(ctx context.Context, r *rig, point string) error {
	_, name, err := r.follower(ctx)
	if err != nil {
		return err
	}
	p, err := r.Node(name)
	if err != nil {
		return err
	}
	file := filepath.Join(r.dir, "saved.risknet")
	if err := os.RemoveAll(file); err != nil {
		return err
	}
	if err := r.twice("", "node", "backup", "--profile", r.Profiles["hub"], file); err != nil {
		return err
	}
	if err := r.kill(name); err != nil {
		return err
	}
	if err := os.RemoveAll(p.Data); err != nil {
		return err
	}
	if err := r.twice(point, "node", "restore", "--config", p.Config, file); err != nil {
		return err
	}
	return r.begin(ctx, name)
}

// twice runs a command of the program with a point armed, and again if it ended
// there.
func (r *rig) twice(point string, args ...string) error {
	for _, armed := range []string{point + "@1", ""} {
		cmd := exec.Command(r.program, args...)
		cmd.Env = append(os.Environ(), "RISKNET_CRASH_AT="+armed)
		text, err := cmd.CombinedOutput()
		switch {
		case err == nil:
			return nil
		case armed == "" || !strings.Contains(string(text), "crash point hit: "+point):
			return fmt.Errorf("%s: %w: %s", strings.Join(args[:2], " "), err, strings.TrimSpace(string(text)))
		}
		r.toolHits[point]++
	}
	return nil
}

func (r *rig) afterRecovery(ctx context.Context, leader string) error {
	if err := r.begin(ctx, leader); err != nil {
		return err
	}
	rest := others(r.names(), leader)
	var errs []error
	for _, name := range rest {
		errs = append(errs, os.RemoveAll(r.data(name)))
	}
	return errors.Join(append(errs, r.begin(ctx, rest...))...)
}

// hitsOf counts how often a point was hit, by nodes and by tools.
func (r *rig) hitsOf(point string) int { return r.hits()[point] + r.toolHits[point] }
