package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/risknet/risknet/client"
)

// manyTrials are of three nodes with ten million listings.
func (n *network) manyTrials(o options) []trial {
	imports := trial{goes: 1, rows: []row{
		{name: "import-10m", what: fmt.Sprintf("%d listings through consensus until three nodes have them", o.many), peer: onlyBadger, unit: "s", most: 300},
		{name: "import-10m-anon", what: "RssAnon of a node meanwhile, highest", unit: "MiB", most: 1536},
	}, measure: func(ctx context.Context) (figures, figures, error) {
		theirs, err := n.besideBadger(ctx, o.many)
		if err != nil {
			return nil, nil, err
		}
		t, err := n.takeIn(ctx, o.many)
		return figures{"import-10m": theirs.Load}, figures{"import-10m": t.seconds, "import-10m-anon": t.anon}, err
	}}
	join := joinTrial(n, o.many,
		row{name: "image-10m", what: fmt.Sprintf("a new node with %d listings, from the invitation to ready", o.many), peer: onlyBadger, unit: "s"},
		row{name: "image-10m-anon", what: "RssAnon of sender and receiver meanwhile, the higher", unit: "MiB", most: 1536})
	join.goes = 1
	return n.having(o, []trial{imports, n.restTrial(o), n.restartTrial(o), join})
}

// having lets each trial but the first find what the first lists.
func (n *network) having(o options, trials []trial) []trial {
	for i := range trials[1:] {
		prepare := trials[1+i].prepare
		trials[1+i].prepare = func(ctx context.Context) (func(), error) {
			if err := n.list(ctx, o.many); err != nil {
				return nil, err
			}
			if err := n.idle(ctx); err != nil || prepare == nil {
				return func() {}, err
			}
			return prepare(ctx)
		}
	}
	return trials
}

// restTrial is the memory of nodes that do nothing else, once they have given back what
// the work before it took.
func (n *network) restTrial(o options) trial {
	return trial{goes: 1, rows: []row{
		{name: "rest-anon", what: fmt.Sprintf("RssAnon of a node at rest with %d listings, highest of three", o.many), unit: "MiB", most: 600},
		{name: "filter-bytes", what: "filter and fingerprints, a listing", unit: "bytes", most: 12},
	}, measure: func(ctx context.Context) (figures, figures, error) {
		ours := figures{}
		var err error
		if ours["rest-anon"], err = n.settled(ctx); err != nil {
			return nil, nil, err
		}
		for _, node := range n.nodes {
			bytes, err := n.metric(ctx, node, "risknet_filter_bytes")
			if err != nil {
				return nil, nil, err
			}
			tokens, err := n.metric(ctx, node, "risknet_filter_listings")
			if err != nil {
				return nil, nil, err
			}
			ours["filter-bytes"] = max(ours["filter-bytes"], bytes/max(1, tokens))
		}
		return nil, ours, nil
	}}
}

// restartTrial kills a node and starts it again: how soon it answers, and how soon as
// fast as before.
func (n *network) restartTrial(o options) trial {
	return trial{rows: []row{
		{name: "restart-right", what: fmt.Sprintf("SIGKILL with %d listings, from the new process to right answers; theirs is to open it and see all keys", o.many), peer: onlyBadger, unit: "s", most: 2},
		{name: "restart-fast", what: "the same, to nine tenths of the speed of before", unit: "s", most: 20},
	}, measure: func(ctx context.Context) (figures, figures, error) {
		theirs, err := n.besideBadger(ctx, o.many)
		if err != nil {
			return nil, nil, err
		}
		node := n.nodes[len(n.nodes)-1]
		before, err := n.speedOf(ctx, node)
		if err != nil {
			return nil, nil, err
		}
		if err := n.testnet(ctx, "kill", "--node", node.Name); err != nil {
			return nil, nil, err
		}
		began := time.Now()
		restarted := make(chan error, 1)
		go func() { restarted <- n.testnet(ctx, "restart", "--node", node.Name) }()
		right, err := n.firstRight(ctx, node)
		if err != nil {
			return nil, nil, err
		}
		ours := figures{"restart-right": right.Sub(began).Seconds()}
		for {
			now, err := n.speedOf(ctx, node)
			if err == nil && now >= 0.9*before {
				ours["restart-fast"] = time.Since(began).Seconds()
				break
			}
			if ctx.Err() != nil {
				return nil, nil, ctx.Err()
			}
		}
		if err := <-restarted; err != nil {
			return nil, nil, err
		}
		if err := n.load(); err != nil { // the process is another
			return nil, nil, err
		}
		return figures{"restart-right": theirs.Scan}, ours, n.idle(ctx)
	}}
}

// firstRight asks a node until it knows a listed subject and a clear one.
func (n *network) firstRight(ctx context.Context, node plannedNode) (time.Time, error) {
	c, err := client.Dial(n.client.Profile(), node.API)
	if err != nil {
		return time.Time{}, err
	}
	defer c.Close()
	for {
		var listed, clear client.Question
		if err := listed.Set("payee.device", member(0)); err != nil {
			return time.Time{}, err
		}
		if err := clear.Set("payee.device", member(-1)); err != nil {
			return time.Time{}, err
		}
		yes, err := c.Check(ctx, &listed)
		no, err2 := c.Check(ctx, &clear)
		switch {
		case ctx.Err() != nil:
			return time.Time{}, ctx.Err()
		case err == nil && err2 == nil && (!yes.Listed || no.Listed):
			return time.Time{}, fmt.Errorf("%s answers listed %t and %t for what is listed and what is not", node.Name, yes.Listed, no.Listed)
		case err == nil && err2 == nil && !yes.Stale && !no.Stale:
			return time.Now(), nil
		}
		pause(ctx, 5*time.Millisecond)
	}
}

// speedOf is what a node answers in a second of batches.
func (n *network) speedOf(ctx context.Context, node plannedNode) (float64, error) {
	result, err := n.client.Load(ctx, client.Load{Mode: "batch", Duration: time.Second, Subjects: subjects, Address: node.API})
	if err == nil && result.Errors > 0 {
		err = fmt.Errorf("%d checks failed", result.Errors)
	}
	return float64(result.Checks) / max(result.Seconds, 1e-9), err
}

// metric reads one that has no labels from a node.
func (n *network) metric(ctx context.Context, node plannedNode, name string) (float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+node.HTTP+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	transport := &http.Transport{TLSClientConfig: n.client.TLSConfig().Clone()}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	return metricIn(response.Body, name)
}

func metricIn(text io.Reader, name string) (float64, error) {
	for lines := bufio.NewScanner(text); lines.Scan(); {
		if value, found := strings.CutPrefix(lines.Text(), name+" "); found {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("metrics: there is no %s", name)
}
