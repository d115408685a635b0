package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/ledger"
	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/store"
)

func TestAWitnessIsBelievedOnlyWhereItCanKnow(t *testing.T) {
	n := &Node{id: life(2).Node, life: *life(2)}
	self, later, earlier := serverID(n.id, 2), serverID(n.id, 3), serverID(n.id, 1)
	held := reach{index: 100, term: 7}
	for name, c := range map[string]struct {
		seen    *apiv1.WitnessResponse
		doubted bool
	}{
		"saw as much":           {&apiv1.WitnessResponse{Server: self, Term: 7, Index: 100}, false},
		"saw less":              {&apiv1.WitnessResponse{Server: self, Term: 7, Index: 90}, false},
		"saw more in this term": {&apiv1.WitnessResponse{Server: self, Term: 7, Index: 101}, true},
		"saw a later term":      {&apiv1.WitnessResponse{Server: self, Term: 8, Index: 50}, true},
		"saw more in an earlier term, since taken back": {&apiv1.WitnessResponse{Server: self, Term: 6, Index: 101}, false},
		"has a later life of it, with a majority":       {&apiv1.WitnessResponse{Server: later, Ready: true}, true},
		"has a later life of it, alone":                 {&apiv1.WitnessResponse{Server: later}, false},
		"still has an earlier life of it":               {&apiv1.WitnessResponse{Server: earlier, Term: 9, Index: 900, Ready: true}, false},
		"does not know it":                              {&apiv1.WitnessResponse{Term: 9, Index: 900, Ready: true}, false},
	} {
		t.Run(name, func(t *testing.T) {
			seen := testimony{WitnessResponse: c.seen}
			if err := seen.credible(n.life, time.Now()); err != nil {
				t.Fatal(err)
			}
			err := contradicts(&seen, n.life, held, 0)
			if _, doubted := asDoubt(err); doubted != c.doubted || (err != nil) != c.doubted {
				t.Errorf("doubt %v, want %v", err, c.doubted)
			}
		})
	}
}

func TestAnAnswerThatCannotBeTrueCountsForNothing(t *testing.T) {
	now := time.UnixMilli(5_000_000_000)
	self := life(2)
	for server, credible := range map[string]bool{
		"":                     true,
		serverID(self.Node, 1): true,
		serverID(self.Node, 2): true,
		serverID(self.Node, 5_000_000_000+3_600_000): true,
		serverID(self.Node, 5_000_000_000+3_600_001): false,
		serverID(self.Node, math.MaxUint64):          false,
		serverID(risk.ID{9}, 3):                      false,
		"garbage":                                    false,
		self.Node.String() + "+x":                    false,
	} {
		seen := &testimony{WitnessResponse: &apiv1.WitnessResponse{Server: server, Ready: true}}
		if err := seen.credible(*self, now); (err == nil) != credible {
			t.Errorf("server %q: %v, credible %v", server, err, credible)
		}
	}
}

// says answers as another node would, or would not.
type says struct {
	apiv1.UnimplementedPeersServer
	answer *apiv1.WitnessResponse
}

func (s says) Witness(context.Context, *apiv1.WitnessRequest) (*apiv1.WitnessResponse, error) {
	return s.answer, nil
}

// company is a node that does not run, and others that answer it.
type company struct {
	*Node
	t      testing.TB
	ca     *Authority
	others []other
}

