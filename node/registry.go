package node

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/risk"
)

// registryService reads the replicated state.
type registryService struct {
	apiv1.UnimplementedRegistryServer
	node *Node
}

func internal(err error) error { return status.Error(codes.Internal, err.Error()) }

func (s *registryService) Network(context.Context, *apiv1.NetworkRequest) (*apiv1.NetworkResponse, error) {
	st := s.node.store
	net, err := st.Network()
	if err != nil {
		return nil, internal(err)
	}
	if net == nil {
		return nil, status.Error(codes.Unavailable, "no network has been founded or joined here yet")
	}
	nodes, err := st.Nodes()
	if err != nil {
		return nil, internal(err)
	}
	epochs, err := st.Epochs()
	if err != nil {
		return nil, internal(err)
	}
	view := s.node.checker.Load()
	m := &apiv1.NetworkResponse{NetworkId: net.ID[:], Name: net.Name, Origin: net.Origin,
		Protocol: net.Protocol, Threshold: uint32(net.Threshold), Hub: net.Hub.String(),
		TimeMs: view.Time, Head: headMessage(view.Head)}
	for _, e := range epochs.Live {
		m.Epochs = append(m.Epochs, uint32(e.Epoch))
	}
	for _, n := range nodes {
		m.Nodes = append(m.Nodes, &apiv1.Node{Id: n.Node.String(), Name: n.Name, Institution: n.Institution,
			Raft: n.Raft, Api: n.API, Http: n.HTTP, Suffrage: n.Suffrage.String(), LogKey: n.LogKey.Bytes[:]})
	}
	return m, nil
}

func (s *registryService) Listings(ctx context.Context, req *apiv1.ListingsRequest) (*apiv1.ListingsResponse, error) {
	kind, err := risk.ParseKind(req.Kind)
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	if len(req.Tokens) > risk.MaxLiveEpochs {
		return nil, status.Errorf(codes.InvalidArgument, "tokens: %d given; one for each live epoch, at most %d", len(req.Tokens), risk.MaxLiveEpochs)
	}
	if err := s.node.awaitSize(ctx, req.MinSize); err != nil {
		return nil, err
	}
	view := s.node.checker.Load()
	if view.Head.Size == 0 {
		return nil, errNoState
	}
	now := max(s.node.now().UnixMilli(), view.Time)
	m := &apiv1.ListingsResponse{Head: headMessage(view.Head)}
	for _, asked := range req.Tokens {
		if len(asked.Token) != len(risk.Token{}) {
			return nil, status.Error(codes.InvalidArgument, "tokens: a token has 16 bytes")
		}
		found, _, err := s.node.store.Reader().Standing(view.Version, kind, risk.Token(asked.Token))
		if err != nil {
			return nil, internal(err)
		}
		var all []*risk.Standing
		for i := range found {
			all = append(all, &found[i])
		}
		weight := view.Policy().Weigh(now, all)
		for _, one := range all {
			message := listingMessage(one, now)
			message.State = weight.StateOf(one, now).String()
			m.Listings = append(m.Listings, message)
		}
	}
	return m, nil
}

func (s *registryService) ExportListings(req *apiv1.ExportListingsRequest, stream grpc.ServerStreamingServer[apiv1.Listing]) error {
	ctx, stop := context.WithCancel(stream.Context())
	defer stop()
	list, done := make(chan *apiv1.Listing, exportAhead), make(chan error, 1)
	go func() {
		defer close(list)
		done <- s.export(ctx, req.Ended, list)
	}()
	for one := range list {
		if err := stream.Send(one); err != nil {
			return err
		}
	}
	return <-done
}

// What a client that exports may do: the scan is so many listings ahead of it,
// and is given up when it takes none for so long. A scan keeps a version of the
// state, and with it what has been replaced since.
const (
	exportAhead    = 256
	exportPatience = time.Minute
)

