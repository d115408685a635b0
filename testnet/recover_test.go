package testnet

import (
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
	asked, err := node.Outlived(n.ctx, cfg)
	if err == nil || !strings.Contains(err.Error(), "the network lives") || asked != (node.Asked{Nodes: 2, Answered: 2}) {
		t.Errorf("of a network that lives: %v, %v", asked, err)
	}
	n.must(n.Kill("n1"))
	n.must(n.Kill("n2"))
	if asked, err = node.Outlived(n.ctx, cfg); err != nil || asked != (node.Asked{Nodes: 2}) {
		t.Errorf("of a network that is down: %v, %v", asked, err)
	}

	sound, err := node.Inspect(configOf("n2"))
	n.must(err)
	seen, err := node.Inspect(cfg)
	n.must(err)
	if seen.Index >= sound.Index || seen.LastIndex < sound.Index || seen.LastTerm != sound.LastTerm {
		t.Errorf("of the node with the older state: %+v; of the sound one: %+v", seen, sound)
	}
	recovered, err := node.Recover(cfg, slog.New(slog.DiscardHandler))
	if err != nil || recovered.Listings != 40 {
		t.Errorf("the recovered node has %d listings of 40, %v", recovered.Listings, err)
	}
}