func newCompany(t testing.TB) *company {
	ca, err := NewAuthority("net", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	c := &company{Node: &Node{cfg: *lived(t, 2), id: life(2).Node, network: life(2).Network, life: *life(2),
		now: time.Now, log: slog.New(slog.DiscardHandler)}, t: t, ca: ca}
	c.creds = c.credentials("n1")
	c.peers = newPeers(c.creds, Environment{}.withDefaults().Dial)
	t.Cleanup(c.peers.closeAll)
	return c
}

func (c *company) credentials(name string) *Credentials {
	c.t.Helper()
	cert, key, err := c.ca.Issue(Identity{Network: "net", Institution: "member", Role: RoleNode, Name: name}, []string{"127.0.0.1"}, time.Now())
	dir := c.t.TempDir()
	files := map[string][]byte{"ca.pem": c.ca.CertificatePEM(), "c.pem": cert, "k.pem": key}
	for file, text := range files {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, file), text, 0o600))
	}
	creds, loaded := LoadCredentials(filepath.Join(dir, "ca.pem"), filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem"))
	if err := errors.Join(err, loaded); err != nil {
		c.t.Fatal(err)
	}
	return creds
}

// with adds a node that has a record, and answers if there is an answer.
func (c *company) with(name string, voter bool, answer *apiv1.WitnessResponse) {
	c.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		c.t.Fatal(err)
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(c.credentials(name).ServerTLS(atAPI))), grpc.ForceServerCodecV2(newWireCodec()))
	if answer != nil {
		apiv1.RegisterPeersServer(server, says{answer: answer})
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	c.t.Cleanup(func() { server.Stop(); <-done })
	c.others = append(c.others, other{Institution: "member", Name: name, API: listener.Addr().String(), Voter: voter})
	text, err := json.Marshal(c.others)
	if err := errors.Join(err, os.WriteFile(filepath.Join(c.cfg.Anchor, peersFile), text, 0o600)); err != nil {
		c.t.Fatal(err)
	}
}

// opened has the node hold its anchor and an empty state.
func (c *company) opened() {
	c.t.Helper()
	var err, opened error
	c.anchor, err = openAnchor(c.cfg.Anchor, c.life)
	c.store, opened = store.Open(c.t.TempDir(), store.Options{Network: c.network, Logger: c.log})
	if err := errors.Join(err, opened); err != nil {
		c.t.Fatal(err)
	}
}

// The term is anchored before it is stored. A node that dies in between waits for
// the others, but who has no others must be able to go on.
func TestATermThatWasOnlyAnchoredIsNoLossToANodeAlone(t *testing.T) {
	for name, c := range map[string]struct {
		company bool
		held    reach
		doubted bool
	}{
		"alone":                         {false, reach{index: 5, term: 1}, false},
		"alone, and entries are gone":   {false, reach{index: 4, term: 1}, true},
		"another could have had a vote": {true, reach{index: 5, term: 1}, true},
	} {
		t.Run(name, func(t *testing.T) {
			n := newCompany(t)
			if c.company {
				n.with("n2", true, nil)
			}
			n.opened()
			defer n.store.Close()
			if err := n.anchor.raise(3, ledger.Hash{1}, 5, 2); err != nil {
				t.Fatal(err)
			}
			err := n.holdPast(t.Context(), c.held)
			if _, doubted := asDoubt(err); doubted != c.doubted || (err != nil) != c.doubted {
				t.Errorf("doubt %v, want %v", err, c.doubted)
			}
		})
	}
}

