package testnet

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/risknet/risknet/node"
	"github.com/risknet/risknet/risk"
)

// What was acknowledged may lie in a log alone: whoever chooses a node to recover
// must be shown how far the log goes. And who recovers one asks every node that
// its state names, though its lists of addresses are gone.
func TestARecoveryLooksAtTheLogAndAsksEverybody(t *testing.T) {
	n := start(t, 3, 3)
	n.reports("member-1", "n2", risk.KindIP, values(0, 20)...)
	n.agree()
	n.must(n.Kill("n3"))
	state, older := filepath.Join(n.dir("n3"), "data", "state"), t.TempDir()
	n.must(os.CopyFS(older, os.DirFS(state)))
	n.comesBack("n3")
	n.reports("member-1", "n2", risk.KindIP, values(20, 20)...)
	n.agree()
	n.must(n.Kill("n3"))
	n.must(os.RemoveAll(state))
	n.must(os.CopyFS(state, os.DirFS(older)))

	configOf := func(name string) node.Config {
		planned, err := n.planned(name)
		n.must(err)
		cfg, err := node.LoadConfig(planned.Config)
		n.must(err)
		return cfg
	}
	cfg := configOf("n3")
	for _, dir := range []string{cfg.Anchor, cfg.Data} {
		n.must(os.Remove(filepath.Join(dir, "peers.json")))
	}
	cfg.Founding = ""
	info, err := node.Recover(n.ctx, cfg, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "the network lives") || info.Asked.Nodes != 2 || info.Asked.Answered != 2 {
		t.Errorf("of a network that lives: %+v, %v", info.Asked, err)
	}
	n.must(n.Kill("n1"))
	n.must(n.Kill("n2"))
	sound, err := node.Inspect(n.ctx, configOf("n2"))
	n.must(err)
	seen, err := node.Inspect(n.ctx, cfg) // whoever only looks hears of it too
	n.must(err)
	if seen.Asked != (node.Asked{Nodes: 2}) {
		t.Errorf("of a network that is down: %+v", seen.Asked)
	}
	if seen.State.Index >= sound.State.Index || seen.Last != seen.Log || seen.Last.Index < sound.State.Index || seen.Last.Term != sound.Last.Term {
		t.Errorf("of the node with the older state: %+v; of the sound one: %+v", seen, sound)
	}
	recovered, err := node.Recover(n.ctx, cfg, slog.New(slog.DiscardHandler))
	if err != nil || recovered.Listings != 40 {
		t.Errorf("the recovered node has %d listings of 40, %v", recovered.Listings, err)
	}
}

// A restore that is interrupted, and one into a directory that was prepared, leave
// what the next one needs and nothing else.
func TestARestoreCanBeInterruptedAndRepeated(t *testing.T) {
	n := start(t, 3, 3)
	n.reports("member-1", "n2", risk.KindIP, values(0, 20)...)
	n.agree()
	backup, err := os.Create(filepath.Join(t.TempDir(), "n3.backup"))
	n.must(err)
	defer backup.Close()
	_, err = n.client("member-2", "n3").Backup(n.ctx, backup)
	n.must(err)
	n.must(n.Kill("n3"))
	planned, err := n.planned("n3")
	n.must(err)
	cfg, err := node.LoadConfig(planned.Config)
	n.must(err)
	for _, name := range []string{"state", "raft"} {
		n.must(os.RemoveAll(filepath.Join(cfg.Data, name)))
	}
	n.must(os.MkdirAll(filepath.Join(cfg.Data, "state"), 0o700))
	n.must(os.MkdirAll(filepath.Join(cfg.Data, "restoring", "state-1"), 0o700)) // of one that was killed

	interrupted, interrupt := context.WithCancel(n.ctx)
	interrupt()
	restore := func(ctx context.Context) error {
		_, err := backup.Seek(0, io.SeekStart)
		n.must(err)
		_, err = node.Restore(ctx, cfg, backup)
		return err
	}
	if err := restore(interrupted); !errors.Is(err, context.Canceled) {
		t.Errorf("an interrupted restore: %v", err)
	}
	if _, err := os.Stat(filepath.Join(cfg.Data, "restoring")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it leaves what it had unpacked: %v", err)
	}
	n.must(restore(n.ctx))
	n.comesBack("n3")
	n.agree()
}

// Each backup takes as much room as the state.
func TestOneBackupIsTakenAtATime(t *testing.T) {
	n := start(t, 1, 1)
	n.reports("hub", "n1", risk.KindIP, values(0, 4000)...) // more than a connection holds
	under, goOn := make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	c := n.client("hub", "n1")
	go func() {
		_, err := c.Backup(n.ctx, writerFunc(func(p []byte) (int, error) {
			select {
			case under <- struct{}{}:
			default:
			}
			<-goOn
			return len(p), nil
		}))
		first <- err
	}()
	<-under
	if _, err := n.client("hub", "n1").Backup(n.ctx, io.Discard); err == nil || !strings.Contains(err.Error(), "another one is under way") {
		t.Errorf("a second backup beside the first: %v", err)
	}
	close(goOn)
	n.must(<-first)
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// What a backup, an image or a restore has left may be what fills the disk.
func TestLeftoversAreSweptBeforeTheDiskIsJudged(t *testing.T) {
	n := start(t, 1, 1)
	n.must(n.Stop())
	planned, err := n.planned("n1")
	n.must(err)
	cfg, err := node.LoadConfig(planned.Config)
	n.must(err)
	var left []string
	for _, dir := range []string{"restoring", "state/images", "state/staging", "state/state-9"} {
		dir = filepath.Join(cfg.Data, filepath.FromSlash(dir))
		left = append(left, dir)
		n.must(os.MkdirAll(filepath.Join(dir, "something"), 0o700))
	}
	full := func(string) (uint64, error) {
		for _, dir := range left {
			if _, err := os.Stat(dir); err == nil {
				return 0, nil
			}
		}
		return 1 << 40, nil
	}
	one, err := node.New(n.ctx, cfg, node.Environment{Free: full}, n.Log)
	n.must(err)
	ended, end := context.WithCancel(n.ctx)
	end()
	n.must(one.Run(ended))
}
