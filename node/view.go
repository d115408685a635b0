package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/risknet/risknet/check"
	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/store"
	"github.com/risknet/risknet/token"
)

// SourceOf lets check read a store.
func SourceOf(r *store.Reader) check.Source { return &source{r} }

// source lets check read the store: this is where the two meet.
type source struct{ *store.Reader }

func (s *source) Standing(version uint64, kind risk.Kind, token risk.Token) ([]risk.Standing, check.Sum, error) {
	list, sum, err := s.Reader.Standing(version, kind, token)
	if errors.Is(err, store.ErrVersionGone) {
		return nil, 0, fmt.Errorf("%w: %w", check.ErrGone, err)
	}
	return list, sum, err
}

func (s *source) Tokens(version uint64, yield func(risk.Kind, risk.Token, check.Sum) error) error {
	err := s.Reader.Tokens(version, yield)
	if errors.Is(err, store.ErrVersionGone) {
		return fmt.Errorf("%w: %w", check.ErrGone, err)
	}
	return err
}

// absorb takes over what a cut of the store changed. It runs on the applying
// goroutine, between the commit and the receipts: when a caller hears of its
// command, the view shows it.
func (n *Node) absorb(cut store.Cut) {
	if cut.ScopesChanged || cut.EpochsChanged {
		// Before the view: see checkService.answer.
		n.loadOrLackKeys()
	}
	batch := BatchOf(cut)
	if cut.RulesChanged {
		sets, err := n.ruleSets()
		if err != nil {
			n.log.Error("alarm", "error", err)
		}
		batch.Rules = sets
	}
	if cut.PolicyChanged {
		policy, err := n.store.Policy()
		if err != nil {
			n.log.Error("alarm", "error", err)
		}
		batch.Policy = policy
	}
	if cut.ProtectionsChanged {
		list, err := n.protections()
		if err != nil {
			n.log.Error("alarm", "error", err)
		}
		batch.Protected = list
	}
	if cut.Time < n.checker.Load().Time {
		n.clockSetBack.Store(true) // by a quorum of hub keys
	}
	if cut.InstitutionsChanged { // before the view, so that no answer of that size knows less
		if err := n.loadStage(); err != nil {
			n.log.Error("alarm", "error", err)
		}
	}
	n.checker.Absorb(batch)
	n.look.absorb(&cut)
	if cut.RevocationsChanged {
		if err := n.loadRevoked(); err != nil {
			n.log.Error("alarm", "error", err)
		}
	}
	if cut.NodesChanged {
		if err := errors.Join(n.loadRoster(), n.savePeers()); err != nil {
			n.log.Error("alarm", "error", err)
		}
		select {
		case n.nodesChanged <- struct{}{}:
		default: // keepMembers knows already
		}
	}
}

// lacks is what the filter knows of a token before a cut. It holds every token that
// is linked in its version, so who is not in it has no link.
func (n *Node) lacks(version uint64, k store.Key) bool {
	return n.checker.Lacks(version, check.Key{Kind: k.Kind, Token: k.Token})
}

// BatchOf is a cut as check takes it, without rules and policy.
func BatchOf(cut store.Cut) check.Batch {
	return check.Batch{Version: cut.Version, Head: cut.Head, Time: cut.Time,
		Linked: touched(cut.Linked), Unlinked: touched(cut.Unlinked)}
}

func touched(list []store.Touched) []check.Touched {
	if len(list) == 0 {
		return nil
	}
	keys := make([]check.Touched, len(list))
	for i, t := range list {
		keys[i] = check.Touched{Key: check.Key{Kind: t.Kind, Token: t.Token}, Sum: t.Delta}
	}
	return keys
}

// loadOrLackKeys keeps a node from answering while it lacks the key of an epoch
// in use: what is listed under it would be missed. A node that passes through the
// past on its way to the present may go on without the key of an epoch that was
// closed since; see freshen for one that has arrived.
func (n *Node) loadOrLackKeys() {
	err := n.loadKeys()
	if err == nil {
		n.keyless.Store(nil)
		return
	}
	n.keyless.Store(&err)
	if n.checker.Age() <= n.cfg.Stale.MaxAge {
		n.end(err)
	}
}

