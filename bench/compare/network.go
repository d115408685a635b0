package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/risknet/risknet/client"
)

// network is a node of ours, as a process, with a hundred rules in force.
type network struct {
	dir, binary string
	client      *client.Client
	node        plannedNode
	warm        bool // the Redis door has the members
}

// plannedNode is what testnet.json says of a node.
type plannedNode struct {
	PID  int    `json:"pid"`
	Resp string `json:"resp"`
}

const benchRules = 100

func newNetwork(ctx context.Context) (n *network, err error) {
	n = &network{}
	if n.dir, err = os.MkdirTemp("", "risknet-compare-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			n.close()
		}
	}()
	n.binary = filepath.Join(n.dir, "risknet")
	if err := n.run(ctx, "go", "build", "-o", n.binary, "./cmd/risknet"); err != nil {
		return n, err
	}
	if err := n.run(ctx, n.binary, "testnet", "up", "--dir", n.path(), "--nodes", "1"); err != nil {
		return n, err
	}
	text, err := os.ReadFile(n.path("testnet.json"))
	if err != nil {
		return n, err
	}
	var plan struct{ Nodes []plannedNode }
	if err := json.Unmarshal(text, &plan); err != nil {
		return n, err
	}
	n.node = plan.Nodes[0]
	return n, n.rules(ctx)
}

// rules puts the benchmark's rules in force.
func (n *network) rules(ctx context.Context) error {
	profile, err := client.LoadProfile(n.path("profiles", "hub.yaml"))
	if err != nil {
		return err
	}
	if n.client, err = client.Dial(profile, ""); err != nil {
		return err
	}
	author, err := client.NewAuthor(ctx, n.client)
	if err != nil {
		return err
	}
	version, err := n.client.PublishRules(ctx, author, client.BenchRules(benchRules))
	if err != nil {
		return err
	}
	_, err = client.ActivateRules(ctx, author, version)
	return err
}

func (n *network) path(parts ...string) string {
	return filepath.Join(append([]string{n.dir, "net"}, parts...)...)
}

// run runs a program to its end.
func (n *network) run(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(append([]string{filepath.Base(name)}, args...), " "), err, out)
	}
	return nil
}

// close ends the processes, also where the caller was interrupted.
func (n *network) close() {
	if n.client != nil {
		n.client.Close()
	}
	if err := n.run(context.Background(), n.binary, "testnet", "down", "--dir", n.path()); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
	}
	_ = os.RemoveAll(n.dir)
}
