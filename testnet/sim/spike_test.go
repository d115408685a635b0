package sim

import (
	"context"
	"log/slog"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/node"
	"github.com/risknet/risknet/testnet"
)

func TestSpike(t *testing.T) {
	real := time.Now()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		level := slog.LevelWarn
		if os.Getenv("V") != "" {
			level = slog.LevelDebug
		}
		log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
		plan, err := testnet.NewPlan(testnet.Options{Dir: dir, Nodes: 3, Now: time.Now(), Tune: func(c *node.Config) {
			c.FaultControl = ""
			c.Raft.CommitTimeout = 50 * time.Millisecond
		}})
		if err != nil {
			t.Fatal(err)
		}
		sw := NewSwitch(1)
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan error, 3)
		opened := make(chan *node.Node, 3)
		for _, n := range plan.Nodes {
			cfg, err := node.LoadConfig(n.Config)
			if err != nil {
				t.Fatal(err)
			}
			env := node.Environment{
				Listen: func(a string) (net.Listener, error) { return sw.Listen(n.Name, a) },
				Dial:   func(ctx context.Context, a string) (net.Conn, error) { return sw.Dial(ctx, n.Name, a) },
			}
			go func() {
				done <- node.Serve(ctx, cfg, env, log.With("node", n.Name), func(n *node.Node) { opened <- n })
			}()
		}
		n1 := <-opened
		<-opened
		<-opened
		start := time.Now()
		for n1.Ready() != nil {
			time.Sleep(100 * time.Millisecond)
			if time.Since(start) > time.Minute {
				t.Fatal(n1.Ready())
			}
		}
		t.Log("ready after", time.Since(start), "fake", time.Until(real))
		p, err := client.LoadProfile(plan.Profiles["hub"])
		if err != nil {
			t.Fatal(err)
		}
		c, err := client.DialVia(func(ctx context.Context, a string) (net.Conn, error) { return sw.Dial(ctx, "c1", a) }, p, "")
		if err != nil {
			t.Fatal(err)
		}
		rows, err := c.Status(ctx)
		t.Log(rows, err)
		time.Sleep(time.Hour)
		rows, err = c.Status(ctx)
		t.Log(rows, err)
		c.Close()
		stop()
		for range 3 {
			t.Log(<-done)
		}
	})
	t.Log("real", time.Since(real))
}
