package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"
	"gopkg.in/yaml.v3"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/risk"
)

// Policy says how the network weighs reports.
func (c *Client) Policy(ctx context.Context) (*risk.Policy, error) {
	out, err := query(ctx, c, func(ctx context.Context, conn grpc.ClientConnInterface) (*apiv1.PolicyResponse, error) {
		return apiv1.NewRegistryClient(conn).Policy(ctx, &apiv1.PolicyRequest{})
	})
	if err != nil {
		return nil, err
	}
	return risk.DecodePolicy(out.Policy)
}

// PolicyText is a policy as people write it. Shares and confidences are per mille.
type PolicyText struct {
	// Version is that of the policy in force, or of the one that a file changes.
	Version  uint32            `yaml:"version" json:"version"`
	Tiers    []uint16          `yaml:"tiers,flow" json:"tiers"`
	Copied   uint16            `yaml:"copied" json:"copied"`
	Kinds    map[string]uint16 `yaml:"kinds" json:"kinds"`
	Name     uint16            `yaml:"name" json:"name"`
	FadeDays uint16            `yaml:"fade_days" json:"fade_days"`
	Trust    uint16            `yaml:"trust" json:"trust"`
	Penalty  uint16            `yaml:"penalty" json:"penalty"`
	Least    uint16            `yaml:"least_precision" json:"least_precision"`
	StepUp   uint16            `yaml:"step_up" json:"step_up"`
	Hold     uint16            `yaml:"hold_funds" json:"hold_funds"`
	Deny     uint16            `yaml:"deny" json:"deny"`
	Cases    []CaseText        `yaml:"cases" json:"cases"`
}

// policyFields are the keys of a policy's text.
var policyFields = []string{"version", "tiers", "copied", "kinds", "name", "fade_days", "trust", "penalty", "least_precision",
	"step_up", "hold_funds", "deny", "cases"}

// CaseText is how long a case of one code speaks.
type CaseText struct {
	Code uint16 `yaml:"code" json:"code"`
	Days uint16 `yaml:"days" json:"days"`
}

// WritePolicy gives the text of a policy.
func WritePolicy(p *risk.Policy) PolicyText {
	t := PolicyText{Version: p.Version, Tiers: p.Tiers[:], Copied: p.Copied, Kinds: map[string]uint16{}, Name: p.Name,
		FadeDays: p.Fade, Trust: p.Trust, Penalty: p.Penalty, Least: p.Least, StepUp: p.StepUp, Hold: p.Hold, Deny: p.Deny}
	for _, k := range risk.AllKinds() {
		t.Kinds[k.String()] = p.Kinds[k]
	}
	for _, c := range p.Cases {
		t.Cases = append(t.Cases, CaseText(c))
	}
	return t
}

// ReadPolicy reads such a text. Every field must be there: what is left out would
// weigh nothing.
func ReadPolicy(in io.Reader) (*risk.Policy, error) {
	text, err := io.ReadAll(io.LimitReader(in, 1<<20))
	if err != nil {
		return nil, err
	}
	var given map[string]any
	if err := yaml.Unmarshal(text, &given); err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	for _, name := range policyFields {
		if _, ok := given[name]; !ok {
			return nil, fmt.Errorf("%s: is missing, and would be nothing; begin from what policy show prints", name)
		}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	var t PolicyText
	if err := decoder.Decode(&t); err != nil {
		return nil, fmt.Errorf("policy: %w; begin from what policy show prints", err)
	}
	if len(t.Tiers) != len(risk.Policy{}.Tiers) {
		return nil, fmt.Errorf("tiers: %d are given; there are %d, from 0 to %d", len(t.Tiers), len(risk.Policy{}.Tiers), risk.MaxTier)
	}
	p := &risk.Policy{Version: t.Version, Tiers: [risk.MaxTier + 1]uint16(t.Tiers), Copied: t.Copied, Name: t.Name, Fade: t.FadeDays,
		Trust: t.Trust, Penalty: t.Penalty, Least: t.Least, StepUp: t.StepUp, Hold: t.Hold, Deny: t.Deny}
	for name, share := range t.Kinds {
		kind, err := risk.ParseKind(name)
		if err != nil {
			return nil, fmt.Errorf("kinds: %w", err)
		}
		p.Kinds[kind] = share
	}
	if len(t.Kinds) != len(risk.AllKinds()) {
		return nil, errors.New("kinds: one is missing, and would weigh nothing; begin from what policy show prints")
	}
	for _, c := range t.Cases {
		p.Cases = append(p.Cases, risk.CaseLife(c))
	}
	return p, p.Check()
}
