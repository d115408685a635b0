package client_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/testnet/sim"
)

// town has nodes on a network in memory and on fake time. It lives in a bubble, which
// does not end while a goroutine is left.
type town struct {
	t     *testing.T
	pki   *pki
	net   *sim.Switch
	nodes []*node // the first is the client's own; all know the device "bad"
}

func inTown(t *testing.T, nodes int, story func(*testing.T, *town)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &town{t: t, pki: newPKI(t), net: sim.NewSwitch(1)}
		for range nodes {
			w.add(w.pki.server)
		}
		story(t, w)
		w.net.Heal()
	})
}

func (w *town) add(certificate tls.Certificate) *node {
	w.t.Helper()
	i := len(w.nodes) + 1
	listener, err := w.net.Listen(host(i-1), fmt.Sprint("127.0.0.1:", i))
	if err != nil {
		w.t.Fatal(err)
	}
	n := w.pki.serve(w.t, listener, certificate, map[string]bool{tokenOf(w.t, risk.KindDevice, "bad"): true})
	if i > 1 {
		w.nodes[0].peers = append(w.nodes[0].peers, n.address)
	}
	w.nodes = append(w.nodes, n)
	return n
}

// host is the machine of a node.
func host(i int) string { return fmt.Sprint("n", i+1) }

func (w *town) client() *client.Client {
	w.t.Helper()
	reach := func(ctx context.Context, address string) (net.Conn, error) { return w.net.Dial(ctx, "till", address) }
	c, err := client.DialVia(reach, w.pki.profile(w.t, w.nodes[0].address), "")
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(c.Close)
	return c
}

// asker has all its streams when it is given.
func (w *town) asker(cfg client.AskerConfig) *client.Asker {
	w.t.Helper()
	a := newAsker(w.t, w.client(), cfg)
	synctest.Wait()
	return a
}

func newAsker(t testing.TB, c *client.Client, cfg client.AskerConfig) *client.Asker {
	t.Helper()
	a, err := client.NewAsker(t.Context(), c, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

// on has a node do something with each question before it answers.
func (n *node) on(before func(context.Context, *apiv1.CheckRequest) error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.before = before
}

// says has a node change its answers.
func (n *node) says(shape func(*apiv1.CheckResponse)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.shape = shape
}

func (n *node) answered() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.checks
}

func device(t testing.TB, value string) *client.Question {
	t.Helper()
	q := &client.Question{}
	if err := q.Set("payee.device", value); err != nil {
		t.Fatal(err)
	}
	return q
}

// told is what became of a check, and how long it took.
type told struct {
	advice string
	code   codes.Code
	err    error
	took   time.Duration
}

func tell(ctx context.Context, a *client.Asker, q *client.Question) told {
	begin := time.Now()
	answer, err := a.Check(ctx, q)
	return told{answer.GetAdvice(), status.Code(err), err, time.Since(begin)}
}

func (got told) is(t *testing.T, advice string, code codes.Code, took time.Duration) {
	t.Helper()
	if got.advice != advice || got.code != code || got.took != took {
		t.Errorf("got %q, %v after %s (%v); want %q, %v after %s", got.advice, got.code, got.took, got.err, advice, code, took)
	}
}
