package client

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/token"
)

// The vectors speak of every kind of identifier and of command, and are right: what
// they say of spelling holds for the program's own normal forms.
func TestConformanceVectors(t *testing.T) {
	set, err := vectors()
	if err != nil {
		t.Fatal(err)
	}
	checked, tokened := map[string]bool{}, map[string]bool{}
	for _, v := range set.Checks {
		checked[v.Kind] = true
		kind, err := risk.ParseKind(v.Kind)
		if err != nil {
			t.Fatal(err)
		}
		for _, value := range append(append([]string{v.Listed}, v.Spelled...), v.Clear...) {
			if _, err := token.Normalise(kind, value); err != nil {
				t.Errorf("%s %q: %v", kind, value, err)
			}
		}
		for _, value := range v.Refused {
			if s, err := token.Normalise(kind, value); err == nil {
				t.Errorf("%s %q is %q", kind, value, s.Value)
			}
		}
	}
	for i := range set.Tokens {
		tokened[set.Tokens[i].Kind] = true
		if err := set.Tokens[i].holds(); err != nil {
			t.Errorf("%s %q: %v", set.Tokens[i].Kind, set.Tokens[i].Raw, err)
		}
	}
	for kind := risk.Kind(1); kind < risk.Kinds; kind++ {
		if !checked[kind.String()] || !tokened[kind.String()] {
			t.Errorf("there is no vector of a %s", kind)
		}
	}
}

// The commands are those of the law's own frozen vectors, every one.
func TestConformanceCommandsAreTheFrozenOnes(t *testing.T) {
	text, err := os.ReadFile("../risk/testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var frozen map[string]string
	if err := json.Unmarshal(text, &frozen); err != nil {
		t.Fatal(err)
	}
	set, err := vectors()
	if err != nil {
		t.Fatal(err)
	}
	for i := range set.Commands {
		v := &set.Commands[i]
		if _, err := v.read(); err != nil || v.Signed != frozen["command/"+v.Kind+"/signed"] {
			t.Errorf("the %s command: %v", v.Kind, err)
		}
		delete(frozen, "command/"+v.Kind+"/signed")
	}
	for name := range frozen {
		if strings.HasPrefix(name, "command/") && strings.HasSuffix(name, "/signed") {
			t.Errorf("%s is not among the conformance vectors", name)
		}
	}
}

func TestVectorsThatDoNotHoldAreSeen(t *testing.T) {
	set, err := vectors()
	if err != nil {
		t.Fatal(err)
	}
	one := set.Tokens[0]
	one.Token = set.Tokens[1].Token
	if one.holds() == nil {
		t.Error("another's token")
	}
	one = set.Tokens[0]
	one.Value += "x"
	if one.holds() == nil {
		t.Error("another normal form")
	}
	command := set.Commands[0]
	command.ID = set.Commands[1].ID
	if _, err := command.read(); err == nil {
		t.Error("another's id")
	}
}

func TestOnlyAReportThatPassedProves(t *testing.T) {
	set, err := vectors()
	if err != nil {
		t.Fatal(err)
	}
	network := make([]byte, 32)
	now := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	good := Conformance{Network: strings.Repeat("00", 32), Node: "192.0.2.1:7002", Time: "2026-11-22T10:00:00Z", Vectors: VectorsHash(), Probes: set.probes(), Failures: []string{}}
	for name, c := range map[string]struct {
		bend  func(*Conformance)
		wrong string
	}{
		"as it is":          {func(*Conformance) {}, ""},
		"another network's": {func(r *Conformance) { r.Network = "01" + r.Network[2:] }, "not of this one"},
		"of other vectors":  {func(r *Conformance) { r.Vectors = "" }, "other vectors"},
		"one that failed":   {func(r *Conformance) { r.Failures = []string{"ip"} }, "probes failed"},
		"one that was cut":  {func(r *Conformance) { r.Probes-- }, "to the end"},
		"another node's":    {func(r *Conformance) { r.Node = "192.0.2.1:9002" }, "the applicant's is at"},
		"an old one":        {func(r *Conformance) { r.Time = "2026-10-01T10:00:00Z" }, "not of the last 30 days"},
		"one of tomorrow":   {func(r *Conformance) { r.Time = "2026-11-24T10:00:00Z" }, "not of the last 30 days"},
		"something else":    {func(r *Conformance) { *r = Conformance{} }, "is no report"},
	} {
		report := good
		c.bend(&report)
		text, err := json.Marshal(report)
		if err != nil {
			t.Fatal(err)
		}
		hash, err := ProveConformance(text, network, "192.0.2.1:7002", now)
		if c.wrong == "" && (err != nil || hash.IsZero()) || c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
