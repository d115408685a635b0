package testnet

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"gopkg.in/yaml.v3"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/enrol"
	"github.com/risknet/risknet/node"
	"github.com/risknet/risknet/risk"
)

// Added is a node that came into a running network.
type Added struct {
	Node    PlannedNode
	Profile string // file of its institution's profile
	Token   string // with which it joined; used up
}

// inviteTime is how long the two ends have to find each other on one machine.
const inviteTime = time.Minute

// Add lets one more node in, empty, as the hub's operator and the newcomer's
// would: an invitation, a join with its token, a start. It returns when the node
// is ready. After an error, Add again goes on where this one broke off.
func (p *Processes) Add(ctx context.Context, voter bool) (*Added, error) {
	plan := p.plan()
	e := &entry{plan: plan, voter: voter, base: p.Nodes[0].Config}
	added, err := e.enter(ctx)
	if err != nil {
		return nil, err
	}
	p.Profiles = plan.Profiles
	p.Nodes = append(p.Nodes, ProcessNode{Name: added.Node.Name, Institution: added.Node.Institution, API: added.Node.API,
		HTTP: added.Node.HTTP, Resp: added.Node.Redis, Data: filepath.Join(added.Node.Dir, "data"), Config: added.Node.Config})
	n := &p.Nodes[len(p.Nodes)-1]
	if err := p.start(n); err != nil {
		return nil, err
	}
	if err := p.awaitReady(ctx, n); err != nil {
		return nil, fmt.Errorf("%s has joined and is part of this network: %w", n.Name, err)
	}
	return added, nil
}

// plan is what an entry needs to know of this network.
func (p *Processes) plan() *Plan {
	plan := &Plan{Dir: p.Dir, Network: p.Network, Profiles: p.Profiles}
	for _, n := range p.Nodes {
		plan.Nodes = append(plan.Nodes, PlannedNode{Name: n.Name, Institution: n.Institution, API: n.API,
			HTTP: n.HTTP, Dir: filepath.Dir(n.Config), Config: n.Config})
	}
	return plan
}

// Add lets one more node in, as [Processes.Add] does.
func (l *Local) Add(ctx context.Context, voter bool) (*Added, error) {
	e := &entry{plan: l.Plan, voter: voter, base: l.Plan.Nodes[0].Config}
	added, err := e.enter(ctx)
	if err != nil {
		return nil, err
	}
	l.Plan.Nodes = append(l.Plan.Nodes, added.Node)
	if err := l.Start(added.Node.Name); err != nil {
		return nil, err
	}
	return added, l.AwaitReady(ctx, added.Node.Name)
}

// entry is one node on its way in.
type entry struct {
	plan  *Plan
	voter bool
	base  string // configuration file whose tuning the newcomer takes over

	client *client.Client
	author *client.Author
}

// enter does both ends up to the node's first start. Each step finds what an
// earlier attempt has left: a profile, or a whole directory.
func (e *entry) enter(ctx context.Context) (_ *Added, err error) {
	if have := len(e.plan.Nodes); have >= MaxNodes {
		return nil, fmt.Errorf("--dir: the network has %d nodes, and one machine is asked to carry at most %d", have, MaxNodes)
	}
	hub, err := client.LoadProfile(e.plan.Profiles[hubName])
	if err != nil {
		return nil, err
	}
	if e.client, err = client.Dial(hub, ""); err != nil {
		return nil, err
	}
	defer e.client.Close()
	if e.author, err = client.NewAuthor(ctx, e.client); err != nil {
		return nil, err
	}
	number, err := e.vacancy(ctx)
	if err != nil {
		return nil, err
	}
	name := nodeName(number)
	dir := filepath.Join(e.plan.Dir, "nodes", name)
	added := &Added{Node: PlannedNode{Name: name, Institution: institutionOf(number), Voter: e.voter,
		Dir: dir, Config: filepath.Join(dir, "node.yaml")}}
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		if err := e.join(ctx, added); err != nil {
			return nil, err
		}
	}
	// If we crash here, the next Add finds a directory that has joined.
	return added, e.settle(ctx, added)
}

func nodeName(i int) string { return fmt.Sprintf("n%d", i+1) }

// vacancy is the first number whose name is free. A record of the same name and
// institution that is no node of the plan is what an attempt left that broke off;
// one of another institution, or one that is up, is a node that somebody let in
// by hand.
func (e *entry) vacancy(ctx context.Context) (int, error) {
	network, err := e.client.Network(ctx)
	if err != nil {
		return 0, err
	}
	rows, err := e.client.Status(ctx)
	if err != nil {
		return 0, err
	}
	taken := map[string]bool{}
	for _, n := range e.plan.Nodes {
		taken[n.Name] = true
	}
	for _, row := range rows {
		taken[row.Name] = taken[row.Name] || row.Role != "down"
	}
	number := len(e.plan.Nodes)
	for ; ; number++ {
		byHand := slices.ContainsFunc(network.Nodes, func(n *apiv1.Node) bool {
			return n.Name == nodeName(number) && n.Institution != institutionOf(number)
		})
		if !byHand && !taken[nodeName(number)] {
			return number, nil
		}
	}
}

