package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/check"
	"github.com/risknet/risknet/risk"
)

// overrideService keeps the institution's own exceptions. They are not shared:
// they stand in one file of this node, as tokens, and end by themselves.
type overrideService struct {
	apiv1.UnimplementedOverridesServer
	node *Node
}

// savedOverride is one exception as the file holds it.
type savedOverride struct {
	Kind    string `json:"kind"`
	Epoch   uint32 `json:"epoch"`
	Token   string `json:"token"`
	Advice  string `json:"advice"`
	Expires int64  `json:"expires_at_ms"`
	Comment string `json:"comment"`
}

const maxOverrides = 10_000

func (n *Node) overridesFile() string { return filepath.Join(n.cfg.Data, "overrides.json") }

// loadOverrides reads the file at start. A damaged one stops the node: to go on
// without it would silently change what the institution decided.
func (n *Node) loadOverrides() error {
	text, err := os.ReadFile(n.overridesFile())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &n.overrides); err != nil {
		return fmt.Errorf("overrides: %s: %w; mend or remove the file", n.overridesFile(), err)
	}
	if err := n.publishOverrides(); err != nil {
		return fmt.Errorf("overrides: %s: %w; mend or remove the file", n.overridesFile(), err)
	}
	return nil
}

// publishOverrides hands the exceptions to the checker.
func (n *Node) publishOverrides() error {
	var list []check.Override
	for _, o := range n.overrides {
		kind, err := risk.ParseKind(o.Kind)
		if err != nil {
			return err
		}
		advice, err := risk.ParseAdvice(o.Advice)
		if err != nil {
			return err
		}
		id, err := risk.ParseID(o.Token)
		if err != nil {
			return err
		}
		list = append(list, check.Override{Kind: kind, Token: risk.Token(id), Advice: advice, Expires: o.Expires, Comment: o.Comment})
	}
	return n.checker.SetOverrides(list)
}

// changeOverrides writes the file before the checker learns of the change.
func (n *Node) changeOverrides(change func([]savedOverride) []savedOverride) error {
	n.overridesMu.Lock()
	defer n.overridesMu.Unlock()
	now := n.now().UnixMilli()
	next := change(slices.DeleteFunc(slices.Clone(n.overrides), func(o savedOverride) bool { return o.Expires <= now }))
	if len(next) > maxOverrides {
		return status.Errorf(codes.ResourceExhausted, "overrides: %d; at most %d are allowed, remove some", len(next), maxOverrides)
	}
	text, err := json.MarshalIndent(next, "", " ")
	if err != nil {
		return internal(err)
	}
	if err := writeFileSync(n.overridesFile(), text); err != nil {
		return internal(err)
	}
	n.overrides = next
	return n.publishOverrides()
}

func (s *overrideService) PutOverride(_ context.Context, m *apiv1.Override) (*apiv1.OverridesResponse, error) {
	if err := s.checkOverride(m); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	err := s.node.changeOverrides(func(all []savedOverride) []savedOverride {
		all = without(all, m)
		for _, t := range m.Tokens {
			all = append(all, savedOverride{Kind: m.Kind, Epoch: t.Epoch, Token: risk.ID(t.Token).String(),
				Advice: m.Advice, Expires: m.ExpiresAtMs, Comment: m.Comment})
		}
		return all
	})
	if err != nil {
		return nil, err
	}
	return s.list(), nil
}

func (s *overrideService) checkOverride(m *apiv1.Override) error {
	if _, err := risk.ParseKind(m.Kind); err != nil {
		return err
	}
	if _, err := risk.ParseAdvice(m.Advice); err != nil {
		return err
	}
	now := s.node.now().UnixMilli()
	switch {
	case m.ExpiresAtMs <= now:
		return errors.New("expires: has passed or is missing; every exception ends, say when")
	case m.ExpiresAtMs > now+risk.RetentionMillis:
		return errors.New("expires: is more than 180 days away; an exception is not a policy")
	case m.Comment == "" || len(m.Comment) > risk.MaxTextBytes:
		return fmt.Errorf("comment: is needed, at most %d bytes; it stands in each answer", risk.MaxTextBytes)
	}
	return checkOverrideTokens(m)
}

func checkOverrideTokens(m *apiv1.Override) error {
	if err := knownFieldsOnly(m); err != nil {
		return err
	}
	if len(m.Tokens) == 0 || len(m.Tokens) > risk.MaxLiveEpochs {
		return fmt.Errorf("tokens: %d given; one for each live epoch", len(m.Tokens))
	}
	for _, t := range m.Tokens {
		if err := knownFieldsOnly(t); err != nil {
			return err
		}
		if len(t.Token) != len(risk.Token{}) {
			return errors.New("tokens: a token has 16 bytes")
		}
	}
	return nil
}

func (s *overrideService) RemoveOverride(_ context.Context, m *apiv1.Override) (*apiv1.OverridesResponse, error) {
	if err := checkOverrideTokens(m); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	if err := s.node.changeOverrides(func(all []savedOverride) []savedOverride { return without(all, m) }); err != nil {
		return nil, err
	}
	return s.list(), nil
}

func without(all []savedOverride, m *apiv1.Override) []savedOverride {
	return slices.DeleteFunc(all, func(o savedOverride) bool {
		return o.Kind == m.Kind && slices.ContainsFunc(m.Tokens, func(t *apiv1.AskedListing) bool {
			return risk.ID(t.Token).String() == o.Token
		})
	})
}

func (s *overrideService) ListOverrides(context.Context, *apiv1.OverridesRequest) (*apiv1.OverridesResponse, error) {
	return s.list(), nil
}

// list gives what still holds; what has ended is taken off with the next change.
func (s *overrideService) list() *apiv1.OverridesResponse {
	s.node.overridesMu.Lock()
	defer s.node.overridesMu.Unlock()
	m, now := &apiv1.OverridesResponse{}, s.node.now().UnixMilli()
	for _, o := range s.node.overrides {
		if o.Expires <= now {
			continue
		}
		id, _ := risk.ParseID(o.Token)
		m.Overrides = append(m.Overrides, &apiv1.Override{Kind: o.Kind, Advice: o.Advice, ExpiresAtMs: o.Expires,
			Comment: o.Comment, Tokens: []*apiv1.AskedListing{{Epoch: o.Epoch, Token: id[:]}}})
	}
	return m
}
