//go:build chaos

package chaos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/node"
	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/rules/industry"
	"github.com/risknet/risknet/testnet"
	"github.com/risknet/risknet/token"
)

// staleAfter is the nodes' limit on the age of a view: short, so that a fault of
// seconds passes it.
const staleAfter = 3 * time.Second

// network is a network under torment: its processes, who asks them, and the
// witness of what they say. The goroutine of the runs makes faults; pollers and
// the load read beside it.
type network struct {
	*testnet.Processes
	dir     string
	pause   time.Duration
	voters  int // as planned
	witness *Witness
	history *History // of the run under way
	ring    *token.Keyring
	asks    map[string]*client.Client // by node, as the hub
	armed   map[string]string         // by node: the crash point of its next start
	authors []*client.Author
	web     *http.Client
	runs    int

	mu     sync.Mutex
	struck map[string]int  // how often a node was struck
	down   map[string]bool // struck now
	pids   map[string]int
	logs   map[string]*nodeLog
	peaks  Peaks
	excuse string // what a log may say once a process falls

	stop    context.CancelFunc
	pollers sync.WaitGroup
}

// setting is what a row asks of its network.
type setting struct {
	nodes, voters int
	pause         time.Duration // of a writer between two commands; zero means writerPause
	tune          func(*node.Config)
	hosts         []string
	prepare       func(node string, cmd *exec.Cmd)
}

// start brings a network up and begins to watch it.
func start(ctx context.Context, program, dir string, s setting) (*network, error) {
	tune := func(c *node.Config) {
		c.Stale.MaxAge = staleAfter
		if s.tune != nil {
			s.tune(c)
		}
	}
	armed := map[string]string{}
	prepare := func(name string, cmd *exec.Cmd) {
		cmd.Path, cmd.Args[0] = program, program
		cmd.Env = append(os.Environ(), "GOTRACEBACK=all", "GOMEMLIMIT=512MiB", "RISKNET_CRASH_AT="+armed[name])
		if s.prepare != nil {
			s.prepare(name, cmd)
		}
	}
	up, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	p, err := testnet.Up(up, testnet.Options{Dir: dir, Nodes: s.nodes, Voters: s.voters, Rules: industry.Source,
		Tune: tune, Hosts: s.hosts, Prepare: prepare, Now: time.Now()})
	if err != nil {
		return nil, err
	}
	n := &network{Processes: p, dir: dir, pause: cmp.Or(s.pause, writerPause), voters: s.voters, armed: armed, witness: NewWitness(staleAfter), history: NewHistory(), asks: map[string]*client.Client{},
		struck: map[string]int{}, down: map[string]bool{}, pids: map[string]int{}, logs: map[string]*nodeLog{}}
	if err := n.connect(ctx); err != nil {
		return nil, errors.Join(err, n.end())
	}
	inner, stop := context.WithCancel(context.Background())
	n.stop = stop
	for _, name := range n.names() {
		n.pollers.Go(func() { n.poll(inner, name) })
	}
	return n, nil
}

// connect opens a client to each node and an author for each writer.
func (n *network) connect(ctx context.Context) error {
	hub, err := client.LoadProfile(n.Profiles["hub"])
	if err != nil {
		return err
	}
	for _, p := range n.Nodes {
		n.pids[p.Name] = p.PID
		n.logs[p.Name] = &nodeLog{path: filepath.Join(filepath.Dir(p.Config), "node.log")}
		if n.asks[p.Name], err = client.Dial(hub, p.API); err != nil {
			return err
		}
	}
	n.web = &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{TLSClientConfig: n.asks["n1"].TLSConfig(), DisableKeepAlives: true}}
	if err := n.fetchKeys(ctx); err != nil {
		return err
	}
	for i := range n.Nodes {
		profile := hub
		if i > 0 {
			if profile, err = client.LoadProfile(n.Profiles[fmt.Sprintf("member-%d", i)]); err != nil {
				return err
			}
		}
		c, err := client.Dial(profile, n.Nodes[i].API)
		if err != nil {
			return err
		}
		author, err := client.NewAuthor(ctx, c)
		if err != nil {
			return err
		}
		author.To = &hasty{c}
		n.authors = append(n.authors, author)
	}
	return nil
}

// hasty gives up an attempt sooner than the client does: a node that hangs is
// passed over for the next.
type hasty struct{ *client.Client }

// Submit hands a command over, once.
func (h *hasty) Submit(ctx context.Context, in *apiv1.SubmitRequest) (*apiv1.Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	return h.Client.Submit(ctx, in)
}

// fetchKeys takes over the token keys of the network.
func (n *network) fetchKeys(ctx context.Context) error {
	p := n.Nodes[0]
	conn, err := n.asks[p.Name].Conn(p.API)
	if err != nil {
		return err
	}
	in, err := apiv1.NewTokensClient(conn).Keyring(ctx, &apiv1.KeyringRequest{})
	if err != nil {
		return err
	}
	var keys []token.Key
	for _, k := range in.Keys {
		keys = append(keys, token.NewKey(risk.Epoch(k.Epoch), [32]byte(k.Secret)))
	}
	n.ring, err = token.NewKeyring(keys...)
	return err
}

func (n *network) names() []string {
	var names []string
	for i := range n.Nodes {
		names = append(names, n.Nodes[i].Name)
	}
	return names
}

// end takes the network down and keeps its files.
func (n *network) end() error {
	if n.stop != nil {
		n.stop()
	}
	n.pollers.Wait()
	for _, c := range n.asks {
		c.Close()
	}
	return n.Down()
}

