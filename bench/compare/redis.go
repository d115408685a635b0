package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// redisRows ask a set of so many devices through RESP, with redis-benchmark as the
// client of both sides: random keys, half of which are members.
func (n *network) redisRows(o options) []row {
	var port string
	var rows []row
	for _, depth := range []int{1, 16, 128} {
		reach := 1.0
		if depth == 1 {
			reach = 0.8
		}
		ask := func(at func() string) func(ctx context.Context) (float64, error) {
			return func(ctx context.Context) (float64, error) { return redisBenchmark(ctx, at(), depth, o) }
		}
		rows = append(rows, row{name: fmt.Sprintf("redis-%d", depth), what: fmt.Sprintf("SISMEMBER of a set of %d, pipeline %d", o.members, depth),
			peer: "Redis", unit: "answers/s", reach: reach,
			prepare: func(ctx context.Context) (stop func(), err error) {
				port, stop, err = n.startRedis(ctx, o.members)
				return stop, err
			},
			theirs: ask(func() string { return port }),
			ours:   ask(func() string { return n.node.Resp[strings.LastIndexByte(n.node.Resp, ':')+1:] })})
	}
	return rows
}

// redisBenchmark gives the answers a second that redis-benchmark reads.
func redisBenchmark(ctx context.Context, port string, depth int, o options) (float64, error) {
	count := 100_000
	if depth > 1 {
		count = 1_000_000
	}
	out, err := exec.CommandContext(ctx, "redis-benchmark", "-p", port, "-r", strconv.Itoa(2*o.members), "-n", strconv.Itoa(count),
		"-P", strconv.Itoa(depth), "-c", "50", "--csv", "SISMEMBER", "risk:device", "key:__rand_int__").Output()
	if err != nil {
		return 0, fmt.Errorf("redis-benchmark: %w", err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	fields := strings.Split(lines[len(lines)-1], ",")
	if len(fields) < 2 {
		return 0, fmt.Errorf("redis-benchmark says %q", out)
	}
	return strconv.ParseFloat(strings.Trim(fields[len(fields)-7], `"`), 64)
}

// startRedis starts Redis in memory alone and gives both sides the same members.
func (n *network) startRedis(ctx context.Context, members int) (port string, stop func(), err error) {
	for _, program := range []string{"redis-server", "redis-benchmark", "redis-cli"} {
		if _, err := exec.LookPath(program); err != nil {
			return "", nil, errMissing{program + " is not installed (apt-get install redis-server redis-tools)"}
		}
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	_, port, _ = net.SplitHostPort(free.Addr().String())
	if err := free.Close(); err != nil {
		return "", nil, err
	}
	server := exec.Command("redis-server", "--port", port, "--save", "", "--appendonly", "no")
	if err := server.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	}
	if err := fillRedis(ctx, port, members); err != nil {
		stop()
		return "", nil, err
	}
	if err := n.fillOurs(ctx, members); err != nil {
		stop()
		return "", nil, err
	}
	return port, stop, nil
}

func member(i int) string { return fmt.Sprintf("key:%012d", i) }

// fillRedis waits for the server, too.
func fillRedis(ctx context.Context, port string, members int) error {
	var conn net.Conn
	err := error(nil)
	for range 100 {
		if conn, err = net.Dial("tcp", "127.0.0.1:"+port); err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err != nil {
		return err
	}
	defer conn.Close()
	in, out := bufio.NewReader(conn), bufio.NewWriter(conn)
	const each = 500
	for at := 0; at < members && ctx.Err() == nil; at += each {
		last := min(members, at+each)
		fmt.Fprintf(out, "*%d\r\n$4\r\nSADD\r\n$11\r\nrisk:device\r\n", 2+last-at)
		for i := at; i < last; i++ {
			fmt.Fprintf(out, "$%d\r\n%s\r\n", len(member(i)), member(i))
		}
		if err := out.Flush(); err != nil {
			return err
		}
		if answer, err := in.ReadString('\n'); err != nil || !strings.HasPrefix(answer, ":") {
			return fmt.Errorf("redis: %q, %w", answer, err)
		}
	}
	return ctx.Err()
}

// fillOurs lists the members, once, and has the node learn them by heart.
func (n *network) fillOurs(ctx context.Context, members int) error {
	if n.warm {
		return nil
	}
	file, err := os.Create(n.path("members"))
	if err != nil {
		return err
	}
	out := bufio.NewWriter(file)
	for i := range members {
		fmt.Fprintln(out, member(i))
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	fmt.Printf("listing %d devices …\n", members)
	if err := n.run(ctx, n.binary, "--profile", n.path("profiles", "hub.yaml"), "list", "import", "--kind", "device", n.path("members")); err != nil {
		return err
	}
	n.warm = true
	return n.idle(ctx)
}

// idle asks once and waits until the node has learnt its members: until it uses next
// to nothing of the machine.
func (n *network) idle(ctx context.Context) error {
	if err := n.run(ctx, "redis-cli", "-p", n.node.Resp[strings.LastIndexByte(n.node.Resp, ':')+1:], "SISMEMBER", "risk:device", member(0)); err != nil {
		return err
	}
	fmt.Println("waiting until the node has learnt them by heart …")
	const quiet = 1_000_000 // lookups would show; this is microseconds of CPU in five seconds
	for range 120 {
		before, err := n.cpu()
		if err != nil {
			return err
		}
		select {
		case <-time.After(5 * time.Second):
		case <-ctx.Done():
			return ctx.Err()
		}
		after, err := n.cpu()
		if err != nil {
			return err
		}
		if after-before < quiet {
			return nil
		}
	}
	return fmt.Errorf("the node is still busy after ten minutes")
}

// cpu is what the node's process has used, in microseconds.
func (n *network) cpu() (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.node.PID))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return (user + system) * 10_000, nil // a hundred ticks a second
}
