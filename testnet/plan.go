package testnet

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/risknet/risknet/node"
	"github.com/risknet/risknet/risk"
)

// Plan is a network before it runs: all its files are written and its first
// commands are signed.
type Plan struct {
	Dir     string
	Network string // the network's name
	ID      risk.Hash
	Nodes   []PlannedNode
	// Profiles names the profile files by who speaks through them.
	Profiles map[string]string
}

// PlannedNode is one node of a plan.
type PlannedNode struct {
	Name        string
	ID          risk.ID
	Institution string
	Dir         string // the node's own directory
	Config      string // its configuration file
	Raft        string
	API         string
	HTTP        string
	Redis       string // the Redis door, plain on loopback
	Voter       bool
}

// Options say what network to plan.
type Options struct {
	Dir    string
	Nodes  int
	Voters int // 0 means 3, or all if there are fewer
	// Rules is the source of the rule set to publish and activate; nil for none.
	Rules []byte
	// Tune may change a node's configuration before it is written.
	Tune func(*node.Config)
	// Hosts are the addresses of the nodes, in order; nil means that all are on
	// 127.0.0.1.
	Hosts []string
	// Prepare may change the command that starts a node process.
	Prepare func(node string, cmd *exec.Cmd)
	// Environment is the world around a node in this process; nil is the real one.
	Environment func(node string) node.Environment
	Now         time.Time
}

// MaxNodes is how many nodes one machine is asked to carry.
const MaxNodes = 25

func (o *Options) check() error {
	if o.Nodes < 1 || o.Nodes > MaxNodes {
		return fmt.Errorf("--nodes: %d; 1 to %d are possible", o.Nodes, MaxNodes)
	}
	if o.Voters == 0 {
		o.Voters = min(3, o.Nodes)
	}
	if o.Voters < 1 || o.Voters > o.Nodes {
		return fmt.Errorf("--voters: %d; 1 to the number of nodes, %d, are possible", o.Voters, o.Nodes)
	}
	if _, err := os.Stat(filepath.Join(o.Dir, stateFile)); err == nil {
		return fmt.Errorf("--dir: %s holds a test network; end it with `risknet testnet down --dir %s` and remove the directory, or name another", o.Dir, o.Dir)
	}
	return nil
}

// NewPlan writes the files of a network.
func NewPlan(o Options) (*Plan, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	p := &Plan{Dir: dir, Network: "testnet", Profiles: map[string]string{}}
	ca, err := node.NewAuthority(p.Network, o.Now)
	if err != nil {
		return nil, err
	}
	w := &writer{plan: p, ca: ca, now: o.Now, parties: map[string]*party{}, logKeys: map[string]ed25519.PrivateKey{}}
	_, _ = rand.Read(w.tokenKey[:]) // never fails since Go 1.24
	if err := w.authority(); err != nil {
		return nil, err
	}
	if err := p.place(o); err != nil {
		return nil, err
	}
	for _, n := range p.Nodes {
		_, w.logKeys[n.Name], _ = ed25519.GenerateKey(rand.Reader) // never fails since Go 1.24
	}
	w.institutions()
	if err := w.found(o.Rules); err != nil {
		return nil, err
	}
	if err := w.profiles(); err != nil { // they name the network that was founded
		return nil, err
	}
	for i := range p.Nodes {
		if err := w.nodeFiles(&p.Nodes[i]); err != nil {
			return nil, err
		}
	}
	for i := range p.Nodes {
		if err := w.nodeConfig(i, o.Tune); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// place gives each node a name, an institution and free ports.
func (p *Plan) place(o Options) error {
	addresses, err := freeAddresses(4 * o.Nodes)
	if err != nil {
		return err
	}
	for i := range o.Nodes {
		n := PlannedNode{Name: fmt.Sprintf("n%d", i+1), Institution: institutionOf(i), Voter: i < o.Voters,
			Raft: o.at(i, addresses[4*i]), API: o.at(i, addresses[4*i+1]), HTTP: o.at(i, addresses[4*i+2])}
		if len(o.Hosts) == 0 { // without TLS it stays on loopback
			n.Redis = addresses[4*i+3]
		}
		_, _ = rand.Read(n.ID[:])
		n.Dir = filepath.Join(p.Dir, "nodes", n.Name)
		n.Config = filepath.Join(n.Dir, "node.yaml")
		p.Nodes = append(p.Nodes, n)
	}
	return nil
}

// at moves an address to the host of the i-th node.
func (o *Options) at(i int, address string) string {
	if i >= len(o.Hosts) {
		return address
	}
	_, port, _ := net.SplitHostPort(address)
	return net.JoinHostPort(o.Hosts[i], port)
}

// institutionOf says who runs the i-th node: the hub the first, each member one.
func institutionOf(i int) string {
	if i == 0 {
		return hubName
	}
	return fmt.Sprintf("member-%d", i)
}

const (
	hubName     = "hub"
	auditorName = "auditor"
)

// Ports are taken from below those that the kernel gives to outgoing
// connections (32768 and up on Linux), so that no connection of a neighbour sits
// on one between the plan and the start. Each process plans in a window of its
// own and goes round in it, so that nobody takes the port of a node that is down
// for a moment: neither of another process nor of another network of this one.
const (
	firstPort  = 15_000
	lastPort   = 32_000
	portWindow = 500
)

var (
	firstLook = mathrand.IntN(portWindow) // another process may have the same window
	looks     atomic.Int32                // at ports
)

// freeAddresses finds ports that nobody listens on. All are held until the last
// is known, so that none is given twice.
func freeAddresses(n int) ([]string, error) {
	var addresses []string
	window := firstPort + os.Getpid()%((lastPort-firstPort)/portWindow)*portWindow
	for range portWindow {
		if len(addresses) == n {
			return addresses, nil
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", window+(firstLook+int(looks.Add(1)))%portWindow))
		if err != nil {
			continue // somebody has it
		}
		defer l.Close()
		addresses = append(addresses, l.Addr().String())
	}
	return nil, fmt.Errorf("find %d free ports from %d to %d on 127.0.0.1: too many are taken; end what holds them", n, window, window+portWindow)
}

// party is an institution of the plan and its secrets.
type party struct {
	name     string
	role     risk.InstitutionRole
	reporter risk.ID
	opening  [16]byte
	keys     []ed25519.PrivateKey
}

func newParty(name string, role risk.InstitutionRole, keys int) *party {
	p := &party{name: name, role: role}
	_, _ = rand.Read(p.reporter[:])
	_, _ = rand.Read(p.opening[:])
	for range keys {
		_, key, _ := ed25519.GenerateKey(rand.Reader)
		p.keys = append(p.keys, key)
	}
	return p
}

func (p *party) commitment() risk.Hash {
	return risk.CommitInstitution(p.opening, p.reporter, p.name)
}

func (p *party) publicKeys() []risk.PublicKey {
	var keys []risk.PublicKey
	for _, key := range p.keys {
		keys = append(keys, publicKey(key))
	}
	return keys
}

func publicKey(key ed25519.PrivateKey) risk.PublicKey {
	return risk.PublicKey{Algorithm: risk.Ed25519, Bytes: [32]byte(key.Public().(ed25519.PublicKey))}
}

// origin is the name of the network's ledger.
func (p *Plan) origin() string { return "risknet.example/" + p.Network }
