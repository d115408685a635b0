package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/risknet/risknet/client"
)

// redisTrials ask a set of so many devices through RESP, with redis-benchmark as the
// client of both sides: random keys, half of which are members.
func (n *network) redisTrials(o options) []trial {
	var trials []trial
	for _, depth := range []int{1, 16, 128} {
		r := row{name: fmt.Sprintf("redis-%d", depth), what: fmt.Sprintf("SISMEMBER of a set of %d, pipeline %d", o.members, depth),
			peer: "Redis", unit: "answers/s", reach: 1}
		if depth == 1 {
			r.reach = 0.8
		}
		port := ""
		t := inTurn(r, func(ctx context.Context) (float64, error) { return redisBenchmark(ctx, port, depth, o.members, 1) },
			func(ctx context.Context) (float64, error) {
				return redisBenchmark(ctx, portOf(n.nodes[0].Resp), depth, o.members, 1)
			})
		t.prepare = func(ctx context.Context) (stop func(), err error) {
			if port, stop, err = startRedis(ctx, o.members); err != nil {
				return nil, err
			}
			if err = n.learn(ctx, o.members); err != nil {
				stop()
			}
			return stop, err
		}
		trials = append(trials, t)
	}
	return append(trials, n.sixTrial(o))
}

// sixTrial is what somebody has today who asks a Redis set for the six subjects of a
// payment, beside batches of checks.
func (n *network) sixTrial(o options) trial {
	r := row{name: "batch-redis", what: "64 checks a message, tokens given, beside SMISMEMBER of six members, pipeline 128", peer: "Redis", unit: "checks/s", reach: 1}
	port := ""
	t := inTurn(r, func(ctx context.Context) (float64, error) { return redisBenchmark(ctx, port, 128, o.members, subjects) },
		func(ctx context.Context) (float64, error) {
			result, err := n.client.Load(ctx, client.Load{Mode: "batch", Duration: o.each, Subjects: subjects})
			if err == nil && result.Errors > 0 {
				err = fmt.Errorf("%d of %d checks failed", result.Errors, result.Checks)
			}
			return float64(result.Checks) / result.Seconds, err
		})
	t.prepare = func(ctx context.Context) (stop func(), err error) {
		port, stop, err = startRedis(ctx, o.members)
		return stop, err
	}
	return t
}

func portOf(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }

// knows holds a server to one member and one other: redis-benchmark counts an error as
// an answer.
func knows(ctx context.Context, port string, members int) error {
	for value, want := range map[string]string{member(0): "1", member(2*members + 1): "0"} {
		out, err := output(ctx, "redis-cli", "-p", port, "SISMEMBER", "risk:device", value)
		if err != nil {
			return err
		}
		if got := strings.TrimSpace(string(out)); got != want {
			return fmt.Errorf("the server at %s says %q of %s, want %s", port, got, value, want)
		}
	}
	return nil
}

// redisBenchmark gives the commands a second that redis-benchmark sees answered, each
// of which asks for so many keys.
func redisBenchmark(ctx context.Context, port string, depth, members, keys int) (float64, error) {
	count := 100_000
	if depth > 1 {
		count = 1_000_000
	}
	args := []string{"-p", port, "-r", strconv.Itoa(2 * members), "-n", strconv.Itoa(count), "-P", strconv.Itoa(depth), "-c", "50", "--csv"}
	if keys == 1 {
		args = append(args, "SISMEMBER", "risk:device", "key:__rand_int__")
	} else {
		args = append(append(args, "SMISMEMBER", "risk:device"), slices.Repeat([]string{"key:__rand_int__"}, keys)...)
	}
	out, err := output(ctx, "redis-benchmark", args...)
	if err != nil {
		return 0, err
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	fields := strings.Split(lines[len(lines)-1], ",")
	if len(fields) < 7 {
		return 0, fmt.Errorf("redis-benchmark says %q", out)
	}
	return strconv.ParseFloat(strings.Trim(fields[len(fields)-7], `"`), 64)
}

// haveRedis installs Redis where it is missing and can be had.
func haveRedis(ctx context.Context) error {
	for _, program := range []string{"redis-server", "redis-benchmark", "redis-cli"} {
		if _, err := exec.LookPath(program); err == nil {
			continue
		}
		if err := run(ctx, "apt-get", "install", "-y", "--no-install-recommends", "redis-server", "redis-tools"); err != nil {
			return errMissing{program + " is not here and apt-get cannot install it"}
		}
	}
	return nil
}

// startRedis starts Redis in memory alone, with the members in a set.
func startRedis(ctx context.Context, members int) (port string, stop func(), err error) {
	if err := haveRedis(ctx); err != nil {
		return "", nil, err
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	port = portOf(free.Addr().String())
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
	err = fillRedis(ctx, port, members)
	if err == nil {
		err = knows(ctx, port, members)
	}
	if err != nil {
		stop()
		return "", nil, err
	}
	return port, stop, nil
}

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

// learn lists the members, and waits until the node has them by heart, which it begins
// when somebody asks.
func (n *network) learn(ctx context.Context, members int) error {
	if err := n.list(ctx, members); err != nil || n.learnt {
		return err
	}
	if err := run(ctx, "redis-cli", "-p", portOf(n.nodes[0].Resp), "SISMEMBER", "risk:device", member(0)); err != nil {
		return err
	}
	fmt.Println("waiting until the node has learnt them by heart …")
	n.learnt = true
	if err := n.idle(ctx); err != nil {
		return err
	}
	return knows(ctx, portOf(n.nodes[0].Resp), members)
}
