package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/ledger"
	"github.com/risknet/risknet/risk"
)

// witnessPatience is how long a starting node waits for what the others know of
// it. One that does not answer in time is as good as down.
const witnessPatience = time.Second

// Witness tells a node that has just started what this one knows of it.
func (s *peerService) Witness(ctx context.Context, req *apiv1.WitnessRequest) (*apiv1.WitnessResponse, error) {
	n := s.node
	resp := &apiv1.WitnessResponse{}
	for _, server := range n.order.Servers() {
		node, _, err := splitServer(server.ID)
		if err != nil || node.String() != req.Node {
			continue
		}
		resp.Server = server.ID
		if seen, ok := n.order.LastSeen(server.ID); ok {
			resp.Term, resp.Index = seen.Term, seen.Last
		}
	}
	// Ready is asked of a majority now: an age can be younger than its loss.
	_, err := n.readIndex(ctx)
	resp.Ready = err == nil && n.ready() == nil
	head := n.Head()
	resp.Leader, _ = n.order.Leader()
	resp.Size, resp.Root = head.Size, head.Root[:]
	return resp, nil
}

// askWitnesses asks all addresses at once and gives the answers that came.
func askWitnesses(ctx context.Context, p *peers, self risk.ID, addresses []string) []*apiv1.WitnessResponse {
	ctx, cancel := context.WithTimeout(ctx, witnessPatience)
	defer cancel()
	answers := make([]*apiv1.WitnessResponse, len(addresses))
	var wait sync.WaitGroup
	for i, address := range addresses {
		wait.Go(func() {
			conn, err := p.dial(address)
			if err != nil {
				return
			}
			if answer, err := apiv1.NewPeersClient(conn).Witness(ctx, &apiv1.WitnessRequest{Node: self.String()}); err == nil {
				answers[i] = answer
			}
		})
	}
	wait.Wait()
	return slices.DeleteFunc(answers, func(a *apiv1.WitnessResponse) bool { return a == nil })
}

// reach is how far a node's data goes.
type reach struct{ index, term uint64 }

// holdPast compares how far the data goes with the anchor and with what the
// others last saw. It runs before raft does.
func (n *Node) holdPast(ctx context.Context, held reach) error {
	size := n.store.Head().Size
	if err := fallsShort(n.anchor.load(), held, size); err != nil {
		return err
	}
	for _, seen := range askWitnesses(ctx, n.peers, n.id, n.otherAddresses()) {
		if err := contradicts(seen, n.life, held, size); err != nil {
			return err
		}
	}
	return nil
}

// fallsShort doubts data that reaches less far than the anchor.
func fallsShort(anchored ledger.Anchor, held reach, size uint64) error {
	if held.index >= anchored.LogIndex && held.term >= anchored.Term {
		return nil
	}
	return &doubt{need: max(anchored.Size, size), reason: fmt.Sprintf("it ends at entry %d of term %d, and this node had %d of term %d: it is a backup, or the disk has lost writes",
		held.index, held.term, anchored.LogIndex, anchored.Term)}
}

// contradicts judges one witness. Within one term nothing that a follower has
// agreed to is ever taken back; what a leader of an earlier term saw may be.
func contradicts(seen *apiv1.WitnessResponse, life incarnation, held reach, size uint64) error {
	if seen.Server == "" {
		return nil
	}
	_, number, err := splitServer(seen.Server)
	if err != nil {
		return fmt.Errorf("witness: %w", err)
	}
	switch {
	case number > life.Number && seen.Ready:
		return &doubt{number: number, need: size, reason: fmt.Sprintf("the network knows this node as %s, a later life", seen.Server)}
	case number == life.Number && (seen.Term > held.term || seen.Term == held.term && seen.Index > held.index):
		return &doubt{need: size, reason: fmt.Sprintf("it ends at entry %d of term %d, and another node saw it at %d of term %d", held.index, held.term, seen.Index, seen.Term)}
	}
	return nil
}

// The addresses of the other nodes lie beside the anchor and in the data
// directory, for a start at which the state cannot be read. Nobody is trusted for standing in that file: who
// answers shows a certificate.
const peersFile = "peers.json"

