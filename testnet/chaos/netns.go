//go:build chaos

package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// A network of its own for each node: a namespace with one interface, all on one
// bridge, where the harness has an address too. What is cut there is cut for the
// kernel: no process hears of it but by silence.
const (
	bridgeName = "rnchaos"
	bridgeHost = "10.231.7.254/24"
)

func namespace(i int) string { return fmt.Sprintf("rnchaos%d", i+1) }
func hostOf(i int) string    { return fmt.Sprintf("10.231.7.%d", i+1) }
func vethOf(i int) string    { return fmt.Sprintf("rnveth%d", i+1) }

// tool runs a program of the machine.
func tool(name string, args ...string) error {
	text, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(text)))
	}
	return nil
}

// tools runs one after the other, each a line of words.
func tools(lines ...string) error {
	for _, line := range lines {
		words := strings.Fields(line)
		if err := tool(words[0], words[1:]...); err != nil {
			return err
		}
	}
	return nil
}

// canNamespaces says why this machine cannot make network namespaces.
func canNamespaces() error {
	if os.Getuid() != 0 {
		return errors.New("network namespaces need root")
	}
	err := tools("ip netns add rnchaosprobe", "ip link add rnprobe type veth peer name eth0 netns rnchaosprobe",
		"tc qdisc add dev rnprobe root tbf rate 1mbit burst 16kb latency 400ms")
	_ = tool("ip", "link", "del", "rnprobe")
	_ = tool("ip", "netns", "del", "rnchaosprobe")
	if err != nil {
		return fmt.Errorf("network namespaces cannot be made: %w", err)
	}
	return nil
}

// inNamespaces puts each node of a row into a namespace.
func inNamespaces(_ context.Context, _ *rig, s *setting) (func(), error) {
	undo := func() {
		for i := range s.nodes {
			_ = tool("ip", "netns", "del", namespace(i))
			_ = tool("ip", "link", "del", vethOf(i))
		}
		_ = tool("ip", "link", "del", bridgeName)
	}
	undo() // what a run that was broken off has left
	if err := tools("ip link add "+bridgeName+" type bridge", "ip addr add "+bridgeHost+" dev "+bridgeName, "ip link set "+bridgeName+" up"); err != nil {
		return undo, err
	}
	s.hosts = nil
	space := map[string]string{}
	for i := range s.nodes {
		ns, veth := namespace(i), vethOf(i)
		err := tools("ip netns add "+ns, "ip link add "+veth+" type veth peer name eth0 netns "+ns,
			"ip link set "+veth+" master "+bridgeName, "ip link set "+veth+" up",
			"ip -n "+ns+" addr add "+hostOf(i)+"/24 dev eth0", "ip -n "+ns+" link set eth0 up", "ip -n "+ns+" link set lo up")
		if err != nil {
			return undo, err
		}
		s.hosts = append(s.hosts, hostOf(i))
		space[fmt.Sprintf("n%d", i+1)] = ns
	}
	s.prepare = func(name string, cmd *exec.Cmd) {
		cmd.Args = append([]string{"ip", "netns", "exec", space[name]}, cmd.Args...)
		cmd.Path, cmd.Err = "/usr/sbin/ip", nil
		if path, err := exec.LookPath("ip"); err == nil {
			cmd.Path = path
		}
	}
	return undo, nil
}

// edge is a direction in which packets no longer go.
type edge struct{ from, to int }

func (e edge) line(verb string) string {
	return fmt.Sprintf("ip -n %s route %s blackhole %s/32", namespace(e.from), verb, hostOf(e.to))
}

// silence cuts directions for a while.
func silence(ctx context.Context, edges []edge, d time.Duration) error {
	for _, e := range edges {
		if err := tools(e.line("add")); err != nil {
			return err
		}
	}
	wait(ctx, d)
	for _, e := range edges {
		if err := tools(e.line("del")); err != nil {
			return err
		}
	}
	return nil
}

// cutReal takes one or two nodes off the others, both ways, in the kernel.
func cutReal(ctx context.Context, r *rig) error {
	count := len(r.Nodes)
	away := r.dice.Perm(count)[:1+r.dice.IntN(2)]
	gone := map[int]bool{}
	for _, i := range away {
		gone[i] = true
	}
	var edges []edge
	for i := range count {
		for j := range count {
			if gone[i] != gone[j] {
				edges = append(edges, edge{i, j})
			}
		}
	}
	return silence(ctx, edges, r.breath(time.Second, 8*time.Second))
}

// cutOneWay cuts single directions: a node hears another that does not hear it.
// With each second run they are those of the leader.
func cutOneWay(ctx context.Context, r *rig) error {
	count := len(r.Nodes)
	var edges []edge
	if r.run%2 == 0 {
		leader, err := r.leader(ctx)
		if err != nil {
			return err
		}
		at, inward := 0, r.dice.IntN(2) == 0
		for i, name := range r.names() {
			if name == leader {
				at = i
			}
		}
		for i := range count {
			if i != at && inward {
				edges = append(edges, edge{i, at})
			} else if i != at {
				edges = append(edges, edge{at, i})
			}
		}
	} else {
		for i := range count {
			for j := range count {
				if i != j && r.dice.IntN(4) == 0 {
					edges = append(edges, edge{i, j})
				}
			}
		}
	}
	return silence(ctx, edges, r.breath(time.Second, 8*time.Second))
}

// slowImage leaves a node behind until the log no longer reaches back to it, and
// gives it a link of 2 Mbit/s while an image is on its way.
func slowImage(ctx context.Context, r *rig) error {
	at, name, err := r.follower(ctx)
	if err != nil {
		return err
	}
	if err := r.kill(name); err != nil {
		return err
	}
	before := r.images(name)
	if err := r.load.publishMany(4000, 40); err != nil {
		return err
	}
	wait(ctx, 2*time.Second) // longer than it takes to cut the log
	veth := vethOf(at)
	if err := tools("tc qdisc add dev " + veth + " root tbf rate 2mbit burst 16kb latency 400ms"); err != nil {
		return err
	}
	defer tool("tc", "qdisc", "del", "dev", veth, "root") //nolint:errcheck // it is gone already when all went well
	if err := r.network.run(name); err != nil {
		return err
	}
	wait(ctx, 5*time.Second)
	if err := tools("tc qdisc del dev " + veth + " root"); err != nil {
		return err
	}
	if err := r.await(ctx, name); err != nil {
		return err
	}
	r.result.Images += r.images(name) - before
	return nil
}
