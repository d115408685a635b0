package node

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/ledger"
	"github.com/risknet/risknet/risk"
)

// A node signs the head that its anchor has saved, and asks the nodes of other
// institutions to cosign it: they do so if their own ledgers had the same root at
// that size. So one node's checkpoint carries the word of several, and a node
// whose ledger went another way hears of it within a round.
const (
	checkpointEvery = time.Second
	// checkpointGap is the least time between two rounds, however often somebody
	// asks for a checkpoint of now.
	checkpointGap = 100 * time.Millisecond
	// recosignAfter is how old a cosignature gets on a quiet network. By its time
	// an auditor knows that a later leaf was not stamped before it.
	recosignAfter    = 10 * time.Second
	cosignerPatience = 500 * time.Millisecond
)

// checkpoints is what a node says about its ledger.
type checkpoints struct {
	key      ed25519.PrivateKey
	pens     atomic.Pointer[pens]
	newest   atomic.Pointer[signedHead]
	wanted   chan struct{}         // one place: somebody waits for a newer one
	diverged atomic.Pointer[error] // why nothing is signed any more
}

// pens sign and cosign under one origin. To make them costs as much as a signature,
// because the key is held to its public half first.
type pens struct {
	origin   string
	signer   ledger.Signer
	cosigner *ledger.Cosigner
}

// pensFor are this node's under an origin, which never changes once there is one.
func (n *Node) pensFor(origin string) (*pens, error) {
	if p := n.checkpoints.pens.Load(); p != nil && p.origin == origin {
		return p, nil
	}
	signer, err := ledger.NewSigner(origin, n.checkpoints.key)
	if err != nil {
		return nil, err
	}
	cosigner, err := ledger.NewCosigner(cosignerName(origin, n.id), n.checkpoints.key)
	if err != nil {
		return nil, err
	}
	p := &pens{origin: origin, signer: signer, cosigner: cosigner}
	n.checkpoints.pens.Store(p)
	return p, nil
}

// signedHead is a checkpoint with those who have cosigned it. It is never changed.
type signedHead struct {
	checkpoint ledger.Checkpoint
	note       []byte
	lines      map[risk.ID]cosigned
	complete   bool // every other node has had its say
}

type cosigned struct {
	line string
	at   time.Time
}

// text is the note as it is served.
func (h *signedHead) text() []byte {
	text := slices.Clone(h.note)
	for _, id := range slices.SortedFunc(maps.Keys(h.lines), func(a, b risk.ID) int { return slices.Compare(a[:], b[:]) }) {
		text = append(text, h.lines[id].line...)
	}
	return text
}

// keepCheckpoint signs and has cosigned what the anchor has saved.
func (n *Node) keepCheckpoint(ctx context.Context) error {
	for pause(ctx, checkpointGap) {
		timer := time.NewTimer(checkpointEvery - checkpointGap)
		select {
		case <-timer.C:
		case <-n.checkpoints.wanted:
		case <-ctx.Done():
		}
		timer.Stop()
		head, err := n.signAnchored()
		if err != nil {
			n.log.Error("alarm", "error", fmt.Errorf("checkpoint: %w", err))
			continue
		}
		if head != nil {
			n.checkpoints.newest.Store(n.haveCosigned(ctx, head))
		}
	}
	return nil
}

// checkpointPatience is how long somebody who asks for a checkpoint waits for one of
// now.
const checkpointPatience = 2 * time.Second