func TestDataIsGivenUpOnlyOnTheWordOfAMajority(t *testing.T) {
	ready := &apiv1.WitnessResponse{Ready: true, Size: 40, Server: life(2).server()}
	short := &apiv1.WitnessResponse{Ready: true, Size: 39}
	unready := &apiv1.WitnessResponse{Size: 40}
	liar := &apiv1.WitnessResponse{Ready: true, Size: math.MaxUint64, Server: serverID(life(2).Node, math.MaxUint64)}
	garbage := &apiv1.WitnessResponse{Ready: true, Size: 40, Server: "garbage"}
	boaster := &apiv1.WitnessResponse{Ready: true, Size: math.MaxUint64, Term: math.MaxUint64, Server: life(3).server()}
	for name, c := range map[string]struct {
		voters, others []*apiv1.WitnessResponse
		begins         bool
	}{
		"both others":                        {[]*apiv1.WitnessResponse{ready, ready}, nil, true},
		"the only other":                     {[]*apiv1.WitnessResponse{ready}, nil, true},
		"three of four":                      {[]*apiv1.WitnessResponse{ready, nil, ready, ready}, nil, true},
		"one of two, the other down":         {[]*apiv1.WitnessResponse{boaster, nil}, nil, false},
		"one of two, the other holds less":   {[]*apiv1.WitnessResponse{boaster, short}, nil, false},
		"one of two, the other is not ready": {[]*apiv1.WitnessResponse{boaster, unready}, nil, false},
		"two of four":                        {[]*apiv1.WitnessResponse{ready, nil, nil, ready}, nil, false},
		"one of two, and one without a vote": {[]*apiv1.WitnessResponse{ready, nil}, []*apiv1.WitnessResponse{ready}, false},
		"the only other talks garbage":       {[]*apiv1.WitnessResponse{garbage}, nil, false},
		"the only other knows the future":    {[]*apiv1.WitnessResponse{liar}, nil, false},
		"a liar hinders nobody":              {[]*apiv1.WitnessResponse{garbage, ready, ready}, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			n := newCompany(t)
			for i, answer := range c.voters {
				n.with(fmt.Sprintf("v%d", i+2), true, answer)
			}
			for i, answer := range c.others {
				n.with(fmt.Sprintf("o%d", i+2), false, answer)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			if c.begins {
				ctx = t.Context()
			}
			err := n.resolve(ctx, &doubt{reason: "a test", need: 40})
			kept, _ := holdsData(n.cfg.Data)
			if (err == nil) != c.begins || kept == c.begins {
				t.Errorf("begins anew %v (%v), keeps its data %v; want %v", err == nil, err, kept, c.begins)
			}
			if hour := uint64(time.Now().Add(2 * time.Hour).UnixMilli()); n.life.Number > hour {
				t.Errorf("the next life is %d, behind all that can follow", n.life.Number)
			}
		})
	}
}

// What one node says amiss is ignored; what it says rightly of this one is a doubt.
func TestAnAnswerOfGarbageKeepsNobodyFromStarting(t *testing.T) {
	for name, c := range map[string]struct {
		answer  *apiv1.WitnessResponse
		doubted bool
	}{
		"garbage":          {&apiv1.WitnessResponse{Server: "garbage", Ready: true, Term: 9}, false},
		"another node":     {&apiv1.WitnessResponse{Server: serverID(risk.ID{9}, 7), Ready: true, Term: 9}, false},
		"the far future":   {&apiv1.WitnessResponse{Server: serverID(life(2).Node, math.MaxUint64), Ready: true, Term: 9}, false},
		"saw a later term": {&apiv1.WitnessResponse{Server: life(2).server(), Ready: true, Term: 9}, true},
	} {
		t.Run(name, func(t *testing.T) {
			n := newCompany(t)
			n.with("n2", true, c.answer)
			n.opened()
			defer n.store.Close()
			err := n.holdPast(t.Context(), reach{index: 5, term: 3})
			if _, doubted := asDoubt(err); doubted != c.doubted || (err != nil) != c.doubted {
				t.Errorf("doubt %v, want %v", err, c.doubted)
			}
		})
	}
}

// One node is counted once, at however many addresses it answers.
func TestANodeIsCountedByItsCertificate(t *testing.T) {
	n := newCompany(t)
	answer := &apiv1.WitnessResponse{Ready: true, Size: 40}
	n.with("n2", true, answer)
	n.with("n2", true, answer)
	n.others[0].Name = "n3" // at this address too it is n2 that answers
	n.with("n4", true, nil)
	heard, err := n.hear(t.Context())
	if able, enough := n.rebuilders(heard, 40); err != nil || len(able) != 1 || enough != 2 {
		t.Errorf("able %v, enough %d, %v; want n2 alone of two", able, enough, err)
	}
}
