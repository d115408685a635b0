package testnet

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/risk"
)

// Many ask while a scope comes into use, the own node dies and comes back.
func TestAnAskerLosesNothingWhenItsNodeIsKilled(t *testing.T) {
	n := start(t, 3, 1)
	r := n.reports("member-1", "n2", risk.KindDevice, "stolen")
	for _, at := range n.names() {
		n.check(at, "device", "stolen", r.Size)
	}
	c := n.client("member-2", "")
	a, err := client.NewAsker(n.ctx, c, client.AskerConfig{OtherInstitutions: true, Timeout: 30 * time.Second})
	n.must(err)
	defer a.Close()

	load := n.asks(a, r.Size)
	load.goOn(3000)
	scope := n.reports("member-1", "n2", risk.KindIP, "203.0.113.0/28")
	n.check("n3", "ip", "203.0.113.9", scope.Size)
	load.goOn(3000)
	n.must(n.Kill("n3"))
	load.goOn(3000)
	n.must(n.Start("n3"))
	n.must(n.AwaitReady(n.ctx, "n3"))
	before, err := c.ServerUse(n.ctx)
	n.must(err)
	for after := before; after.Checks < before.Checks+1000; { // it is asked again
		load.goOn(500)
		after, err = c.ServerUse(n.ctx)
		n.must(err)
	}
	if asked, answered := load.end(); asked != answered {
		t.Errorf("%d were asked and %d answered", asked, answered)
	}
	var q client.Question
	n.must(q.Set("ip", "203.0.113.9"))
	if answer, err := a.Check(n.ctx, &q); err != nil || !answer.Listed {
		t.Errorf("under the new scope: %v (%v)", answer, err)
	}
}

// askedLoad is what many goroutines ask through one asker.
type askedLoad struct {
	n               *network
	done            chan struct{}
	group           sync.WaitGroup
	asked, answered atomic.Int64
}

// asks goes on until the load is ended, and judges each answer.
func (n *network) asks(a *client.Asker, size uint64) *askedLoad {
	load := &askedLoad{n: n, done: make(chan struct{})}
	for i := range 64 {
		value, listed := "stolen", true
		if i%2 == 0 {
			value, listed = fmt.Sprint("clean-", i), false
		}
		var q client.Question
		n.must(q.Set("payee.device", value))
		load.group.Go(func() {
			for {
				select {
				case <-load.done:
					return
				default:
				}
				load.asked.Add(1)
				answer, err := a.Check(n.ctx, &q)
				switch {
				case err != nil:
					n.t.Errorf("%s: %v", value, err)
					return
				case answer.Listed != listed || answer.Size < size:
					n.t.Errorf("%s: %v", value, answer)
				}
				load.answered.Add(1)
			}
		})
	}
	return load
}

// goOn waits until so many more are answered.
func (l *askedLoad) goOn(more int64) {
	l.n.t.Helper()
	for until := l.answered.Load() + more; l.answered.Load() < until; {
		select {
		case <-l.n.ctx.Done():
			l.n.t.Fatalf("%d answered, %d asked: %v", l.answered.Load(), l.asked.Load(), l.n.ctx.Err())
		case <-time.After(time.Millisecond):
		}
	}
}

func (l *askedLoad) end() (asked, answered int64) {
	close(l.done)
	l.group.Wait()
	return l.asked.Load(), l.answered.Load()
}
