package audit

import (
	"context"
	"time"

	"github.com/risknet/risknet/risk"
)

// Line is one leaf for people.
type Line struct {
	Leaf     uint64
	At       time.Time
	Command  risk.Hash
	Kind     string
	Author   risk.ID
	Proposer risk.ID // the node that led
	Refusal  string  // empty if it was accepted
	Items    int
	Outcomes map[string]int // items by what became of them
}

// Filter says which leaves are wanted; what is zero takes all.
type Filter struct {
	Author  risk.ID
	Kind    string
	Refused bool // only commands that were refused, or have an item that was
}

func (f *Filter) takes(l *Line) bool {
	return (f.Author.IsZero() || l.Author == f.Author) && (f.Kind == "" || l.Kind == f.Kind) &&
		(!f.Refused || l.Refusal != "" || l.Outcomes[risk.Refused.String()] > 0)
}

// Describe reads a leaf for people.
func Describe(index uint64, data []byte) (*Line, error) {
	leaf, err := risk.DecodeLeaf(data)
	if err != nil {
		return nil, &BadLeaf{index, err.Error()}
	}
	command, err := risk.DecodeCommand(leaf.Header)
	if err != nil {
		return nil, &BadLeaf{index, err.Error()}
	}
	return DescribeLeaf(index, leaf, command), nil
}

// DescribeLeaf describes one that has been read.
func DescribeLeaf(index uint64, leaf *risk.Leaf, command *risk.Command) *Line {
	l := &Line{Leaf: index, At: time.UnixMilli(leaf.At), Command: risk.CommandID(leaf.Header), Kind: command.Params.Kind().String(),
		Author: command.Author, Proposer: leaf.Proposer, Items: len(command.Items), Outcomes: map[string]int{}}
	if leaf.Refusal != risk.Accepted {
		l.Refusal = leaf.Refusal.String()
	}
	for _, o := range leaf.Outcomes {
		l.Outcomes[o.Status.String()]++
	}
	return l
}

// Tail visits the leaves from one index on, and goes on with new ones if it is to
// follow. Each bundle is held to the checkpoint before it is shown.
func Tail(ctx context.Context, log *Log, from uint64, follow bool, filter Filter, show func(*Line) error) error {
	for {
		signed, err := log.Checkpoint(ctx)
		if err != nil {
			return err
		}
		if signed.Size > from {
			if err := log.show(ctx, signed, from, filter, show); err != nil {
				return err
			}
			from = signed.Size
		}
		if !follow {
			return nil
		}
		if err := wait(ctx, time.Second); err != nil {
			return nil // the caller has seen enough
		}
	}
}

func (l *Log) show(ctx context.Context, signed *Signed, from uint64, filter Filter, show func(*Line) error) error {
	return l.Leaves(ctx, from, signed.Size, func(first uint64, leaves [][]byte) error {
		if err := l.hold(ctx, signed.Checkpoint, first, leaves); err != nil {
			return err
		}
		for i, data := range leaves {
			line, err := Describe(first+uint64(i), data)
			if err != nil {
				return err
			}
			if !filter.takes(line) {
				continue
			}
			if err := show(line); err != nil {
				return err
			}
		}
		return nil
	})
}
