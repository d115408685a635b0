package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/client"
)

// program is risknet as it is built from this tree, in a directory of its own.
type program struct{ dir, path string }

func build(ctx context.Context) (*program, error) {
	dir, err := os.MkdirTemp("", "risknet-compare-")
	if err != nil {
		return nil, err
	}
	p := &program{dir: dir, path: filepath.Join(dir, "risknet")}
	if err := run(ctx, "go", "build", "-o", p.path, "./cmd/risknet"); err != nil {
		p.remove()
		return nil, err
	}
	return p, nil
}

func (p *program) remove() { _ = os.RemoveAll(p.dir) }

// run runs a program to its end.
func run(ctx context.Context, name string, args ...string) error {
	_, err := output(ctx, name, args...)
	return err
}

// output gives what a program writes to its standard output.
func output(ctx context.Context, name string, args ...string) ([]byte, error) {
	return outputOf(exec.CommandContext(ctx, name, args...))
}

func outputOf(cmd *exec.Cmd) ([]byte, error) {
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s%s", strings.Join(append([]string{filepath.Base(cmd.Path)}, cmd.Args[1:]...), " "), err, out, complaint.String())
	}
	return out, nil
}

// network is nodes of ours as processes, on loopback.
type network struct {
	size        int
	environment []string // of the nodes, NAME=VALUE; see node.Config
	rules       int      // of a benchmark set that is put in force; 0 leaves the starter rules

	program *program
	dir     string
	nodes   []plannedNode
	client  *client.Client // of the hub, at the first node
	listed  int            // members that are listed until now
	learnt  bool           // the Redis door has them by heart
	beside  *alone         // what badger takes for as much
}

// plannedNode is what testnet.json says of a node.
type plannedNode struct {
	Name string `json:"name"`
	PID  int    `json:"pid"`
	API  string `json:"api"`
	HTTP string `json:"http"`
	Resp string `json:"resp"`
}

// start brings the network up, anew if it was closed before.
func (n *network) start(ctx context.Context, p *program) (err error) {
	n.program, n.listed, n.learnt = p, 0, false
	if n.dir, err = os.MkdirTemp(p.dir, "net-"); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			n.close()
		}
	}()
	if err := n.testnet(ctx, "up", "--nodes", strconv.Itoa(n.size)); err != nil {
		return err
	}
	if err := n.load(); err != nil {
		return err
	}
	profile, err := client.LoadProfile(n.path("profiles", "hub.yaml"))
	if err != nil {
		return err
	}
	if n.client, err = client.Dial(profile, ""); err != nil || n.rules == 0 {
		return err
	}
	author, err := client.NewAuthor(ctx, n.client)
	if err != nil {
		return err
	}
	version, err := n.client.PublishRules(ctx, author, client.BenchRules(n.rules))
	if err != nil {
		return err
	}
	_, err = client.ActivateRules(ctx, author, version)
	return err
}

// load reads what is there, which a start or a newcomer has changed.
func (n *network) load() (err error) {
	n.nodes, err = n.planned()
	return err
}

// planned are the nodes of this moment, also one that is coming in.
func (n *network) planned() ([]plannedNode, error) {
	text, err := os.ReadFile(n.path("testnet.json"))
	if err != nil {
		return nil, err
	}
	var plan struct{ Nodes []plannedNode }
	err = json.Unmarshal(text, &plan)
	return plan.Nodes, err
}

// close ends the processes, also where the caller was interrupted, and removes what
// they have written.
func (n *network) close() {
	if n.client != nil {
		n.client.Close()
		n.client = nil
	}
	if _, err := os.Stat(n.path("testnet.json")); err == nil {
		if err := n.testnet(context.Background(), "down"); err != nil {
			fmt.Fprintln(os.Stderr, "compare:", err)
		}
	}
	_ = os.RemoveAll(n.dir)
}

func (n *network) path(parts ...string) string {
	return filepath.Join(append([]string{n.dir, "net"}, parts...)...)
}

func (n *network) testnet(ctx context.Context, verb string, args ...string) error {
	cmd := exec.CommandContext(ctx, n.program.path, append([]string{"testnet", verb, "--dir", n.path()}, args...)...)
	cmd.Env = append(os.Environ(), n.environment...) // it hands them on to the nodes
	_, err := outputOf(cmd)
	return err
}

// risknet runs a command as the hub, into a value of its JSON.
func (n *network) risknet(ctx context.Context, into any, args ...string) error {
	out, err := output(ctx, n.program.path, append([]string{"--profile", n.path("profiles", "hub.yaml"), "-o", "json"}, args...)...)
	if err != nil {
		return err
	}
	return json.Unmarshal(out, into)
}

// member is an identifier that a row lists or asks for.
func member(i int) string { return fmt.Sprintf("key:%012d", i) }

// list lists members as a user would, from a file, until so many are.
func (n *network) list(ctx context.Context, until int) error {
	if n.listed >= until {
		return nil
	}
	file, err := writeMembers(n.path("members"), n.listed, until)
	if err != nil {
		return err
	}
	defer os.Remove(file)
	fmt.Printf("listing %d devices …\n", until-n.listed)
	var result struct{ Accepted, Rejected int }
	if err := n.risknet(ctx, &result, "list", "import", "--kind", "device", file); err != nil {
		return err
	}
	if result.Accepted != until-n.listed {
		return fmt.Errorf("%d of %d devices were accepted", result.Accepted, until-n.listed)
	}
	n.listed = until
	return nil
}

// together waits until all nodes are as far as the one that is farthest, and up.
func (n *network) together(ctx context.Context) error {
	for {
		rows, err := n.client.Status(ctx)
		if err == nil && level(rows, len(n.nodes)) {
			return nil
		}
		if !pause(ctx, 20*time.Millisecond) {
			return ctx.Err()
		}
	}
}

func level(rows []*apiv1.StatusRow, count int) bool {
	for _, r := range rows {
		if r.Lag != 0 || r.Role == "down" || r.Size != rows[0].Size {
			return false
		}
	}
	return len(rows) == count
}

func pause(ctx context.Context, how time.Duration) bool {
	timer := time.NewTimer(how)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
