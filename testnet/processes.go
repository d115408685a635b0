package testnet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/risknet/risknet/client"
)

const stateFile = "testnet.json"

// Processes is a network whose nodes are processes of their own. It lives in
// DIR/testnet.json, so that a later command finds it again.
type Processes struct {
	Dir      string            `json:"-"`
	Network  string            `json:"network"`
	Nodes    []ProcessNode     `json:"nodes"`
	Profiles map[string]string `json:"profiles"`

	// Prepare, if set, may change the command that starts a node.
	Prepare func(node string, cmd *exec.Cmd) `json:"-"`
}

// ProcessNode is one node process.
type ProcessNode struct {
	Name        string `json:"name"`
	Institution string `json:"institution"`
	PID         int    `json:"pid"`
	API         string `json:"api"`
	HTTP        string `json:"http"`
	Resp        string `json:"resp"` // the Redis door; empty if it is shut
	Data        string `json:"data"`
	Config      string `json:"config"`
}

// Up writes a plan, starts its nodes and returns when all are ready. If it
// fails, what it started is ended again.
func Up(ctx context.Context, o Options) (*Processes, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	plan, err := NewPlan(o)
	if err != nil {
		return nil, err
	}
	p := &Processes{Dir: plan.Dir, Network: plan.Network, Profiles: plan.Profiles, Prepare: o.Prepare}
	for _, n := range plan.Nodes {
		p.Nodes = append(p.Nodes, ProcessNode{Name: n.Name, Institution: n.Institution, API: n.API,
			HTTP: n.HTTP, Resp: n.Redis, Data: filepath.Join(n.Dir, "data"), Config: n.Config})
	}
	err = p.startAll(ctx, o.Voters)
	if err != nil {
		if late, ok := errors.AsType[*notReadyError](err); ok {
			err = fmt.Errorf("%s is not ready: %w; what was started is ended again, and %s says what it did: remove %s, or start the nodes with `risknet testnet restart --dir %s`",
				late.node, late.last, late.log, p.Dir, p.Dir)
		}
		return nil, errors.Join(err, p.Down())
	}
	return p, nil
}

func (p *Processes) startAll(ctx context.Context, voters int) error {
	for i := range p.Nodes {
		if err := p.start(&p.Nodes[i]); err != nil {
			return err
		}
	}
	for i := range p.Nodes {
		if err := p.awaitReady(ctx, &p.Nodes[i]); err != nil {
			return err
		}
	}
	profile, err := client.LoadProfile(p.Profiles[hubName])
	if err != nil {
		return err
	}
	c, err := client.Dial(profile, "")
	if err != nil {
		return err
	}
	defer c.Close()
	return awaitVoters(ctx, c, voters)
}

// Load finds the network that Up left in a directory.
func Load(dir string) (*Processes, error) {
	file := filepath.Join(dir, stateFile)
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--dir: %w; start a network there with `risknet testnet up`", err)
	}
	p := &Processes{}
	if err := json.Unmarshal(text, p); err != nil || len(p.Nodes) == 0 || p.Profiles[hubName] == "" {
		return nil, fmt.Errorf("--dir: %s does not say which nodes there are: it is empty or damaged; end what still runs (`pgrep -f %s` finds it), remove the directory and start again with `risknet testnet up`", file, filepath.Join(dir, "nodes"))
	}
	p.Dir, err = filepath.Abs(dir)
	return p, err
}

func (p *Processes) save() error {
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	temp := filepath.Join(p.Dir, stateFile+".new")
	if err := write(temp, append(text, '\n')); err != nil {
		return err
	}
	return os.Rename(temp, filepath.Join(p.Dir, stateFile))
}

// Node finds a node by name.
func (p *Processes) Node(name string) (*ProcessNode, error) {
	var names []string
	for i := range p.Nodes {
		if p.Nodes[i].Name == name {
			return &p.Nodes[i], nil
		}
		names = append(names, p.Nodes[i].Name)
	}
	return nil, fmt.Errorf("--node: no node %q; there are %s", name, strings.Join(names, ", "))
}

