package node

import (
	"github.com/risknet/risknet/consensus"
	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/store"
)

// machine is how consensus sees the store: this is where the two meet.
type machine struct{ node *Node }

func (m *machine) Position() consensus.Position { return positionOf(m.node.store.Position()) }

func (m *machine) LastAt() int64 { return m.node.store.LastAt() }

func (m *machine) ApplyBatch(entries []consensus.Entry) ([]any, error) {
	batch := storeEntries(entries)
	results := make([]any, len(entries))
	for i, applied := range m.node.store.Apply(batch) {
		results[i] = applied
	}
	return results, m.node.store.Err()
}

func storeEntries(entries []consensus.Entry) []store.Entry {
	batch := make([]store.Entry, len(entries))
	for i, e := range entries {
		batch[i] = store.Entry{Index: e.Index, Term: e.Term, Data: e.Data}
		switch e.Kind {
		case consensus.Command:
			batch[i].Kind = store.Command
		case consensus.Configuration:
			batch[i].Kind = store.Configuration
		default:
			batch[i].Kind = store.Other
		}
	}
	return batch
}

func (m *machine) Sync() error {
	err := m.node.store.Sync()
	if err == nil {
		m.node.env.Synced()
	}
	return err
}

func positionOf(p store.Position) consensus.Position {
	return consensus.Position{Index: p.Index, Term: p.Term, Configuration: p.Configuration, ConfigurationIndex: p.ConfigurationIndex}
}

func (m *machine) OpenImage(wanted func() error) (consensus.Image, error) {
	image, err := m.node.store.OpenImage(wanted)
	if err != nil {
		return nil, err
	}
	return sentImage{image}, nil
}

// sentImage and staging give consensus its own words for a position.
type sentImage struct{ *store.Image }

func (i sentImage) Position() consensus.Position { return positionOf(i.Image.Position()) }

func (m *machine) StageImage() (consensus.Staging, error) {
	st, err := m.node.store.Stage()
	if err != nil {
		return nil, err
	}
	return staging{st, m.node}, nil
}

type staging struct {
	*store.Staging
	node *Node
}

// Install also holds the configuration that comes with an image to its node records:
// the configuration is outside the state's digest.
func (s staging) Install(want consensus.Position) error {
	accept := func(nodes []*risk.PutNode) error { return s.node.acceptServers(want, nodes) }
	err := s.Staging.Install(store.Position{Index: want.Index, Term: want.Term, Configuration: want.Configuration, ConfigurationIndex: want.ConfigurationIndex}, accept)
	if err == nil {
		s.node.env.Synced()
	}
	return err
}
