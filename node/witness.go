package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"

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
	resp.CurrentTerm = n.order.Stats().Term
	return resp, nil
}

// testimony is what one other node says, and who that is by its certificate.
type testimony struct {
	*apiv1.WitnessResponse
	by Identity
}

// nothing reports whether that node has never heard of a network.
func (t *testimony) nothing() bool { return t.Size == 0 && t.CurrentTerm == 0 }

// askWitnesses asks all addresses at once and gives the answers that came, one of
// each node.
func askWitnesses(ctx context.Context, p *peers, self risk.ID, addresses []string) map[Identity]testimony {
	ctx, cancel := context.WithTimeout(ctx, witnessPatience)
	defer cancel()
	answers := make([]*testimony, len(addresses))
	var wait sync.WaitGroup
	for i, address := range addresses {
		wait.Go(func() { answers[i] = askWitness(ctx, p, self, address) })
	}
	wait.Wait()
	heard := map[Identity]testimony{}
	for _, answer := range answers {
		if answer != nil {
			heard[answer.by] = *answer
		}
	}
	return heard
}

// askWitness gives nil for a node that does not answer.
func askWitness(ctx context.Context, p *peers, self risk.ID, address string) *testimony {
	conn, err := p.dial(address)
	if err != nil {
		return nil
	}
	var at peer.Peer
	answer, err := apiv1.NewPeersClient(conn).Witness(ctx, &apiv1.WitnessRequest{Node: self.String()}, grpc.Peer(&at))
	if err != nil {
		return nil
	}
	return &testimony{WitnessResponse: answer, by: certified(&at)}
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
		if err := contradicts(seen.WitnessResponse, n.life, held, size); err != nil {
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