// start runs `risknet node run` as a session of its own, so that it outlives
// this process and its terminal. What it logs goes to node.log beside its
// configuration.
func (p *Processes) start(n *ProcessNode) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(filepath.Dir(n.Config), "node.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	cmd := exec.Command(program, "node", "run", "--config", n.Config)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if p.Prepare != nil {
		p.Prepare(n.Name, cmd)
	}
	if err := cmd.Start(); err != nil {
		return errors.Join(fmt.Errorf("start %s: %w", n.Name, err), log.Close())
	}
	n.PID = cmd.Process.Pid
	go func() { // if it ends before we do
		_ = cmd.Wait() // its state says more
		fmt.Fprintf(log, "%s%d ended: %s\n", endedPrefix, cmd.ProcessState.Pid(), cmd.ProcessState)
		_ = log.Close() // it is a note
	}()
	return p.save()
}

// endedPrefix begins the note of how a process ended, behind what it said itself.
const endedPrefix = "process "

// awaitReady waits until the node's view has caught up, or says how it ended.
func (p *Processes) awaitReady(ctx context.Context, n *ProcessNode) error {
	probe, err := newProbe(p.Profiles[hubName])
	if err != nil {
		return err
	}
	log := filepath.Join(filepath.Dir(n.Config), "node.log")
	last := errors.New("it has not answered yet")
	for {
		err := probe.ready(ctx, n.HTTP)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			last = err
		}
		if !alive(n.PID) {
			return fmt.Errorf("%s ended: %s", n.Name, lastLine(log))
		}
		select {
		case <-ctx.Done():
			return &notReadyError{node: n.Name, dir: p.Dir, log: log, last: last}
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// notReadyError is of a node that was not waited for any longer.
type notReadyError struct {
	node, dir, log string
	last           error
}

func (e *notReadyError) Error() string {
	return fmt.Sprintf("%s is not ready: %v; it goes on by itself: `risknet testnet status --dir %s` says when it is, and %s what it does", e.node, e.last, e.dir, e.log)
}

func (e *notReadyError) Unwrap() error { return e.last }

func lastLine(file string) string {
	text, _ := os.ReadFile(file)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	last := lines[len(lines)-1]
	if len(lines) > 1 && strings.HasPrefix(last, endedPrefix) {
		last = lines[len(lines)-2] + " (" + last + ")"
	}
	return last
}

// alive reports whether a process exists and is not a zombie. Its state is read
// first: once it was reaped there is none to be read, and no process either.
func alive(pid int) bool {
	state := processState(pid)
	return pid > 0 && state != "Z" && state != "X" && syscall.Kill(pid, 0) == nil
}

func stopped(pid int) bool { return processState(pid) == "T" }

// processState is the letter that /proc gives; empty where there is no /proc.
func processState(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return after[:min(1, len(after))]
}

// ours reports whether the process is still the node it was, and not another
// that was given the same number. In the moment in which a program takes its
// process over there is no command line.
func (n *ProcessNode) ours() bool {
	if !alive(n.PID) {
		return false
	}
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", n.PID))
	if err != nil || len(cmdline) == 0 {
		return alive(n.PID)
	}
	return strings.Contains(string(cmdline), n.Config)
}

// Down ends all nodes: SIGTERM, and SIGKILL for what does not end in time.
func (p *Processes) Down() error {
	var errs []error
	for i := range p.Nodes {
		errs = append(errs, p.end(&p.Nodes[i], 15*time.Second))
	}
	return errors.Join(errs...)
}

func (p *Processes) end(n *ProcessNode, patience time.Duration) error {
	if !n.ours() {
		return nil
	}
	_ = syscall.Kill(n.PID, syscall.SIGCONT)
	_ = syscall.Kill(n.PID, syscall.SIGTERM)
	if waitGone(n.PID, patience) {
		return nil
	}
	_ = syscall.Kill(n.PID, syscall.SIGKILL)
	if !waitGone(n.PID, 5*time.Second) {
		return fmt.Errorf("%s (process %d) does not end", n.Name, n.PID)
	}
	return nil
}

func waitGone(pid int, patience time.Duration) bool {
	for end := time.Now().Add(patience); time.Now().Before(end); <-time.After(10 * time.Millisecond) {
		if !alive(pid) {
			return true
		}
	}
	return !alive(pid)
}

// Kill ends a node with SIGKILL.
func (p *Processes) Kill(name string) error {
	n, err := p.signal(name, syscall.SIGKILL)
	if err == nil && !waitGone(n.PID, 5*time.Second) {
		err = fmt.Errorf("%s (process %d) does not end", name, n.PID)
	}
	return err
}

// Pause stops a node's process, Resume lets it go on.
func (p *Processes) Pause(name string) error {
	_, err := p.signal(name, syscall.SIGSTOP)
	return err
}

// Resume lets a paused node go on.
func (p *Processes) Resume(name string) error {
	_, err := p.signal(name, syscall.SIGCONT)
	return err
}

func (p *Processes) signal(name string, s syscall.Signal) (*ProcessNode, error) {
	n, err := p.Node(name)
	if err != nil {
		return nil, err
	}
	if !n.ours() {
		return n, p.notRunning(name)
	}
	return n, syscall.Kill(n.PID, s)
}

// Start starts a node that does not run, and does not wait for it.
func (p *Processes) Start(name string) error {
	n, err := p.Node(name)
	if err != nil {
		return err
	}
	if n.ours() {
		return fmt.Errorf("%s runs already, as process %d", name, n.PID)
	}
	return p.start(n)
}

// Stop ends a node cleanly.
func (p *Processes) Stop(name string) error {
	n, err := p.Node(name)
	if err != nil {
		return err
	}
	return p.end(n, 15*time.Second)
}

// Runs reports whether a node's process exists.
func (p *Processes) Runs(name string) bool {
	n, err := p.Node(name)
	return err == nil && n.ours()
}

func (p *Processes) notRunning(name string) error {
	return fmt.Errorf("%s is not running; start it with `risknet testnet restart --dir %s --node %s`", name, p.Dir, name)
}

// Restart ends a node if it runs, starts it and returns when it is ready.
func (p *Processes) Restart(ctx context.Context, name string) error {
	n, err := p.Node(name)
	if err != nil {
		return err
	}
	if err := p.end(n, 15*time.Second); err != nil {
		return err
	}
	if err := p.start(n); err != nil {
		return err
	}
	return p.awaitReady(ctx, n)
}

// RestartAll ends and starts every node, and returns when all are ready: a
// network that was taken down comes back.
func (p *Processes) RestartAll(ctx context.Context) error {
	if err := p.Down(); err != nil {
		return err
	}
	return p.startAll(ctx, 1)
}

// Cut takes a node off the others' network; its own clients still reach it.
func (p *Processes) Cut(name string) error { return p.fault(name, "cut") }

// Heal brings a cut node back.
func (p *Processes) Heal(name string) error { return p.fault(name, "heal") }

// CrashAt has a node of a test build end itself at the n-th passing of a crash
// point from now on.
func (p *Processes) CrashAt(name, point string, n int) error {
	return p.fault(name, fmt.Sprintf("crash %s %d", point, n))
}

// fault sends a word to the node's fault control socket and expects "ok".
func (p *Processes) fault(name, word string) error {
	n, err := p.Node(name)
	if err != nil {
		return err
	}
	conn, err := net.DialTimeout("unix", filepath.Join(filepath.Dir(n.Config), "fault.sock"), 2*time.Second)
	if err != nil && !n.ours() {
		return p.notRunning(name)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", word, name, err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := fmt.Fprintln(conn, word); err != nil {
		return fmt.Errorf("%s %s: %w", word, name, err)
	}
	answer := make([]byte, 64)
	count, err := conn.Read(answer)
	if err != nil || strings.TrimSpace(string(answer[:count])) != "ok" {
		return fmt.Errorf("%s %s: the node answered %q, %v", word, name, answer[:count], err)
	}
	return nil
}
