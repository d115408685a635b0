package node

import (
	"crypto/x509"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/risk"
)

func revoked(certs ...*x509.Certificate) map[Fingerprint]bool {
	set := map[Fingerprint]bool{}
	for _, cert := range certs {
		set[FingerprintOf(cert)] = true
	}
	return set
}

// ended fails unless the connection ends, and at once.
func ended(t *testing.T, conn net.Conn) {
	t.Helper()
	if err := echoes(conn); err == nil {
		t.Error("a connection of a revoked certificate goes on")
	}
}

func TestARevokedCertificateIsRefusedAtEachListener(t *testing.T) {
	for _, at := range []listener{atRaft, atAPI, atHTTP} { // of nodes
		n := newCompany(t)
		there, here, other := n.credentials("n2"), n.credentials("n1"), n.credentials("n3")
		p := newPost(t, there, at)
		open, _, cert := p.let(here)
		stays, _, _ := p.let(other)
		if count := there.lines.revoke(revoked(cert)); count != 1 {
			t.Errorf("%s: %d connections were ended, want 1", at, count)
		}
		ended(t, open)
		if err := echoes(stays); err != nil {
			t.Errorf("%s: another's connection has ended: %v", at, err)
		}
		if _, err := p.dials(here); err == nil {
			t.Errorf("%s: a revoked certificate was let in", at)
		}
		n.renew(here, n.ca, here.Identity, time.Now())
		reloads(t, here)
		p.let(here)
	}
}

func TestARevokedCertificateDoesNotAnswerADial(t *testing.T) {
	n := newCompany(t)
	there, here := n.credentials("n2"), n.credentials("n1")
	p := newPost(t, there, atAPI)
	open, server, _ := p.let(here)
	if count := here.lines.revoke(revoked(server)); count != 1 {
		t.Errorf("%d connections were ended, want 1", count)
	}
	ended(t, open)
	if _, err := p.dials(here); !errors.Is(err, errRevoked) {
		t.Errorf("a revoked certificate answered: %v", err)
	}
}

// A connection that is closed while it shakes hands leaves nothing behind.
func TestAClosedConnectionIsForgotten(t *testing.T) {
	n := newCompany(t)
	l := &lines{each: 1}
	a, b := net.Pipe()
	defer b.Close()
	released := 0
	conn := l.accepted(a, func() { released++ })
	_ = conn.Close()
	if err := l.enter(conn, n.creds.leaf()); err != nil || len(l.open) != 0 || len(l.callers) != 0 {
		t.Errorf("entered after its end: %v, %d open, %d callers", err, len(l.open), len(l.callers))
	}
	_ = conn.Close()
	if released != 1 {
		t.Errorf("its place was given back %d times", released)
	}
}

func TestOneCallerDoesNotTakeTheConnectionsOfAll(t *testing.T) {
	n := newCompany(t)
	there, greedy, other := n.credentials("n2"), n.credentials("n1"), n.credentials("n3")
	there.lines.each = 3
	p := newPost(t, there, atAPI)
	first, _, _ := p.let(greedy)
	p.let(greedy)
	p.let(greedy)
	if _, err := p.dials(greedy); err == nil {
		t.Error("a caller has more connections than one may have")
	}
	p.let(other)
	_ = first.Close()
	deadline := time.Now().Add(10 * time.Second)
	for { // until the other side has seen it
		if _, err := p.dials(greedy); err == nil {
			return
		} else if time.Now().After(deadline) {
			t.Fatalf("the place of a connection that has ended is not free: %v", err)
		}
	}
}

func TestAnotherNodeDoesNotAnswerInANodesName(t *testing.T) {
	n := newCompany(t)
	answer := &apiv1.WitnessResponse{Ready: true, Size: 40}
	n.with("n2", true, answer)
	n.with("n3", true, answer)
	swapped := place{"member", "n2", n.others[1].API} // where n3 is
	if got, _ := askWitness(t.Context(), n.peers, n.id, swapped); got != nil {
		t.Errorf("asked for n2, %s answered", got.by.Name)
	}
	if got, _ := askWitness(t.Context(), n.peers, n.id, place{"member", "n3", n.others[1].API}); got == nil || got.by.Name != "n3" {
		t.Errorf("asked for n3, %v answered", got)
	}
}

func TestARoleThatHasNothingToDoAtAListenerIsToldSo(t *testing.T) {
	for role, open := range map[string][]listener{RoleNode: {atRaft, atAPI, atHTTP}, RoleHub: {atAPI, atHTTP, atRedis},
		RoleMember: {atAPI, atHTTP, atRedis}, RoleAuditor: {atAPI, atHTTP, atRedis}, RoleOperator: {atAPI, atHTTP, atRedis}, "inviter": nil} {
		for _, at := range everyListener {
			err := holdsRole(Identity{Institution: "acme", Role: role}, at, rolesAt(at))
			if slices.Contains(open, at) != (err == nil) {
				t.Errorf("%s at %s: %v", role, at, err)
			}
			if err != nil && !strings.Contains(err.Error(), `role "`+role+`" of acme may not use `+string(at)) {
				t.Errorf("%s at %s: %v", role, at, err)
			}
		}
	}
}

func TestANodeAsksOfItselfAlone(t *testing.T) {
	n := newCompany(t)
	n2 := Identity{Network: "net", Institution: "member", Role: RoleNode, Name: "n2"}
	own, other := risk.ID{2}, risk.ID{3}
	if err := errors.Join(n.isRecorded(n2), n.asksOfItself(n2, other.String())); err != nil {
		t.Errorf("a node that knows nobody: %v", err)
	}
	n.roster.Store(&roster{nodes: map[Identity][]risk.ID{n2: {own}}})
	for node, allowed := range map[string]bool{own.String(): true, other.String(): false, "": false} {
		if err := n.asksOfItself(n2, node); (err == nil) != allowed {
			t.Errorf("n2 asks of %q: %v", node, err)
		}
	}
	stranger := n2
	stranger.Institution = "hub"
	if err := n.isRecorded(stranger); err == nil || n.isRecorded(n2) != nil {
		t.Errorf("the name of a record under another institution: %v", err)
	}
}
