package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/risk"
)

// truthTrial judges every answer of three nodes while a million listings come in, the
// leader is killed and comes back, and filters are built anew.
func truthTrial(o options) trial {
	r := row{name: "right", what: fmt.Sprintf("answers judged on three nodes during an import of %d, a leader's death and return, and filter builds: right ones", o.million),
		unit: "answers", least: float64(o.checks)}
	return trial{goes: 1, rows: []row{r}, measure: func(ctx context.Context) (figures, figures, error) {
		n, program, err := fresh(ctx, &network{size: 3, rules: 100})
		if err != nil {
			return nil, nil, err
		}
		defer program.remove()
		defer n.close()
		right, err := n.judged(ctx, o)
		return nil, figures{r.name: float64(right)}, err
	}}
}

// judged gives the number of right answers, or an error for the first wrong one.
func (n *network) judged(ctx context.Context, o options) (int64, error) {
	before := o.million / 5
	if err := n.list(ctx, before); err != nil {
		return 0, err
	}
	if err := n.together(ctx); err != nil {
		return 0, err
	}
	builds, err := n.builds(ctx)
	if err != nil {
		return 0, err
	}
	judge := newJudge(n, before)
	asking := judge.ask(ctx, 0)
	err = n.trouble(ctx, judge, o.million)
	for err == nil && ctx.Err() == nil && judge.right.Load() < int64(o.checks) && judge.fault() == nil {
		pause(ctx, 100*time.Millisecond)
	}
	if wrong := asking.stop(); wrong != nil {
		return 0, wrong
	}
	if err != nil {
		return 0, err
	}
	after, err := n.builds(ctx)
	if err == nil && after <= builds {
		err = fmt.Errorf("no filter was built meanwhile; list more")
	}
	return judge.right.Load(), err
}

// builds is how often a filter was built by the node that did so most; the one that is
// killed begins to count anew.
func (n *network) builds(ctx context.Context) (most float64, err error) {
	for _, node := range n.nodes {
		count, err := n.metric(ctx, node, "risknet_filter_builds_total")
		if err != nil {
			return 0, err
		}
		most = max(most, count)
	}
	return most, nil
}

// trouble imports, and kills the leader when a third is there; when another third is,
// it comes back.
func (n *network) trouble(ctx context.Context, judge *judge, count int) error {
	author, err := client.NewAuthor(ctx, n.client)
	if err != nil {
		return err
	}
	keys, err := n.client.Keyring(ctx)
	if err != nil {
		return err
	}
	first, err := n.leader(ctx)
	if err != nil {
		return err
	}
	chunks := (count + risk.MaxItems - 1) / risk.MaxItems
	group, inner := errgroup.WithContext(ctx)
	next := make(chan int)
	group.Go(func() error {
		defer close(next)
		for i := range chunks {
			switch i {
			case chunks / 3:
				group.Go(func() error { return n.testnet(inner, "kill", "--node", first) })
			case 2 * chunks / 3:
				group.Go(func() error { return n.comeBack(inner, first) })
			}
			select {
			case next <- i:
			case <-inner.Done():
				return inner.Err()
			}
		}
		return nil
	})
	for range 8 {
		group.Go(func() error {
			for i := range next {
				size, err := importChunk(inner, author, keys, n.listed+i*risk.MaxItems)
				if err != nil {
					return err
				}
				judge.know(i, size)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if err := n.load(); err != nil {
		return err
	}
	return n.together(ctx)
}

func (n *network) leader(ctx context.Context) (string, error) {
	rows, err := n.client.Status(ctx)
	if err != nil {
		return "", err
	}
	for _, r := range rows {
		if r.Role == "leader" {
			return r.Name, nil
		}
	}
	return "", fmt.Errorf("nobody leads")
}

// comeBack starts the leader of before again, which another must have followed.
func (n *network) comeBack(ctx context.Context, first string) error {
	now, err := n.leader(ctx)
	if err != nil {
		return err
	}
	if now == first {
		return fmt.Errorf("%s was killed and leads all the same", first)
	}
	return n.testnet(ctx, "restart", "--node", first)
}

// importChunk lists the members of one command, and says from which size on they are.
func importChunk(ctx context.Context, author *client.Author, keys *client.Keyring, from int) (uint64, error) {
	var text strings.Builder
	for i := range risk.MaxItems {
		fmt.Fprintln(&text, member(from+i))
	}
	template := client.NewReport(risk.KindDevice, time.Now())
	rows, err := template.OpenRows(strings.NewReader(text.String()), time.Now(), client.RowOptions{Format: client.FormatValues, Identity: risk.KindDevice.String()})
	if err != nil {
		return 0, err
	}
	importer := &client.Importer{Template: template, Keys: keys, To: author}
	result, err := importer.Run(ctx, rows)
	if err == nil && result.Accepted != risk.MaxItems {
		err = fmt.Errorf("%+v of a new command of %d", result, risk.MaxItems)
	}
	return result.Size, err
}

// chunkBook says from which size on each chunk is listed; 0 where that is not known.
type chunkBook struct {
	mu    sync.RWMutex
	sizes map[int]uint64
	known []int
}

func (b *chunkBook) note(chunk int, size uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sizes[chunk] = size
	b.known = append(b.known, chunk)
}

// pick gives the n-th chunk that is known, counted round; false while none is.
func (b *chunkBook) pick(n uint64) (chunk int, size uint64, ok bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if len(b.known) == 0 {
		return 0, 0, false
	}
	chunk = b.known[n%uint64(len(b.known))]
	return chunk, b.sizes[chunk], true
}