// strike says that nodes are about to be struck: what they fail to answer from
// now on is no violation.
func (n *network) strike(names ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, name := range names {
		n.struck[name]++
		n.down[name] = true
	}
}

// spare says that nodes answer again.
func (n *network) spare(names ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, name := range names {
		n.struck[name]++
		n.down[name] = false
	}
}

// tolerate says that a process may fall with these words.
func (n *network) tolerate(words string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.excuse = words
}

func (n *network) tolerated(line string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.excuse != "" && strings.HasPrefix(line, n.excuse)
}

// spell tells the times apart in which a node was struck and was not.
func (n *network) spell(name string) (count int, down bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.struck[name], n.down[name]
}

// kill ends nodes with SIGKILL, all at once.
func (n *network) kill(names ...string) error {
	n.strike(names...)
	errs := make([]error, len(names))
	var group sync.WaitGroup
	for i, name := range names {
		group.Go(func() { errs[i] = n.Kill(name) })
	}
	group.Wait()
	return errors.Join(errs...)
}

// begin starts nodes that do not run, and spares them when they are ready.
func (n *network) begin(ctx context.Context, names ...string) error {
	for _, name := range names {
		if err := n.run(name); err != nil {
			return err
		}
	}
	for _, name := range names {
		if err := n.await(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// run starts a node, once the process before it is gone: one that was killed
// holds its files until its last thread has ended.
func (n *network) run(name string) error {
	before := n.pid(name)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = until(ctx, 5*time.Millisecond, func() error {
		if syscall.Kill(before, 0) == nil {
			return fmt.Errorf("process %d is there", before)
		}
		return nil
	})
	n.mu.Lock()
	defer n.mu.Unlock()
	err := n.Start(name)
	if p, found := n.Node(name); found == nil {
		n.pids[name] = p.PID
	}
	return err
}

// arm has a node end itself at a crash point of its next start.
func (n *network) arm(name, point string) { n.armed[name] = point }

func (n *network) pid(name string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.pids[name]
}

// await waits until a node is ready, and spares it.
func (n *network) await(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	err := until(ctx, 50*time.Millisecond, func() error {
		status, err := n.ask(ctx, name)
		switch {
		case err != nil && !n.Runs(name):
			return fmt.Errorf("ended: %s", n.logs[name].last())
		case err != nil:
			return err
		case !status.Ready:
			return errors.New("is not ready")
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	n.spare(name)
	return nil
}

// ask gives a node's own row.
func (n *network) ask(ctx context.Context, name string) (*apiv1.NodeStatusResponse, error) {
	p, err := n.Node(name)
	if err != nil {
		return nil, err
	}
	conn, err := n.asks[name].Conn(p.API)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return apiv1.NewClusterClient(conn).NodeStatus(ctx, &apiv1.NodeStatusRequest{})
}

// leader names the node that the others follow.
func (n *network) leader(ctx context.Context) (string, error) {
	var leader string
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	err := until(ctx, 50*time.Millisecond, func() error {
		for _, name := range n.names() {
			if status, err := n.ask(ctx, name); err == nil && status.Role == "leader" {
				leader = name
				return nil
			}
		}
		return errors.New("no node leads")
	})
	return leader, err
}

// until asks again and again until there is no error or no time.
func until(ctx context.Context, every time.Duration, ask func() error) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		err := ask()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-ticker.C:
		}
	}
}

// nodeLog reads what a node has logged, piece by piece. The poller of the node
// owns it, but for last.
type nodeLog struct {
	path   string
	offset int64
	rest   string
	lives  int // how often the node began again within a process
}

// fresh gives the lines that came since the last call.
func (l *nodeLog) fresh() []string {
	file, err := os.Open(l.path)
	if err != nil {
		return nil
	}
	defer file.Close()
	buffer := make([]byte, 1<<20)
	count, _ := file.ReadAt(buffer, l.offset)
	l.offset += int64(count)
	lines := strings.Split(l.rest+string(buffer[:count]), "\n")
	l.rest = lines[len(lines)-1]
	return lines[:len(lines)-1]
}

func (l *nodeLog) all() string {
	text, _ := os.ReadFile(l.path)
	return string(text)
}

// errorLine gives the last line that says what ended the node.
func (l *nodeLog) errorLine() string {
	found := ""
	for line := range strings.SplitSeq(l.all(), "\n") {
		if strings.HasPrefix(line, "risknet: ") || strings.HasPrefix(line, "fatal error: ") || strings.HasPrefix(line, "panic: ") {
			found = line
		}
	}
	return found
}

func (l *nodeLog) last() string {
	lines := strings.Split(strings.TrimSpace(l.all()), "\n")
	return strings.Join(lines[max(0, len(lines)-3):], " / ")
}

// hits counts how often nodes ended at each crash point.
func (n *network) hits() map[string]int {
	hits := map[string]int{}
	for _, name := range n.names() {
		for line := range strings.SplitSeq(n.logs[name].all(), "\n") {
			if _, point, found := strings.Cut(line, "crash point hit: "); found {
				hits[point]++
			}
		}
	}
	return hits
}

func diskMiB(dir string) int {
	var sum int64
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // a file that went away meanwhile takes no room
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() {
			sum += allocated(info)
		}
		return nil
	})
	return int(sum >> 20)
}

func others(names []string, but ...string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(but, name) })
}