// lacksKey is why this node may not answer; nil if it may.
func (n *Node) lacksKey() error {
	if err := n.keyless.Load(); err != nil {
		return *err
	}
	return nil
}

// restored takes up the state as it stands: at start, and when an image has taken its
// place.
func (n *Node) restored() error {
	if err := n.resetView(); err != nil {
		return err
	}
	n.look.resume(n.checker.Load().Head.Size)
	return nil
}

// resetView makes the view of the whole state.
func (n *Node) resetView() error {
	n.loadOrLackKeys()
	if n.keys.Load() == nil { // it has never had any
		return n.lacksKey()
	}
	view, err := n.wholeView()
	if err != nil {
		return err
	}
	if err := errors.Join(n.loadRevoked(), n.loadRoster(), n.loadStage(), n.savePeers()); err != nil {
		return err
	}
	if n.checker.Load().Head.Size == 0 {
		// What there is to answer from holds nothing, so nobody waits for the filter.
		n.checker.Begin(&source{n.store.Reader()}, view)
		return nil
	}
	return n.checker.Reset(context.Background(), &source{n.store.Reader()}, view)
}

// wholeView is the state as one batch.
func (n *Node) wholeView() (check.Batch, error) {
	head, version := n.store.Head(), n.store.Version()
	sets, err := n.ruleSets()
	if err != nil {
		return check.Batch{}, err
	}
	clock, err := n.store.Clock()
	if err != nil {
		return check.Batch{}, err
	}
	policy, err := n.store.Policy()
	if err != nil {
		return check.Batch{}, err
	}
	protected, err := n.protections()
	return check.Batch{Version: version, Head: head, Time: clock.Time, Rules: sets, Policy: policy, Protected: protected}, err
}

// protections are all that there are, and never nil: see check.Batch.
func (n *Node) protections() ([]*risk.Protected, error) {
	list, _, err := n.store.Protections()
	if err != nil {
		return nil, err
	}
	return append([]*risk.Protected{}, list...), nil
}

// fallbacks is how many older rule sets are kept at hand for the case that the
// one in force does not compile here.
const fallbacks = 3

// ruleSets gives the set in force and what was in force before it.
func (n *Node) ruleSets() ([]check.RuleSet, error) {
	head, err := n.store.RulesHead()
	if err != nil {
		return nil, err
	}
	if head.Active == 0 {
		return []check.RuleSet{{}}, nil
	}
	var sets []check.RuleSet
	for version := head.Active; version != 0 && len(sets) <= fallbacks; {
		source, set, err := n.store.RuleSource(version)
		if err != nil || set == nil {
			return sets, err
		}
		sets = append(sets, check.RuleSet{Version: version, Text: source})
		version = set.Previous
	}
	return sets, nil
}

// loadKeys makes the keyring of the epochs in use, and the scopes to ask. A key
// that is not the one that the network committed to would miss every listing,
// so it stops the node.
func (n *Node) loadKeys() error {
	state := &keyState{}
	epochs, err := n.store.Epochs()
	if err != nil {
		return err
	}
	secrets := map[risk.Epoch]TokenKey{}
	for _, k := range n.secrets {
		secrets[k.Epoch] = k
	}
	for _, e := range epochs.Live {
		k, ok := secrets[e.Epoch]
		if !ok {
			return fmt.Errorf("token_keys: the key of epoch %d is missing, which is in use; get it from the hub", e.Epoch)
		}
		if risk.CommitEpochKey(k.Secret) != e.Commitment {
			return fmt.Errorf("token_keys: the key of epoch %d is not the network's; get it from the hub", e.Epoch)
		}
		state.keys = append(state.keys, k)
	}
	if len(state.keys) == 0 {
		state.keys = n.secrets[:1] // nothing is founded yet, so nothing is listed
	}
	var ring []token.Key
	for _, k := range state.keys {
		ring = append(ring, token.NewKey(k.Epoch, k.Secret))
	}
	if state.ring, err = token.NewKeyring(ring...); err != nil {
		return err
	}
	scopes, err := n.store.Scopes()
	if err != nil {
		return err
	}
	state.scopesVersion = max(1, scopes.Since)
	for _, c := range scopes.Counts {
		state.scopes.Set(c.Scope)
	}
	n.keys.Store(state)
	return nil
}
