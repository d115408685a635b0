package testnet

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/risknet/risknet/node"
	"github.com/risknet/risknet/risk"
)

// writer puts a plan's files on disk. Secrets are readable by their owner alone.
type writer struct {
	plan     *Plan
	ca       *node.Authority
	now      time.Time
	tokenKey [32]byte
	parties  map[string]*party
	order    []string // of parties
	logKeys  map[string]ed25519.PrivateKey
}

func (w *writer) authority() error {
	key, err := w.ca.KeyPEM()
	if err != nil {
		return err
	}
	if err := write(filepath.Join(w.plan.Dir, "ca.key"), key); err != nil {
		return err
	}
	return write(w.caFile(), w.ca.CertificatePEM())
}

func (w *writer) caFile() string { return filepath.Join(w.plan.Dir, "ca.pem") }

// institutions makes the hub, as many members as run a node but at least one,
// and an auditor.
func (w *writer) institutions() {
	w.addParty(newParty(hubName, risk.RoleHub, 2))
	for i := 1; i < max(2, len(w.plan.Nodes)); i++ {
		w.addParty(newParty(institutionOf(i), risk.RoleMember, 1))
	}
	w.addParty(newParty(auditorName, risk.RoleAuditor, 1))
}

// profiles writes one for each institution.
func (w *writer) profiles() error {
	for _, name := range w.order {
		if err := w.profile(w.parties[name]); err != nil {
			return err
		}
	}
	return w.openings()
}

func (w *writer) addParty(p *party) {
	w.parties[p.name] = p
	w.order = append(w.order, p.name)
}

// home is the node that serves a party: its own, else the first.
func (w *writer) home(name string) *PlannedNode {
	for i := range w.plan.Nodes {
		if w.plan.Nodes[i].Institution == name {
			return &w.plan.Nodes[i]
		}
	}
	return &w.plan.Nodes[0]
}

// openings is what the hub keeps and shows the auditor: who is behind each
// reporting id.
func (w *writer) openings() error {
	var text bytes.Buffer
	for _, name := range w.order {
		p := w.parties[name]
		fmt.Fprintf(&text, "%s %x %s\n", p.reporter, p.opening, p.name)
	}
	return write(filepath.Join(w.plan.Dir, "profiles", "openings.txt"), text.Bytes())
}

// addOpening keeps one more line of the openings.
func (w *writer) addOpening(p *party) error {
	file := filepath.Join(w.plan.Dir, "profiles", "openings.txt")
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return write(file, fmt.Appendf(text, "%s %x %s\n", p.reporter, p.opening, p.name))
}

func (w *writer) profile(p *party) error {
	dir := filepath.Join(w.plan.Dir, "profiles", p.name)
	cert, key, err := w.ca.Issue(node.Identity{Network: w.plan.Network, Institution: p.name, Role: p.role.String(), Name: p.name}, nil, w.now)
	if err != nil {
		return err
	}
	var signing []string
	for i, k := range p.keys {
		text, err := node.SigningKeyPEM(k)
		if err != nil {
			return err
		}
		file := fmt.Sprintf("%s/signing-%d.key", p.name, i+1)
		if err := write(filepath.Join(w.plan.Dir, "profiles", file), text); err != nil {
			return err
		}
		signing = append(signing, file)
	}
	if err := write(filepath.Join(dir, "tls.pem"), cert); err != nil {
		return err
	}
	if err := write(filepath.Join(dir, "tls.key"), key); err != nil {
		return err
	}
	home := w.home(p.name)
	profile := map[string]any{
		"endpoint": home.API, "http": home.HTTP, "ca": "../ca.pem",
		"certificate": p.name + "/tls.pem", "key": p.name + "/tls.key",
		"signing_key": signing[0], "outbox": p.name + "/outbox.ndjson", "institution": p.name, "reporter": p.reporter.String(),
		"network": w.plan.ID.String(), "log_key": node.LogVerifier(w.plan.origin(), w.logKeys[home.Name]),
	}
	if len(signing) > 1 {
		profile["cosigning_keys"] = signing[1:]
	}
	file := filepath.Join(w.plan.Dir, "profiles", p.name+".yaml")
	w.plan.Profiles[p.name] = file
	return writeYAML(file, profile)
}

