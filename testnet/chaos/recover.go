//go:build chaos

package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
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
	if text, err := r.recover(leader, point+"@1"); err == nil {
		return r.afterRecovery(ctx, leader) // it does not pass the point
	} else if strings.Contains(text, "crash point hit: "+point) {
		r.toolHits[point]++
	} else {
		return fmt.Errorf("recover: %w: %s", err, text)
	}
	if text, err := r.recover(leader, ""); err != nil {
		return fmt.Errorf("recover again: %w: %s", err, text)
	}
	return r.afterRecovery(ctx, leader)
}

func (r *rig) recover(name, point string) (string, error) {
	p, err := r.Node(name)
	if err != nil {
		return "", err
	}
	cmd := exec.Command(r.program, "cluster", "recover", "--config", p.Config, "--yes")
	cmd.Env = append(os.Environ(), "RISKNET_CRASH_AT="+point)
	text, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(text)), err
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
