package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

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
	if err := n.asksOfItself(callerOf(ctx), req.Node); err != nil {
		return nil, err
	}
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
	by     Identity
	number uint64 // the life that it knows; 0 if it knows none
}

// maxLifeAhead is how far ahead of its own clock a node believes that a life of
// its own began, when it hears of one that it does not remember.
const maxLifeAhead = time.Hour

// credible reads the number of the life. The error says why the answer cannot be
// true and counts for nothing.
func (t *testimony) credible(self incarnation, now time.Time) error {
	if t.Server == "" {
		return nil
	}
	node, number, err := splitServer(t.Server)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", t.by.Name, err)
	case node != self.Node:
		return fmt.Errorf("%s: server %q: is not this node", t.by.Name, t.Server)
	case number > numberAfter(self.Number, now.Add(maxLifeAhead)):
		return fmt.Errorf("%s: server %q: no life can have begun there yet", t.by.Name, t.Server)
	}
	t.number = number
	return nil
}

// nothing reports whether that node has never heard of a network.
func (t *testimony) nothing() bool { return t.Size == 0 && t.CurrentTerm == 0 }

// askWitnesses asks all places at once and gives the answers that came, one of
// each node. Refused counts those whose network does not know the one that asks: no
// answer, but not a silence either.
func askWitnesses(ctx context.Context, p *peers, self risk.ID, places []place) (heard map[Identity]testimony, refused int) {
	ctx, cancel := context.WithTimeout(ctx, witnessPatience)
	defer cancel()
	answers, errs := make([]*testimony, len(places)), make([]error, len(places))
	var wait sync.WaitGroup
	for i, at := range places {
		wait.Go(func() { answers[i], errs[i] = askWitness(ctx, p, self, at) })
	}
	wait.Wait()
	heard = map[Identity]testimony{}
	for i, answer := range answers {
		if answer != nil {
			heard[answer.by] = *answer
		}
		if status.Code(errs[i]) == codes.PermissionDenied {
			refused++
		}
	}
	return heard, refused
}

func askWitness(ctx context.Context, p *peers, self risk.ID, at place) (*testimony, error) {
	conn, err := p.dial(at)
	if err != nil {
		return nil, err
	}
	var by peer.Peer
	answer, err := apiv1.NewPeersClient(conn).Witness(ctx, &apiv1.WitnessRequest{Node: self.String()}, grpc.Peer(&by))
	if err != nil {
		return nil, err
	}
	return &testimony{WitnessResponse: answer, by: certified(&by)}, nil
}

// reach is how far a node's data goes.
type reach struct{ index, term uint64 }

// holdPast compares how far the data goes with the anchor and with what the
// others last saw. It runs before raft does.
func (n *Node) holdPast(ctx context.Context, held reach) error {
	size := n.store.Head().Size
	anchored := n.anchor.load()
	if n.isFounder() || len(n.otherPlaces()) == 0 {
		// A term that was anchored and, because we crashed there, not stored is no
		// loss: there is nobody yet to whom it could have promised a vote.
		anchored.Term = min(anchored.Term, held.term)
	}
	if err := fallsShort(anchored, held, size); err != nil {
		return err
	}
	heard, err := n.hear(ctx)
	if err != nil {
		n.log.Warn("what another node says of this one is ignored", "error", err)
	}
	for _, seen := range heard {
		if err := contradicts(&seen, n.life, held, size); err != nil {
			return err
		}
	}
	return nil
}

// hear gives what the others know of this node. What cannot be true is left out,
// and the error says what it was.
func (n *Node) hear(ctx context.Context) (map[Identity]testimony, error) {
	heard, _ := askWitnesses(ctx, n.peers, n.id, n.otherPlaces())
	var errs []error
	for by, seen := range heard {
		if err := seen.credible(n.life, n.now()); err != nil {
			delete(heard, by)
			errs = append(errs, err)
			continue
		}
		heard[by] = seen
	}
	return heard, errors.Join(errs...)
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
func contradicts(seen *testimony, life incarnation, held reach, size uint64) error {
	switch {
	case seen.number > life.Number && seen.Ready:
		return &doubt{number: seen.number, need: size, reason: fmt.Sprintf("%s knows this node as %s, a later life", seen.by.Name, seen.Server)}
	case seen.number == life.Number && (seen.Term > held.term || seen.Term == held.term && seen.Index > held.index):
		return &doubt{need: size, reason: fmt.Sprintf("it ends at entry %d of term %d, and %s saw it at %d of term %d", held.index, held.term, seen.by.Name, seen.Index, seen.Term)}
	}
	return nil
}

// rebuilders are those of the other voters, as this node last knew them, that are
// ready and hold so many leaves, and how many are enough to be rebuilt from: a
// majority, so that where there are several no single one talks this node out of
// its data.
func (n *Node) rebuilders(heard map[Identity]testimony, leaves uint64) (able []string, enough int) {
	voters := 0
	for _, o := range n.lastKnown() {
		if !o.Voter {
			continue
		}
		voters++
		if seen, ok := heard[o.identity(n.creds.Identity.Network)]; ok && seen.Ready && seen.Size >= leaves {
			able = append(able, o.Name)
		}
	}
	return able, voters/2 + 1
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
	if len(n.otherPlaces()) == 0 {
		return fmt.Errorf("%w; this node knows no other to be rebuilt from: put back the directory that it left, or see `risknet cluster recover --help`", d)
	}
	var told time.Time
	for {
		heard, odd := n.hear(ctx)
		able, enough := n.rebuilders(heard, d.need)
		if len(able) >= enough {
			return n.rebuild(d, heard)
		}
		if n.now().Sub(told) > 10*time.Second {
			told = n.now()
			n.log.Warn("waiting for a majority of the others that holds at least as much", "leaves", d.need, "enough", enough, "found", able, "ignored", odd)
		}
		if !pause(ctx, 200*time.Millisecond) {
			return fmt.Errorf("%w; no majority of the other nodes that holds at least %d leaves was in reach: start them first, or see `risknet cluster recover --help`", d, d.need)
		}
	}
}

// rebuild begins a life after all that anybody knows of.
func (n *Node) rebuild(d *doubt, heard map[Identity]testimony) error {
	number := max(n.life.Number, d.number)
	for _, seen := range heard {
		number = max(number, seen.number)
	}
	n.life.Number = numberAfter(number, n.now())
	n.log.Warn("the others hold everything; this node begins a new life", "server", n.life.server())
	if err := n.mayFound(false); err != nil {
		return err
	}
	return beginLife(&n.cfg, n.life)
}

// cast writes down why the data is in doubt, so that the next life begins with it.
func (n *Node) cast(reason error) {
	if err := writeFileSync(n.doubtFile(), []byte(reason.Error())); err != nil {
		n.log.Error("alarm", "error", err)
	}
}

func asDoubt(err error) (*doubt, bool) { return errors.AsType[*doubt](err) }