func (w *writer) nodeFiles(n *PlannedNode) error {
	id := node.Identity{Network: w.plan.Network, Institution: n.Institution, Role: node.RoleNode, Name: n.Name}
	host, _, err := net.SplitHostPort(n.API)
	if err != nil {
		return err
	}
	cert, key, err := w.ca.Issue(id, []string{host, "127.0.0.1", "::1", "localhost", n.Name}, w.now)
	if err != nil {
		return err
	}
	logPEM, err := node.SigningKeyPEM(w.logKeys[n.Name])
	if err != nil {
		return err
	}
	files := map[string][]byte{
		"tls.pem": cert, "tls.key": key, "log.key": logPEM,
		"token.keys": node.FormatTokenKeys([]node.TokenKey{{Epoch: 1, Secret: w.tokenKey}}),
	}
	for name, text := range files {
		if err := write(filepath.Join(n.Dir, name), text); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) nodeConfig(i int, tune func(*node.Config)) error {
	n := &w.plan.Nodes[i]
	cfg := node.DefaultConfig()
	cfg.Name, cfg.ID, cfg.Network = n.Name, n.ID.String(), w.plan.ID.String()
	cfg.Data, cfg.TokenKeys, cfg.LogKey = "data", "token.keys", "log.key"
	cfg.FaultControl = "fault.sock"
	cfg.Disk.Reserve = 256 << 20 // several nodes share one disk, and keep little
	cfg.Listen = node.ListenConfig{Raft: n.Raft, API: n.API, HTTP: n.HTTP, Redis: n.Redis}
	cfg.Redis.Plain = true
	cfg.TLS = node.TLSConfig{CA: "../../ca.pem", Certificate: "tls.pem", Key: "tls.key"}
	for _, name := range w.order {
		if w.home(name) == n && name != n.Institution {
			cfg.Serves = append(cfg.Serves, name)
		}
	}
	if i == 0 {
		cfg.Founding = "founding.bin"
	}
	if tune != nil {
		tune(&cfg)
	}
	text, err := cfg.YAML()
	if err != nil {
		return err
	}
	return write(n.Config, text)
}

// found signs the first commands of the network: the founding, the nodes, the
// institutions and the rules. The first node brings them in.
func (w *writer) found(rules []byte) error {
	hub := w.parties[hubName]
	first := &risk.Found{Name: w.plan.Network, Origin: w.plan.origin(),
		Protocol: risk.ProtocolVersion, Threshold: 2, HubKeys: hub.publicKeys(),
		HubCommitment: hub.commitment(), EpochKey: risk.CommitEpochKey(w.tokenKey)}
	founding, err := w.sign(first, nil)
	if err != nil {
		return err
	}
	w.plan.ID = founding.ID()
	commands := []*risk.Signed{founding}
	for _, params := range w.firstCommands(rules) {
		var document []byte
		if params.Kind() == risk.KindPublishRules {
			document = rules
		}
		signed, err := w.sign(params, document)
		if err != nil {
			return err
		}
		commands = append(commands, signed)
	}
	return write(filepath.Join(w.plan.Nodes[0].Dir, "founding.bin"), node.FormatFounding(commands))
}

func (w *writer) firstCommands(rules []byte) []risk.Params {
	var list []risk.Params
	for i := range w.plan.Nodes {
		n := &w.plan.Nodes[i]
		suffrage := risk.NonVoter
		if n.Voter {
			suffrage = risk.Voter
		}
		list = append(list, &risk.PutNode{Node: n.ID, Name: n.Name, Institution: n.Institution,
			Raft: n.Raft, API: n.API, HTTP: n.HTTP, Suffrage: suffrage, LogKey: publicKey(w.logKeys[n.Name])})
	}
	for _, name := range w.order[1:] {
		p := w.parties[name]
		list = append(list, &risk.Admit{Reporter: p.reporter, Role: p.role, Commitment: p.commitment(), Keys: p.publicKeys()})
	}
	if len(rules) > 0 {
		list = append(list, &risk.PublishRules{Hash: sha256.Sum256(rules)}, &risk.ActivateRules{Version: 1})
	}
	return list
}

func (w *writer) sign(params risk.Params, document []byte) (*risk.Signed, error) {
	hub := w.parties[hubName]
	now := w.now.UnixMilli()
	c := &risk.Command{Network: w.plan.ID, Author: hub.reporter, Time: now,
		NotAfter: now + risk.MaxNotAfterMillis, Params: params}
	var bodies []risk.Body
	if document != nil {
		bodies = []risk.Body{risk.NewBody(document)}
		c.Items = []risk.Item{{Op: risk.ItemDocument, Commitment: bodies[0].Commit()}}
	}
	for _, key := range hub.publicKeys() {
		c.Signers = append(c.Signers, risk.Signer{Reporter: hub.reporter, Key: key.ID(), Algorithm: risk.Ed25519})
	}
	return risk.Sign(c, bodies, hub.keys...)
}

func write(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

func writeYAML(path string, fields map[string]any) error {
	text, err := yaml.Marshal(fields)
	if err != nil {
		return err
	}
	return write(path, text)
}

// names gives the profile names in a steady order.
func (p *Plan) names() []string {
	var names []string
	for name := range p.Profiles {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