func (n *Node) savePeers() error {
	addresses, err := n.recordedAddresses()
	if err != nil || len(addresses) == 0 {
		return err
	}
	text, err := json.Marshal(addresses)
	if err != nil {
		return err
	}
	for _, dir := range []string{n.cfg.Anchor, n.cfg.Data} {
		path := filepath.Join(dir, peersFile)
		if old, err := os.ReadFile(path); err == nil && string(old) == string(text) {
			continue
		}
		if err := writeFileSync(path, text); err != nil {
			return err
		}
	}
	return nil
}

// recordedAddresses are the API addresses of the other nodes' records.
func (n *Node) recordedAddresses() ([]string, error) {
	nodes, err := n.store.Nodes()
	if err != nil {
		return nil, err
	}
	var addresses []string
	for _, other := range nodes {
		if other.Node != n.id {
			addresses = append(addresses, other.API)
		}
	}
	return addresses, nil
}

// otherAddresses is everybody who may know this node: by its state, by what lies
// beside the anchor, by the founding file.
func (n *Node) otherAddresses() []string {
	addresses := append(savedPeers(n.cfg.Anchor), savedPeers(n.cfg.Data)...)
	if n.store != nil {
		recorded, _ := n.recordedAddresses() // the saved ones stand in
		addresses = append(addresses, recorded...)
	}
	addresses = append(addresses, foundingAddresses(n.founding, n.id)...)
	slices.Sort(addresses)
	return slices.Compact(addresses)
}

func savedPeers(dir string) []string {
	var addresses []string
	text, err := os.ReadFile(filepath.Join(dir, peersFile))
	if err != nil || json.Unmarshal(text, &addresses) != nil {
		return nil
	}
	return addresses
}

func foundingAddresses(founding []*risk.Signed, self risk.ID) []string {
	var addresses []string
	for _, signed := range founding {
		command, err := risk.DecodeCommand(signed.Header)
		if err != nil {
			continue
		}
		if p, ok := command.Params.(*risk.PutNode); ok && p.Node != self {
			addresses = append(addresses, p.API)
		}
	}
	return addresses
}

// resolve ends a doubt: it waits until the others show that they hold at least
// what this node held, and begins a new life. Until then nothing is touched. It
// is the way out of damage too, and the reason why damage on most of the nodes
// at once still loses nothing: nobody begins anew without a majority of others.
func (n *Node) resolve(ctx context.Context, d *doubt) error {
	n.log.Error("alarm", "error", d)
	lock, err := lockData(n.cfg.Data)
	if err != nil {
		return err
	}
	defer lock.Close()
	addresses := n.otherAddresses()
	if len(addresses) == 0 {
		return fmt.Errorf("%w; this node knows no other to be rebuilt from: put back the directory that it left, or see `risknet cluster recover --help`", d)
	}
	var told time.Time
	for {
		number, found := uint64(0), false
		for _, seen := range askWitnesses(ctx, n.peers, n.id, addresses) {
			if _, known, err := splitServer(seen.Server); err == nil {
				number = max(number, known)
			}
			found = found || seen.Ready && seen.Size >= d.need
		}
		if found {
			n.life.Number = numberAfter(max(n.life.Number, d.number, number), n.now())
			n.log.Warn("the others hold everything; this node begins a new life", "server", n.life.server())
			if err := n.mayFound(false); err != nil {
				return err
			}
			return beginLife(&n.cfg, n.life)
		}
		if n.now().Sub(told) > 10*time.Second {
			told = n.now()
			n.log.Warn("waiting for a majority of the others that holds at least as much", "leaves", d.need, "asked", len(addresses))
		}
		if !pause(ctx, 200*time.Millisecond) {
			return fmt.Errorf("%w; no majority of the other nodes that holds at least %d leaves was in reach: start them first, or see `risknet cluster recover --help`", d, d.need)
		}
	}
}

// cast writes down why the data is in doubt, so that the next life begins with it.
func (n *Node) cast(reason error) {
	if err := writeFileSync(n.doubtFile(), []byte(reason.Error())); err != nil {
		n.log.Error("alarm", "error", err)
	}
}

func asDoubt(err error) (*doubt, bool) { return errors.AsType[*doubt](err) }