func (s *registryService) export(ctx context.Context, ended bool, list chan<- *apiv1.Listing) error {
	view := s.node.checker.Load()
	now := max(s.node.now().UnixMilli(), view.Time)
	patience := time.NewTimer(exportPatience)
	defer patience.Stop()
	return s.node.store.Listings(ctx, func(one *risk.Standing) error {
		if !ended && !one.ActiveAt(now) {
			return nil
		}
		patience.Reset(exportPatience)
		select {
		case list <- listingMessage(one, now):
			return nil
		case <-patience.C:
			return status.Errorf(codes.DeadlineExceeded, "export: nothing was read for %s; write it to a file first", exportPatience)
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

func (s *registryService) RuleSets(context.Context, *apiv1.RuleSetsRequest) (*apiv1.RuleSetsResponse, error) {
	sets, err := s.node.store.RuleSets()
	if err != nil {
		return nil, internal(err)
	}
	head, err := s.node.store.RulesHead()
	if err != nil {
		return nil, internal(err)
	}
	m := &apiv1.RuleSetsResponse{Active: head.Active, Running: s.node.checker.Load().ProgramVersion}
	for _, set := range sets {
		m.RuleSets = append(m.RuleSets, ruleSetMessage(set))
	}
	return m, nil
}

func ruleSetMessage(set *risk.RuleSet) *apiv1.RuleSet {
	return &apiv1.RuleSet{Version: set.Version, State: set.State.String(), Author: set.Author.String(),
		PublishedAtMs: set.PublishedAt, Hash: set.Hash[:]}
}

func (s *registryService) RuleSource(_ context.Context, req *apiv1.RuleSourceRequest) (*apiv1.RuleSourceResponse, error) {
	source, set, err := s.node.store.RuleSource(req.Version)
	if err != nil {
		return nil, internal(err)
	}
	if set == nil {
		return nil, status.Errorf(codes.NotFound, "version: no rule set %d; see `risknet rules history`", req.Version)
	}
	return &apiv1.RuleSourceResponse{Source: source, RuleSet: ruleSetMessage(set)}, nil
}

func (s *registryService) Policy(context.Context, *apiv1.PolicyRequest) (*apiv1.PolicyResponse, error) {
	return &apiv1.PolicyResponse{Policy: s.node.checker.Load().Policy().Encode()}, nil
}

func (s *registryService) Lives(context.Context, *apiv1.LivesRequest) (*apiv1.LivesResponse, error) {
	lives, err := s.node.store.Lives()
	if err != nil {
		return nil, internal(err)
	}
	m := &apiv1.LivesResponse{OtherDays: uint32(risk.MaxListingMillis / (24 * time.Hour).Milliseconds())}
	for _, l := range lives.Longest {
		m.Lives = append(m.Lives, &apiv1.Life{Code: uint32(l.Code), Days: uint32(l.Days)})
	}
	return m, nil
}

func (s *registryService) Protections(context.Context, *apiv1.ProtectionsRequest) (*apiv1.ProtectionsResponse, error) {
	view := s.node.checker.Load()
	list, _, err := s.node.store.Protections()
	if err != nil {
		return nil, internal(err)
	}
	now := max(s.node.now().UnixMilli(), view.Time)
	m := &apiv1.ProtectionsResponse{Head: headMessage(view.Head)}
	for _, p := range list {
		m.Protections = append(m.Protections, &apiv1.Protection{Id: p.ID.String(), Kind: p.Kind.String(), Scope: scopeMessage(p.Scope),
			Epoch: uint32(p.Body.Epoch), Token: p.Body.Token[:], Covers: p.Body.Covers, Comment: p.Body.Comment,
			SinceMs: p.Since, ExpiresAtMs: p.Expiry, EndedAtMs: p.EndedAt, Active: p.ActiveAt(now)})
	}
	return m, nil
}

func (s *registryService) Institutions(context.Context, *apiv1.InstitutionsRequest) (*apiv1.InstitutionsResponse, error) {
	all, err := s.node.store.Institutions()
	if err != nil {
		return nil, internal(err)
	}
	keys, err := s.node.store.AuthorKeys()
	if err != nil {
		return nil, internal(err)
	}
	byReporter := map[risk.ID][]*apiv1.AuthorKey{}
	for _, k := range keys {
		byReporter[k.Reporter] = append(byReporter[k.Reporter], &apiv1.AuthorKey{Id: k.Public.ID().String(),
			Public: k.Public.Bytes[:], FromMs: k.From, RetiredAtMs: k.RetiredAt})
	}
	reputations, err := s.node.store.Reputations()
	if err != nil {
		return nil, internal(err)
	}
	known := map[risk.ID]risk.Reputation{}
	for _, r := range reputations {
		known[r.Reporter] = *r
	}
	policy := s.node.checker.Load().Policy()
	m := &apiv1.InstitutionsResponse{}
	for _, i := range all {
		r := known[i.Reporter]
		m.Institutions = append(m.Institutions, &apiv1.Institution{Reporter: i.Reporter.String(), Role: i.Role.String(),
			Commitment: i.Commitment[:], Keys: uint32(i.Keys), AdmittedAtMs: i.AdmittedAt, AuthorKeys: byReporter[i.Reporter],
			Stage: i.Stage.String(), Purposes: i.Purposes.String(),
			Reported: r.Reported, Errors: r.Errors, Precision: uint32(policy.Precision(r))})
	}
	return m, nil
}

// tokenService gives token keys to the programs of institutions that this node
// serves, and to the auditor.
type tokenService struct {
	apiv1.UnimplementedTokensServer
	node *Node
}

func (s *tokenService) Keyring(context.Context, *apiv1.KeyringRequest) (*apiv1.KeyringResponse, error) {
	m, err := s.node.keyring()
	if err != nil {
		return nil, internal(err)
	}
	return m, nil
}

func (n *Node) keyring() (*apiv1.KeyringResponse, error) {
	state := n.keys.Load()
	m := &apiv1.KeyringResponse{ScopesVersion: state.scopesVersion}
	for _, k := range state.keys {
		m.Keys = append(m.Keys, &apiv1.TokenKey{Epoch: uint32(k.Epoch), Secret: k.Secret[:]})
	}
	scopes, err := n.store.Scopes()
	if err != nil {
		return nil, err
	}
	for _, c := range scopes.Counts {
		m.Scopes = append(m.Scopes, scopeMessage(c.Scope))
	}
	return m, nil
}
