//go:build chaos

package chaos

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/risk"
)

// A sixth node joins five that hold 240,000 listings (RISKNET_CHAOS_LISTINGS) and
// keep 64 entries of their log, while every node is asked and judged.
func TestASixthNodeJoins(t *testing.T) {
	count := number(t, "RISKNET_CHAOS_LISTINGS", 240_000)
	program := filepath.Join(t.TempDir(), "risknet")
	build := exec.Command("go", "build", "-tags", "faults", "-o", program, "./cmd/risknet")
	build.Dir = moduleRoot(t)
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, text)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	n, err := start(ctx, program, filepath.Join(workDir(t), "net"), setting{nodes: 5, voters: 3, tune: cutsItsLog})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.end(); err != nil {
			t.Error(err)
		}
	}()
	fill(ctx, t, n, count)

	var asked atomic.Int64
	asking, enough := context.WithCancel(ctx)
	var askers sync.WaitGroup
	for i, name := range n.names() {
		checks := apiv1.NewChecksClient(n.connTo(t, name))
		askers.Go(func() { askUntil(asking, t, checks, name, count, uint64(i), &asked) })
	}
	n.stop() // the pollers read the list of nodes, which grows now
	n.pollers.Wait()
	began := time.Now()
	if _, err := n.Add(ctx, false); err != nil {
		t.Fatal(err)
	}
	ready, during := time.Since(began), asked.Load()
	enough()
	askers.Wait()
	sixth := apiv1.NewChecksClient(n.connTo(t, "n6"))
	images, err := n.metric("n6", "risknet_raft_images_received_total")
	if err != nil || images < 1 {
		t.Errorf("n6 received %d images, %v", images, err)
	}
	if err := until(ctx, 50*time.Millisecond, func() error { return n.sameRoot(ctx, "n6") }); err != nil {
		t.Error(err)
	}
	last, stop := context.WithTimeout(ctx, 10*time.Second)
	defer stop()
	askUntil(last, t, sixth, "n6", count, 6, &asked)
	t.Logf("%d listings: ready after %s, %d images; %d checks were judged meanwhile on the five, and %d on the sixth",
		count, ready.Round(100*time.Millisecond), images, during, asked.Load()-during)
	violations, _ := n.witness.Violations()
	for _, v := range violations {
		t.Errorf("%s on %s: %s", v.Invariant, v.Node, v.Text)
	}
}

func device(i int) string { return fmt.Sprintf("device-%d", i) }

// fill imports devices, as a member does.
func fill(ctx context.Context, t *testing.T, n *network, count int) {
	t.Helper()
	var list bytes.Buffer
	for i := range count {
		fmt.Fprintln(&list, device(i))
	}
	template := client.NewReport(risk.KindDevice, time.Now())
	rows, err := template.OpenRows(&list, time.Time{}, client.RowOptions{Format: client.FormatValues, Identity: risk.KindDevice.String()})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := n.asks["n1"].Keyring(ctx)
	if err != nil {
		t.Fatal(err)
	}
	importer := &client.Importer{Template: template, Keys: keys, To: n.authors[1],
		Reject: func(r client.Reject) error { return fmt.Errorf("line %d: %s", r.Line, r.Reason) }}
	result, err := importer.Run(ctx, rows)
	if err != nil || result.Accepted != count {
		t.Fatalf("%+v, %v", result, err)
	}
}

func (n *network) connTo(t *testing.T, name string) grpc.ClientConnInterface {
	t.Helper()
	p, err := n.Node(name)
	if err != nil {
		t.Fatal(err)
	}
	c, known := n.asks[name]
	if !known {
		hub, err := client.LoadProfile(n.Profiles["hub"])
		if err != nil {
			t.Fatal(err)
		}
		if c, err = client.Dial(hub, p.API); err != nil {
			t.Fatal(err)
		}
		n.asks[name] = c
	}
	conn, err := c.Conn(p.API)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// askUntil asks for devices, of which the lower half of the numbers is listed.
func askUntil(ctx context.Context, t *testing.T, checks apiv1.ChecksClient, name string, count int, seed uint64, asked *atomic.Int64) {
	dice := rand.New(rand.NewPCG(seed, 0))
	for ctx.Err() == nil {
		i := dice.IntN(2 * count)
		r, err := checks.Check(ctx, &apiv1.CheckRequest{Subjects: []*apiv1.Subject{{Kind: risk.KindDevice.String(), Value: device(i)}}})
		if err != nil {
			if ctx.Err() == nil {
				t.Errorf("%s: %v", name, err)
			}
			return
		}
		if r.Listed != (i < count) || r.Stale {
			t.Errorf("%s: device %d of %d is answered listed %v, stale %v, at size %d", name, i, count, r.Listed, r.Stale, r.Size)
			return
		}
		asked.Add(1)
	}
}

// sameRoot compares a node with the others at the same size.
func (n *network) sameRoot(ctx context.Context, name string) error {
	mine, err := n.ask(ctx, name)
	if err != nil {
		return err
	}
	for _, other := range n.names() {
		theirs, err := n.ask(ctx, other)
		if err != nil {
			return err
		}
		if theirs.Size != mine.Size || !bytes.Equal(theirs.Root, mine.Root) {
			return fmt.Errorf("%s has size %d and root %x, %s size %d and root %x", name, mine.Size, mine.Root, other, theirs.Size, theirs.Root)
		}
	}
	return nil
}
