package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/risk"
)

// RuleSets lists every rule set ever published, and which one is in force.
func (c *Client) RuleSets(ctx context.Context) (*apiv1.RuleSetsResponse, error) {
	return query(ctx, c, func(ctx context.Context, conn grpc.ClientConnInterface) (*apiv1.RuleSetsResponse, error) {
		return apiv1.NewRegistryClient(conn).RuleSets(ctx, &apiv1.RuleSetsRequest{})
	})
}

// RuleSource gives the text of a rule set.
func (c *Client) RuleSource(ctx context.Context, version uint32) ([]byte, error) {
	out, err := query(ctx, c, func(ctx context.Context, conn grpc.ClientConnInterface) (*apiv1.RuleSourceResponse, error) {
		return apiv1.NewRegistryClient(conn).RuleSource(ctx, &apiv1.RuleSourceRequest{Version: version})
	})
	return out.GetSource(), err
}

// PublishRules enters a rule set, which is then not yet in force, and gives its
// version.
func (c *Client) PublishRules(ctx context.Context, author *Author, source []byte) (uint32, error) {
	hash := sha256.Sum256(source)
	body := risk.NewBody(source)
	item := risk.Item{Op: risk.ItemDocument, Commitment: body.Commit()}
	before, err := c.RuleSets(ctx)
	if err != nil {
		return 0, err
	}
	if _, err := author.Do(ctx, &risk.PublishRules{Hash: hash}, []risk.Item{item}, []risk.Body{body}); err != nil {
		return 0, err
	}
	deadline := time.Now().Add(patience)
	for wait := firstWait; ; wait = nextWait(wait) {
		sets, err := c.RuleSets(ctx)
		if err != nil {
			return 0, err
		}
		if version := newest(sets, hash[:]); version > newest(before, hash[:]) {
			return version, nil
		}
		if !time.Now().Before(deadline) || !pause(ctx, wait) {
			return 0, errors.New("rules: the set was published, and the node does not show it yet; see rules history")
		}
	}
}

func newest(sets *apiv1.RuleSetsResponse, hash []byte) (version uint32) {
	for _, set := range sets.GetRuleSets() {
		if bytes.Equal(set.Hash, hash) {
			version = max(version, set.Version)
		}
	}
	return version
}

// ActivateRules puts a published rule set in force.
func ActivateRules(ctx context.Context, author *Author, version uint32) (*apiv1.Receipt, error) {
	return author.Do(ctx, &risk.ActivateRules{Version: version}, nil, nil)
}

// RollbackRules brings back the rule set that was in force before the one that
// is, and says which one was taken back.
func (c *Client) RollbackRules(ctx context.Context, author *Author) (from uint32, err error) {
	sets, err := c.RuleSets(ctx)
	if err != nil {
		return 0, err
	}
	if sets.Active == 0 {
		return 0, fmt.Errorf("rules: no rule set is in force; publish and activate one")
	}
	_, err = author.Do(ctx, &risk.RollbackRules{From: sets.Active}, nil, nil)
	return sets.Active, err
}

// Admission is an institution that the hub takes in.
type Admission struct {
	Name string
	Role risk.InstitutionRole
	Keys []risk.PublicKey
}

// Opening is what opens the commitment of a reporting id: the hub keeps it and
// shows it to the auditor alone.
type Opening struct {
	Reporter risk.ID
	Salt     [16]byte
}

// Admit takes in an institution under a new reporting id.
func Admit(ctx context.Context, author *Author, a Admission) (Opening, *apiv1.Receipt, error) {
	var opening Opening
	_, _ = rand.Read(opening.Reporter[:]) // never fails since Go 1.24
	_, _ = rand.Read(opening.Salt[:])
	receipt, err := author.Do(ctx, &risk.Admit{Reporter: opening.Reporter, Role: a.Role, Keys: a.Keys,
		Commitment: risk.CommitInstitution(opening.Salt, opening.Reporter, a.Name)}, nil, nil)
	return opening, receipt, err
}