// freshCheckpoint gives a checkpoint of all that the view had when it was asked for,
// or the newest there is if that does not come in time; nil if nothing is signed.
func (n *Node) freshCheckpoint(ctx context.Context) *signedHead {
	size := n.Head().Size
	deadline := time.NewTimer(checkpointPatience)
	defer deadline.Stop()
	for {
		head := n.checkpoints.newest.Load()
		if head != nil && head.checkpoint.Size >= size || n.checkpoints.diverged.Load() != nil {
			return head
		}
		select {
		case n.checkpoints.wanted <- struct{}{}:
		default: // it is known already
		}
		select {
		case <-deadline.C:
			return head
		case <-ctx.Done():
			return head
		case <-n.closing:
			return head
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// signAnchored gives a new checkpoint if one is due; nil if not.
func (n *Node) signAnchored() (*signedHead, error) {
	if n.checkpoints.diverged.Load() != nil {
		return nil, nil
	}
	net, err := n.store.Network()
	if err != nil || net == nil {
		return nil, err
	}
	if err := n.saveAnchor(); err != nil {
		return nil, err
	}
	anchored := n.anchor.load()
	now := ledger.Checkpoint{Origin: net.Origin, Size: anchored.Size, Root: anchored.Root}
	last := n.checkpoints.newest.Load()
	if now.Size == 0 || last != nil && last.checkpoint == now && n.freshlyCosigned(last) {
		return nil, nil
	}
	note, err := n.sign(now)
	return &signedHead{checkpoint: now, note: note}, err
}

// sign is the one place where a head gets this node's signature. If we crash
// before the anchor is saved, nothing was signed that could be forgotten.
func (n *Node) sign(c ledger.Checkpoint) ([]byte, error) {
	if why := n.checkpoints.diverged.Load(); why != nil {
		return nil, *why
	}
	p, err := n.pensFor(c.Origin)
	if err != nil {
		return nil, err
	}
	return ledger.SignCheckpoint(c, p.signer)
}

func (n *Node) freshlyCosigned(h *signedHead) bool {
	for _, c := range h.lines {
		if n.now().Sub(c.at) > recosignAfter {
			return false
		}
	}
	return h.complete
}

// cosignerName is the key name under which a node cosigns.
func cosignerName(origin string, node risk.ID) string { return origin + "/" + node.String() }

// opinion is what one other node says of our checkpoint.
type opinion struct {
	node  *risk.PutNode
	agree string // the line of its cosignature
	other []byte // its own signed checkpoint with another root
}

// haveCosigned asks all other nodes for what they think of a checkpoint. Those of
// other institutions that agree are named in it, and this node itself with its time.
func (n *Node) haveCosigned(ctx context.Context, head *signedHead) *signedHead {
	head.lines = n.olderLines(head)
	opinions, others, voters := n.opinions(ctx, head)
	head.complete = len(opinions) == others
	against := 0
	for _, o := range opinions {
		switch {
		case o.agree != "" && o.node.Institution != n.creds.Identity.Institution:
			head.lines[o.node.Node] = cosigned{o.agree, n.now()}
		case o.other != nil:
			n.log.Error("alarm", "error", "another node has another root at this size: one of the two has diverged or is forged",
				"node", o.node.Name, "size", head.checkpoint.Size, "theirs", string(o.other), "ours", string(head.note))
			if o.node.Suffrage == risk.Voter {
				against++
			}
		}
	}
	if against > voters/2 {
		n.diverge(fmt.Errorf("at %d leaves this node's ledger has root %x, and a majority of the voters has another: it has diverged, signs nothing more, and is to be started again so that the others rebuild it", head.checkpoint.Size, head.checkpoint.Root))
		return n.checkpoints.newest.Load()
	}
	own, err := n.cosignature(head.checkpoint)
	if err != nil {
		n.log.Error("alarm", "error", err)
		return head
	}
	head.lines[n.id] = cosigned{own, n.now()}
	return head
}

// cosignature is this node's own word that it has a head, and when. It goes with our
// own checkpoint too, whose plain signature has no time: an auditor of three nodes
// wants the clocks of two beside the leader's.
func (n *Node) cosignature(of ledger.Checkpoint) (string, error) {
	p, err := n.pensFor(of.Origin)
	if err != nil {
		return "", err
	}
	return p.cosigner.Line(of, n.now())
}

// olderLines keeps what the others have said of this very checkpoint while none of
// them can be reached.
func (n *Node) olderLines(head *signedHead) map[risk.ID]cosigned {
	if last := n.checkpoints.newest.Load(); last != nil && last.checkpoint == head.checkpoint {
		return maps.Clone(last.lines)
	}
	return map[risk.ID]cosigned{}
}

// diverge ends this node's signatures. At its next start it is in doubt, and is
// rebuilt; until then its view is never fresh again.
func (n *Node) diverge(why error) {
	n.checkpoints.diverged.Store(&why)
	n.log.Error("alarm", "error", why)
	n.cast(why)
}

// opinions also counts the other nodes, and the voters among all.
func (n *Node) opinions(ctx context.Context, head *signedHead) (heard []opinion, others, voters int) {
	nodes, err := n.store.Nodes()
	if err != nil {
		return nil, 0, 0
	}
	ctx, cancel := context.WithTimeout(ctx, cosignerPatience)
	defer cancel()
	var wait sync.WaitGroup
	all := make([]opinion, len(nodes))
	for i, record := range nodes {
		if record.Suffrage == risk.Voter {
			voters++
		}
		if record.Node != n.id {
			others++
			wait.Go(func() { all[i] = n.opinion(ctx, record, head) })
		}
	}
	wait.Wait()
	return slices.DeleteFunc(all, func(o opinion) bool { return o.agree == "" && o.other == nil }), others, voters
}

// opinion holds an answer to the other's log key; what does not verify is none.
func (n *Node) opinion(ctx context.Context, of *risk.PutNode, head *signedHead) opinion {
	conn, err := n.peers.dial(placeOf(of))
	if err != nil {
		return opinion{}
	}
	answer, err := apiv1.NewPeersClient(conn).Cosign(ctx, &apiv1.CosignRequest{Checkpoint: head.note})
	if err != nil {
		return opinion{}
	}
	o := opinion{node: of}
	if answer.Line != "" {
		verifier, err := ledger.NewCosignatureVerifier(cosignerName(head.checkpoint.Origin, of.Node), of.LogKey.Bytes[:])
		if err != nil {
			return opinion{}
		}
		if _, _, err := ledger.OpenCheckpoint(append(slices.Clone(head.note), answer.Line...), head.checkpoint.Origin, verifier); err == nil {
			o.agree = answer.Line
		}
		return o
	}
	theirs, err := openSigned(answer.Other, head.checkpoint.Origin, of)
	if err == nil && theirs.Size == head.checkpoint.Size && theirs.Root != head.checkpoint.Root {
		o.other = answer.Other
	}
	return o
}

// openSigned reads a checkpoint that a node has signed.
func openSigned(note []byte, origin string, by *risk.PutNode) (ledger.Checkpoint, error) {
	verifier, err := ledger.NewVerifier(origin, by.LogKey.Bytes[:])
	if err != nil {
		return ledger.Checkpoint{}, err
	}
	c, _, err := ledger.OpenCheckpoint(note, origin, verifier)
	return c, err
}

// Cosign answers another node with a cosignature, or with our own checkpoint if
// the roots differ, which is evidence against one of us.
func (s *peerService) Cosign(ctx context.Context, req *apiv1.CosignRequest) (*apiv1.CosignResponse, error) {
	n := s.node
	asker, origin, err := n.askerOf(ctx)
	if err != nil {
		return nil, err
	}
	theirs, err := openSigned(req.Checkpoint, origin, asker)
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "checkpoint: %v", err)
	}
	if why := n.checkpoints.diverged.Load(); why != nil {
		return nil, status.Error(codes.FailedPrecondition, (*why).Error())
	}
	ctx, cancel := context.WithTimeout(ctx, cosignerPatience)
	defer cancel()
	if _, err := n.checker.Wait(ctx, theirs.Size); err != nil {
		return nil, status.Errorf(codes.Unavailable, "checkpoint: is of %d leaves, %d are here; ask again in a moment", theirs.Size, n.Head().Size)
	}
	if err := n.saveAnchor(); err != nil { // nothing is signed that could be forgotten
		return nil, internal(err)
	}
	root, err := ledger.RootAt(theirs.Size, n.store.Hashes)
	if err != nil {
		return nil, status.Errorf(codes.Unavailable, "checkpoint: this node does not hold the ledger at %d leaves: %v", theirs.Size, err)
	}
	own := ledger.Checkpoint{Origin: origin, Size: theirs.Size, Root: root}
	if own != theirs {
		note, err := n.sign(own)
		if err != nil {
			return nil, internal(err)
		}
		return &apiv1.CosignResponse{Other: note}, nil
	}
	line, err := n.cosignature(own)
	if err != nil {
		return nil, internal(err)
	}
	return &apiv1.CosignResponse{Line: line}, nil
}

// askerOf gives the record of the node that asks, by its certificate.
func (n *Node) askerOf(ctx context.Context) (*risk.PutNode, string, error) {
	net, err := n.store.Network()
	if err != nil || net == nil {
		return nil, "", errors.Join(errNoState, err)
	}
	nodes, err := n.store.Nodes()
	if err != nil {
		return nil, "", internal(err)
	}
	who := callerOf(ctx)
	for _, record := range nodes {
		if record.Name == who.Name && record.Institution == who.Institution {
			return record, net.Origin, nil
		}
	}
	return nil, "", status.Errorf(codes.PermissionDenied, "no node record is of %s of %s", who.Name, who.Institution)
}