// join invites on a loopback port and takes the invitation up.
func (e *entry) join(ctx context.Context, added *Added) error {
	addresses, err := freeAddresses(4)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, inviteTime)
	defer cancel()
	invitation, err := e.invite(added.Node)
	if err != nil {
		return err
	}
	added.Token = invitation.Token().String()
	waited := make(chan error, 1)
	go func() {
		joined, err := invitation.Wait(ctx)
		if err == nil && !joined.Confirmed {
			err = errors.New("the newcomer did not confirm")
		}
		waited <- err
	}()
	token, err := enrol.ParseToken(added.Token)
	if err == nil {
		_, err = enrol.Join(ctx, enrol.JoinOptions{Token: token, Dir: added.Node.Dir,
			Raft: addresses[0], API: addresses[1], HTTP: addresses[2], Tune: func(cfg *node.Config) {
				e.tune(cfg)
				cfg.Listen.Redis, cfg.Redis.Plain = addresses[3], true
			}})
	}
	if err != nil {
		cancel() // nobody else will join
	}
	return errors.Join(err, <-waited)
}

// invite opens an invitation with the CA key that lies in the network's
// directory. What an attempt before has left under this name, it replaces.
func (e *entry) invite(n PlannedNode) (*enrol.Invitation, error) {
	ca, err := e.authority()
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	terms := enrol.Terms{Name: n.Name, Institution: n.Institution, Suffrage: risk.NonVoter}
	if n.Voter {
		terms.Suffrage = risk.Voter
	}
	invitation, err := enrol.Open(enrol.Offer{Terms: terms, Network: e.plan.Network, Inviter: hubName, Authority: ca,
		Registrar: &enrol.Hub{Client: e.client, Author: e.author, Replace: true},
		Listener:  listener, Advertise: listener.Addr().String(), TTL: inviteTime})
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return invitation, nil
}

func (e *entry) authority() (*node.Authority, error) {
	cert, err := os.ReadFile(filepath.Join(e.plan.Dir, "ca.pem"))
	if err != nil {
		return nil, fmt.Errorf("--dir: %w", err)
	}
	key, err := os.ReadFile(filepath.Join(e.plan.Dir, "ca.key"))
	if err != nil {
		return nil, fmt.Errorf("--dir: %w", err)
	}
	return node.LoadAuthority(cert, key)
}

// tune gives the newcomer the pace of the other nodes, and a fault socket.
func (e *entry) tune(cfg *node.Config) {
	if base, err := node.LoadConfig(e.base); err == nil {
		cfg.Raft, cfg.Stale, cfg.Disk, cfg.Limits = base.Raft, base.Stale, base.Disk, base.Limits
		cfg.Log, cfg.Development = base.Log, base.Development
	}
	cfg.FaultControl = "fault.sock"
}

// settle reads the addresses of a node that has joined, and gives its
// institution a profile that speaks to it.
func (e *entry) settle(ctx context.Context, added *Added) error {
	n := &added.Node
	cfg, err := node.LoadConfig(n.Config)
	if err != nil {
		return err
	}
	n.Raft, n.API, n.HTTP, n.Redis = cfg.Listen.Raft, cfg.Listen.API, cfg.Listen.HTTP, cfg.Listen.Redis
	if n.ID, err = risk.ParseID(cfg.ID); err != nil {
		return err
	}
	logKey, err := node.LoadSigningKey(cfg.LogKey)
	if err != nil {
		return err
	}
	file, known := e.plan.Profiles[n.Institution]
	if known {
		err = moveProfile(file, *n, node.LogVerifier(e.plan.origin(), logKey))
	} else {
		file, err = e.admit(ctx, *n, logKey)
	}
	added.Profile = file
	return err
}

// admit takes the node's institution in and writes its profile. If we crash
// between the two, an institution stays in the network that nobody speaks for.
func (e *entry) admit(ctx context.Context, home PlannedNode, logKey ed25519.PrivateKey) (string, error) {
	ca, err := e.authority()
	if err != nil {
		return "", err
	}
	p := newParty(home.Institution, risk.RoleMember, 1)
	_, err = e.author.Do(ctx, &risk.Admit{Reporter: p.reporter, Role: p.role, Commitment: p.commitment(), Keys: p.publicKeys()}, nil, nil)
	if err != nil {
		return "", fmt.Errorf("admit %s: %w", p.name, err)
	}
	alone := &Plan{Dir: e.plan.Dir, Network: e.plan.Network, ID: e.author.Network, Nodes: []PlannedNode{home}, Profiles: e.plan.Profiles}
	w := &writer{plan: alone, ca: ca, now: time.Now(), logKeys: map[string]ed25519.PrivateKey{home.Name: logKey}}
	err = errors.Join(w.profile(p), w.addOpening(p))
	return alone.Profiles[p.name], err
}

// moveProfile points a profile at another node.
func moveProfile(file string, to PlannedNode, verifier string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	fields := map[string]any{}
	if err := yaml.Unmarshal(text, &fields); err != nil {
		return fmt.Errorf("profile %s: %w", file, err)
	}
	fields["endpoint"], fields["http"], fields["log_key"] = to.API, to.HTTP, verifier
	return writeYAML(file, fields)
}
