package client

import (
	"context"
	"crypto/sha256"
	_ "embed" // the vectors
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/risknet/risknet/risk"
)

// The network's conformance vectors (联调测试). Checks are identifiers that nobody
// has, which the hub lists for a while, in the spellings that systems write them in;
// others beside them that are not listed; and what is no identifier. Tokens are normal
// forms and their tokens under a test key, 32 bytes of 1. Commands are one of each
// kind, of a network that is not this one. An applicant passes when its node and its
// program answer each as the vectors say.
//
//go:embed conformance.json
var conformanceVectors []byte

type conformanceSet struct {
	Checks   []checkVector   `json:"checks"`
	Tokens   []tokenVector   `json:"tokens"`
	Commands []commandVector `json:"commands"`
}

type checkVector struct {
	Kind string `json:"kind"`
	// Listed is the value that the hub lists; Spelled are ways to write it.
	Listed  string   `json:"listed"`
	Spelled []string `json:"spelled"`
	Clear   []string `json:"clear"`   // not listed, however near
	Refused []string `json:"refused"` // no identifiers
}

func vectors() (*conformanceSet, error) {
	set := &conformanceSet{}
	return set, json.Unmarshal(conformanceVectors, set)
}

// VectorsHash says which vectors this program asks.
func VectorsHash() string { return fmt.Sprintf("%x", sha256.Sum256(conformanceVectors)) }

// conformanceLife is how long the vectors stay listed.
const conformanceLife = 30 * 24 * time.Hour

// PublishConformance lists the vectors' identifiers, on the watch list.
func PublishConformance(ctx context.Context, author *Author, keys *Keyring) (listed int, err error) {
	set, err := vectors()
	if err != nil {
		return 0, err
	}
	for _, v := range set.Checks {
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
	Vectors  string   `json:"vectors"` // SHA-256 of the set
	Time     string   `json:"time"`
	Size     uint64   `json:"size"`
	Root     string   `json:"root"`
	Probes   int      `json:"probes"`
	Failures []string `json:"failures"`
}

// ProveConformance takes the report of a run that passed lately, on this network,
// against the node at an address and with the vectors of this program, and gives the
// hash of its file.
func ProveConformance(text, network []byte, node string, now time.Time) (risk.Hash, error) {
	var report Conformance
	if err := json.Unmarshal(text, &report); err != nil || report.Network == "" {
		return risk.Hash{}, errors.New("is no report of `institution conformance`")
	}
	set, err := vectors()
	if err != nil {
		return risk.Hash{}, err
	}
	switch at, err := time.Parse(time.RFC3339, report.Time); {
	case err != nil || at.After(now.Add(time.Hour)) || at.Before(now.Add(-conformanceLife)):
		return risk.Hash{}, fmt.Errorf("is of %q and not of the last 30 days; run the vectors again", report.Time)
	case report.Node != node:
		return risk.Hash{}, fmt.Errorf("is of the node at %s, and the applicant's is at %s; run the vectors there", report.Node, node)
	case report.Network != fmt.Sprintf("%x", network):
		return risk.Hash{}, fmt.Errorf("is of network %.16s…, not of this one", report.Network)
	case report.Vectors != VectorsHash():
		return risk.Hash{}, errors.New("is of other vectors than this program's; run them again with a risknet of the hub's version")
	case len(report.Failures) > 0:
		return risk.Hash{}, fmt.Errorf("%d of %d probes failed, such as %s; have the applicant mend its node and run them again", len(report.Failures), report.Probes, report.Failures[0])
	case report.Probes != set.probes():
		return risk.Hash{}, fmt.Errorf("has %d probes of %d; run them again, to the end", report.Probes, set.probes())
	}
	return sha256.Sum256(text), nil
}

// RunConformance asks one node every vector. The client stays with that node, for
// another one's answers would prove nothing of it.
func RunConformance(ctx context.Context, c *Client) (*Conformance, error) {
	c.pinned = true
	set, err := vectors()
	if err != nil {
		return nil, err
	}
	network, err := c.Network(ctx)
	if err != nil {
		return nil, err
	}
	r := &conformanceRun{ctx: ctx, client: c, report: &Conformance{Network: fmt.Sprintf("%x", network.NetworkId), Node: c.Endpoint(),
		Protocol: network.Protocol, Vectors: VectorsHash(), Time: time.Now().UTC().Format(time.RFC3339), Size: network.Head.GetSize(),
		Root: fmt.Sprintf("%x", network.Head.GetRoot()), Failures: []string{}}}
	for i := range set.Checks {
		r.check(&set.Checks[i])
	}
	for i := range set.Tokens {
		r.note("token of "+set.Tokens[i].Kind, set.Tokens[i].Raw, set.Tokens[i].holds())
	}
	for i := range set.Commands {
		r.command(&set.Commands[i])
	}
	return r.report, ctx.Err()
}
