package client_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/risk"
)

// soon is a context for what is going to fail.
func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func TestQuestionsGoToAnotherNodeUnlessOneWasNamed(t *testing.T) {
	p := newPKI(t)
	home, other := p.startNode(t, nil), p.startNode(t, nil)
	home.peers = []string{other.address}
	c := dialNode(t, p, home.address, "")
	if _, err := c.Network(t.Context()); err != nil {
		t.Fatal(err)
	}
	home.down, other.down = true, false
	if _, err := c.Status(t.Context()); err != nil {
		t.Errorf("the other node was not asked: %v", err)
	}
	c = dialNode(t, p, other.address, home.address)
	if _, err := c.Status(soon(t)); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), home.address) {
		t.Errorf("a named node that is down: %v", err)
	}
}

func TestAnAddressIsHostAndPort(t *testing.T) {
	p := newPKI(t)
	if _, err := client.Dial(p.profile(t, "127.0.0.1:1"), "localhost"); err == nil || !strings.Contains(err.Error(), "host:port") {
		t.Errorf("got %v", err)
	}
}

func TestADeadAddressIsNamedInOneSentence(t *testing.T) {
	p := newPKI(t)
	c := dialNode(t, p, "127.0.0.1:1", "")
	_, err := c.Network(soon(t))
	if err == nil || !strings.HasPrefix(err.Error(), "endpoint: no answer from 127.0.0.1:1 (dial tcp 127.0.0.1:1: connect: ") {
		t.Errorf("got %v", err)
	}
}

func TestALiftNamesItsListing(t *testing.T) {
	n := newNetwork(t)
	if got := importText(t, n, risk.KindDevice, "d", client.RowOptions{Format: client.FormatValues}); got.Accepted != 1 {
		t.Fatal(got.counts())
	}
	id := risk.ListingID{Leaf: 1}
	if _, err := client.Lift(t.Context(), n.author(), risk.LiftError, "", id); err != nil {
		t.Fatal(err)
	}
	_, err := client.Lift(t.Context(), n.author(), risk.LiftError, "", id)
	if err == nil || !strings.Contains(err.Error(), "listing 1.0: ended: ") {
		t.Errorf("a second lift: %v", err)
	}
	if _, err := client.Lift(t.Context(), n.author(), risk.LiftError, ""); err == nil {
		t.Error("a lift of nothing was sent")
	}
}
