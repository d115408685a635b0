//go:build chaos

package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/client"
)

// healTime is how long a network may take to be healthy (I9).
const healTime = 30 * time.Second

// healthy waits until the network is: every node ready with a fresh view, one
// leader for all, nobody behind, as many votes as were planned, and a new command
// goes through.
func (n *network) healthy(ctx context.Context, l *load) error {
	ctx, cancel := context.WithTimeout(ctx, 2*healTime)
	defer cancel()
	began := time.Now()
	if err := until(ctx, 50*time.Millisecond, func() error { return n.agreed(ctx) }); err != nil {
		return err
	}
	_, err := l.awaitBegunAfter(ctx, began)
	return err
}

func (n *network) agreed(ctx context.Context) error {
	leader, newest, voters := "", n.witness.Newest(), 0
	for i, name := range n.names() {
		status, err := n.ask(ctx, name)
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", name, err)
		case !status.Ready || status.AgeMs > 1000:
			return fmt.Errorf("%s: ready=%v, age %d ms", name, status.Ready, status.AgeMs)
		case status.Size < newest:
			return fmt.Errorf("%s: size %d, and %d was shown", name, status.Size, newest)
		case status.Leader == "" || i > 0 && status.Leader != leader:
			return fmt.Errorf("%s follows %q, others %q", name, status.Leader, leader)
		}
		leader = status.Leader
		if status.Role == "leader" || status.Role == "voter" {
			voters++
		}
	}
	if voters < n.voters {
		return fmt.Errorf("%d of %d votes are back", voters, n.voters)
	}
	return nil
}

// compare holds every node to every acknowledgement and to every other node. It
// runs while nothing is written.
func (n *network) compare(ctx context.Context, l *load) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	if err := n.equal(ctx); err != nil {
		n.witness.Violate(Agree, "", "the nodes do not become equal: %v", err)
		return nil
	}
	expected := n.witness.Expected()
	byToken := map[string]string{}
	for name := range expected {
		asked, err := n.ring.List(kindOfLoad, name)
		if err != nil {
			return err
		}
		byToken[string(asked.Token[:])] = name
	}
	for _, name := range n.names() {
		if err := n.holds(ctx, name, expected, byToken); err != nil {
			return fmt.Errorf("%s: export: %w", name, err)
		}
	}
	return n.sendAgain(ctx, l)
}

// equal waits until all nodes have the same size, and compares what they have.
func (n *network) equal(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	var rows []*apiv1.NodeStatusResponse
	err := until(ctx, 50*time.Millisecond, func() error {
		rows = nil
		for _, name := range n.names() {
			row, err := n.ask(ctx, name)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			rows = append(rows, row)
			if row.Size != rows[0].Size || row.Size < n.witness.Newest() {
				return fmt.Errorf("%s has size %d, %s has %d, %d was shown", row.Name, row.Size, rows[0].Name, rows[0].Size, n.witness.Newest())
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, row := range rows[1:] {
		first := rows[0]
		if !bytes.Equal(row.Root, first.Root) || !bytes.Equal(row.Digest, first.Digest) {
			n.witness.Violate(Same, row.Name, "at size %d: root %x digest %x, and %s has root %x digest %x", row.Size, row.Root, row.Digest, first.Name, first.Root, first.Digest)
		}
		if row.Listings != first.Listings {
			n.witness.Violate(Agree, row.Name, "at size %d: %d listings, and %s has %d", row.Size, row.Listings, first.Name, first.Listings)
		}
	}
	return nil
}

// holds reads everything that a node holds: each subject that was acknowledged
// is as it was acknowledged, and no two listings of it are in force.
func (n *network) holds(ctx context.Context, name string, expected map[string]bool, byToken map[string]string) error {
	p, err := n.Node(name)
	if err != nil {
		return err
	}
	profile, err := client.LoadProfile(n.Profiles["hub"])
	if err != nil {
		return err
	}
	c, err := client.Dial(profile, p.API)
	if err != nil {
		return err
	}
	defer c.Close()
	now, inForce := time.Now(), map[string]int{}
	err = c.Export(ctx, true, func(listing *apiv1.Listing) error {
		if subject, ours := byToken[string(listing.Token)]; ours && client.InForce(listing, now) {
			inForce[subject]++
		}
		return nil
	})
	if err != nil {
		return err
	}
	for subject, listed := range expected {
		switch count := inForce[subject]; {
		case listed && count == 0:
			n.witness.Violate(Kept, name, "%s: was acknowledged as listed and has no listing in force", subject)
		case !listed && count > 0:
			n.witness.Violate(NeverClear, name, "%s: was lifted and has a listing in force", subject)
		case count > 1:
			n.witness.Violate(Kept, name, "%s: was published once and has %d listings in force", subject, count)
		}
	}
	return nil
}

// sendAgain sends a sample of commands again, each to some node: the outcome is
// the first one's, at the same leaf.
func (n *network) sendAgain(ctx context.Context, l *load) error {
	for i, sent := range l.sent {
		name := n.names()[i%len(n.Nodes)]
		p, err := n.Node(name)
		if err != nil {
			return err
		}
		conn, err := n.asks[name].Conn(p.API)
		if err != nil {
			return err
		}
		receipt, err := apiv1.NewCommandsClient(conn).Submit(ctx, &apiv1.SubmitRequest{Signed: sent.signed.Encode()})
		if err != nil {
			return fmt.Errorf("%s: send again: %w", name, err)
		}
		if !receipt.Repeated || receipt.Leaf != sent.leaf {
			n.witness.Violate(Kept, name, "a command of leaf %d was sent again and became leaf %d, repeated=%v", sent.leaf, receipt.Leaf, receipt.Repeated)
		}
	}
	return nil
}

// judgeHistory has porcupine look at the run.
func (n *network) judgeHistory(r *Result) error {
	ok, decided, operations := Linearizable(n.history, 30*time.Second)
	r.Operations += operations
	switch {
	case !decided:
		return errors.New("porcupine did not decide in 30 s")
	case !ok:
		n.witness.Violate(Linear, "", "the history of %d operations is not linearizable", operations)
	}
	return nil
}
