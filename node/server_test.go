package node

import (
	"net"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc/health"
)

// A node whose API listener is gone leaves nothing running behind.
func TestTheAPIThatCannotBeServedLeavesNothingRunning(t *testing.T) {
	n := newCompany(t).Node
	n.health, n.metrics = health.NewServer(), newMetrics(n)
	before := goleak.IgnoreCurrent()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	n.listeners.api = listener
	if err := n.serveAPI(t.Context()); err == nil {
		t.Error("it is served")
	}
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
}
