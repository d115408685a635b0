package testnet

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/risk"
)

// paid is a payment to a phone that the node's own institution checks.
func (n *network) paid(at, transaction, phone string) {
	n.t.Helper()
	q := &client.Question{}
	n.must(errors.Join(q.Set("transaction_id", transaction), q.Set("payee.phone", phone)))
	answer, err := n.client(n.institution(at), at).Check(n.ctx, q)
	n.must(err)
	if answer.Listed {
		n.t.Errorf("%s is listed already: %v", phone, answer.Reasons)
	}
}

// A node that was away, and one that has lost its state and gets it from the others,
// tell of what came meanwhile, once. A reader that waits stays through it all.
func TestAlertsOutliveTheNodeAndItsState(t *testing.T) {
	n := start(t, 3, 3)
	transactions := map[string]string{"T-1": "13800000001", "T-2": "13800000002", "T-3": "13800000003"}
	for _, transaction := range []string{"T-3", "T-2", "T-1"} { // who is heard of first is noted last
		n.paid("n2", transaction, transactions[transaction])
	}
	reports := func(phone string) { n.reports(hubName, "n1", risk.KindPhone, phone) }
	stream, hang := context.WithCancel(n.ctx)
	heard := make(chan *apiv1.Alert, 16)
	reader := n.client("member-1", "n2")
	done := make(chan error, 1)
	go func() {
		done <- reader.WatchAlerts(stream, 0, true, func(a *apiv1.Alert) error { heard <- a; return nil })
	}()
	last := uint64(0)
	hears := func(transaction string) {
		t.Helper()
		select {
		case a := <-heard:
			if a.What != "listed" || a.TransactionId != transaction || a.Cursor <= last {
				t.Errorf("heard %v behind %d; want %s", a, last, transaction)
			}
			last = a.Cursor
		case <-n.ctx.Done():
			t.Fatalf("%s was not told of", transaction)
		}
	}
	reports(transactions["T-1"])
	hears("T-1")

	n.must(n.Kill("n2"))
	reports(transactions["T-2"])
	n.comesBack("n2")
	hears("T-2")

	n.must(n.Kill("n2"))
	for _, lost := range []string{"state", "raft"} {
		n.must(os.RemoveAll(filepath.Join(n.dir("n2"), "data", lost)))
	}
	reports(transactions["T-3"])
	n.comesBack("n2")
	hears("T-3")

	hang()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the reader ends with %v", err)
	}
	count := 0
	n.must(n.client("member-1", "n2").WatchAlerts(n.ctx, 0, false, func(*apiv1.Alert) error { count++; return nil }))
	if count != len(transactions) {
		t.Errorf("%d alerts are kept, want one for each payment", count)
	}
}
