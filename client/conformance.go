package client

import (
	"context"
	_ "embed" // the vectors
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/risk"
)

// The network's conformance vectors (联调测试): identifiers that nobody has, which
// the hub lists for a while, in the spellings that systems write them in; others
// beside them that are not listed; and what is no identifier. An applicant's node
// passes when it answers each as the vectors say, for the raw value and for tokens
// made elsewhere.
//
//go:embed conformance.json
var conformanceVectors []byte

type conformanceVector struct {
	Kind string `json:"kind"`
	// Listed is the value that the hub lists; Spelled are ways to write it.
	Listed  string   `json:"listed"`
	Spelled []string `json:"spelled"`
	Clear   []string `json:"clear"`   // not listed, however near
	Refused []string `json:"refused"` // no identifiers
}

func vectors() ([]conformanceVector, error) {
	var list []conformanceVector
	err := json.Unmarshal(conformanceVectors, &list)
	return list, err
}

// conformanceLife is how long the vectors stay listed.
const conformanceLife = 30 * 24 * time.Hour

// PublishConformance lists the vectors' identifiers, on the watch list.
func PublishConformance(ctx context.Context, author *Author, keys *Keyring) (listed int, err error) {
	all, err := vectors()
	if err != nil {
		return 0, err
	}
	for _, v := range all {
		kind, err := risk.ParseKind(v.Kind)
		if err != nil {
			return listed, err
		}
		template := NewReport(kind, time.Now())
		template.Item.List, template.Item.Level, template.Item.Expiry = risk.ListWatch, 3, time.Now().Add(conformanceLife).UnixMilli()
		template.Body.Action, template.Body.Note = risk.Observe, "conformance vectors; nobody has this identifier"
		lines, err := template.OpenRows(strings.NewReader(v.Listed+"\n"), time.Now(), RowOptions{Format: FormatValues, Identity: v.Kind})
		if err != nil {
			return listed, err
		}
		importer := &Importer{Template: template, Keys: keys, To: author, Reject: func(r Reject) error { return errors.New(r.Reason) }}
		if _, err := importer.Run(ctx, lines); err != nil {
			return listed, fmt.Errorf("%s: %w", v.Kind, err)
		}
		listed++
	}
	return listed, nil
}

// Conformance is the report of a run. The move to SHADOW carries the hash of its
// file.
type Conformance struct {
	Network  string   `json:"network"`
	Node     string   `json:"node"` // its API address
	Protocol uint32   `json:"protocol"`
	Time     string   `json:"time"`
	Size     uint64   `json:"size"`
	Root     string   `json:"root"`
	Probes   int      `json:"probes"`
	Failures []string `json:"failures"`
}

// RunConformance asks the profile's own node every vector.
func RunConformance(ctx context.Context, c *Client) (*Conformance, error) {
	all, err := vectors()
	if err != nil {
		return nil, err
	}
	network, err := c.Network(ctx)
	if err != nil {
		return nil, err
	}
	r := &conformanceRun{ctx: ctx, client: c, report: &Conformance{Network: fmt.Sprintf("%x", network.NetworkId), Node: c.Endpoint(),
		Protocol: network.Protocol, Time: time.Now().UTC().Format(time.RFC3339), Size: network.Head.GetSize(),
		Root: fmt.Sprintf("%x", network.Head.GetRoot()), Failures: []string{}}}
	for i := range all {
		r.vector(&all[i])
	}
	r.note("submit", "garbage", r.submitsGarbage())
	return r.report, ctx.Err()
}

type conformanceRun struct {
	ctx    context.Context
	client *Client
	report *Conformance
}

func (r *conformanceRun) note(kind, value string, err error) {
	r.report.Probes++
	if err != nil {
		r.report.Failures = append(r.report.Failures, fmt.Sprintf("%s %q: %s", kind, value, status.Convert(err).Message()))
	}
}

func (r *conformanceRun) vector(v *conformanceVector) {
	for _, value := range append([]string{v.Listed}, v.Spelled...) {
		r.note(v.Kind, value, r.answers(v.Kind, value, true))
	}
	for _, value := range v.Clear {
		r.note(v.Kind, value, r.answers(v.Kind, value, false))
	}
	for _, value := range v.Refused {
		_, err := r.raw(v.Kind, value)
		if err == nil {
			err = errors.New("is taken for an identifier")
		} else if status.Code(err) == codes.InvalidArgument {
			err = nil
		}
		r.note(v.Kind, value, err)
	}
}

// answers asks with the raw value and with tokens.
func (r *conformanceRun) answers(kind, value string, listed bool) error {
	raw, err := r.raw(kind, value)
	if err != nil {
		return err
	}
	q := &Question{}
	if err := q.Set(kind, value); err != nil {
		return err
	}
	tokens, err := r.client.Check(r.ctx, q)
	switch {
	case err != nil:
		return err
	case raw.Listed != listed:
		return fmt.Errorf("listed is %v for the raw value, want %v", raw.Listed, listed)
	case tokens.Listed != listed:
		return fmt.Errorf("listed is %v for tokens, want %v", tokens.Listed, listed)
	}
	return nil
}

func (r *conformanceRun) raw(kind, value string) (answer *apiv1.CheckResponse, err error) {
	err = r.client.Ask(r.ctx, func(ctx context.Context, conn grpc.ClientConnInterface) error {
		answer, err = apiv1.NewChecksClient(conn).Check(ctx, &apiv1.CheckRequest{Subjects: []*apiv1.Subject{{Kind: kind, Value: value}}})
		return err
	})
	return answer, err
}

func (r *conformanceRun) submitsGarbage() error {
	conn, err := r.client.Conn(r.client.Endpoint())
	if err != nil {
		return err
	}
	_, err = apiv1.NewCommandsClient(conn).Submit(r.ctx, &apiv1.SubmitRequest{Signed: []byte("garbage")})
	if status.Code(err) == codes.InvalidArgument {
		return nil
	}
	return fmt.Errorf("what is no command is answered with %v", err)
}
