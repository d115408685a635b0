package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// onlyBadger is the peer of what ends in badger: one store that nobody shares, with as
// many entries of 100 bytes, and nothing of the law, the ledger and the filter.
const onlyBadger = "badger alone, once"

// cuts are settings by which a small network sends images and not its log, as one does
// that has lived for long.
var cuts = []string{"RISKNET_NODE_RAFT_TRAILING_LOGS=64", "RISKNET_NODE_RAFT_SNAPSHOT_THRESHOLD=256", "RISKNET_NODE_RAFT_SNAPSHOT_INTERVAL=1s"}

// taken is an import as it was seen: from its first byte until all nodes had it.
type taken struct{ seconds, anon float64 }

func (n *network) takeIn(ctx context.Context, until int) (taken, error) {
	highest := n.peak(ctx)
	began := time.Now()
	err := n.list(ctx, until)
	if err == nil {
		err = n.together(ctx)
	}
	return taken{time.Since(began).Seconds(), highest()}, err
}

// millionTrials import a million through consensus, each time into a new network of
// three, and let one more node into such a network.
func millionTrials(o options) []trial {
	imports := trial{rows: []row{
		{name: "import-1m", what: fmt.Sprintf("%d listings through consensus until three nodes have them", o.million), peer: onlyBadger, unit: "s", most: 20},
		{name: "import-1m-anon", what: "RssAnon of a node meanwhile, highest", unit: "MiB", most: 1536},
	}, measure: func(ctx context.Context) (figures, figures, error) {
		theirs, err := badgerAlone(ctx, o.million)
		if err != nil {
			return nil, nil, err
		}
		n, program, err := fresh(ctx, &network{size: 3})
		if err != nil {
			return nil, nil, err
		}
		defer program.remove()
		defer n.close()
		t, err := n.takeIn(ctx, o.million)
		return figures{"import-1m": theirs.Load}, figures{"import-1m": t.seconds, "import-1m-anon": t.anon}, err
	}}
	return []trial{imports, joinTrial(&network{size: 3, environment: cuts}, o.million,
		row{name: "image-1m", what: fmt.Sprintf("a new node with %d listings, from the invitation to ready", o.million), peer: onlyBadger, unit: "s", most: 6},
		row{name: "image-1m-anon", what: "RssAnon of sender and receiver meanwhile, the higher", unit: "MiB", most: 1536})}
}

// fresh starts a network of its own.
func fresh(ctx context.Context, n *network) (*network, *program, error) {
	program, err := build(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := n.start(ctx, program); err != nil {
		program.remove()
		return nil, nil, err
	}
	return n, program, nil
}

// joinTrial lets a new node into a network of so many listings, while all others are
// asked and judged.
func joinTrial(n *network, count int, seconds, anon row) trial {
	return trial{rows: []row{seconds, anon},
		prepare: func(ctx context.Context) (func(), error) {
			if n.client != nil { // somebody else started it
				return func() {}, nil
			}
			_, program, err := fresh(ctx, n)
			if err != nil {
				return nil, err
			}
			done := func() { n.close(); program.remove() }
			if err := n.list(ctx, count); err != nil {
				done()
				return nil, err
			}
			return done, n.idle(ctx)
		},
		measure: func(ctx context.Context) (figures, figures, error) {
			theirs, err := n.besideBadger(ctx, count)
			if err != nil {
				return nil, nil, err
			}
			judge := newJudge(n, count)
			asking := judge.ask(ctx, pausing)
			highest := n.peak(ctx)
			began := time.Now()
			err = n.testnet(ctx, "add", "--timeout", "10m")
			took := time.Since(began).Seconds()
			if wrong := asking.stop(); err == nil {
				err = wrong
			}
			if err == nil && judge.right.Load() == 0 {
				err = errors.New("no check was answered meanwhile")
			}
			if err == nil {
				err = n.meet()
			}
			if err == nil {
				err = n.gotImage(ctx)
			}
			ours := figures{seconds.name: took, anon.name: highest()}
			if err == nil {
				err = n.lose(ctx)
			}
			return figures{seconds.name: theirs.Copy}, ours, err
		}}
}

// meet counts the newest node in; those that were lost stay in the plan of the network.
func (n *network) meet() error {
	planned, err := n.planned()
	if err == nil {
		n.nodes = append(n.nodes, planned[len(planned)-1])
	}
	return err
}

// lose takes the newest node out again, so that the next one meets the same network.
func (n *network) lose(ctx context.Context) error {
	last := len(n.nodes) - 1
	var removed struct{ Size uint64 }
	if err := n.risknet(ctx, &removed, "cluster", "remove", "--node", n.nodes[last].Name, "--yes"); err != nil {
		return err
	}
	if err := n.testnet(ctx, "stop", "--node", n.nodes[last].Name); err != nil {
		return err
	}
	n.nodes = n.nodes[:last]
	return n.idle(ctx)
}

// gotImage: the newest node was sent an image, and not the log.
func (n *network) gotImage(ctx context.Context) error {
	last := n.nodes[len(n.nodes)-1]
	images, err := n.metric(ctx, last, "risknet_raft_images_received_total")
	if err == nil && images == 0 {
		err = fmt.Errorf("%s came in by the log and not by an image", last.Name)
	}
	return err
}

// besideBadger measures the peer once for a network: it takes minutes.
func (n *network) besideBadger(ctx context.Context, count int) (a alone, err error) {
	if n.beside == nil {
		if a, err = badgerAlone(ctx, count); err != nil {
			return a, err
		}
		n.beside = &a
	}
	return *n.beside, nil
}
