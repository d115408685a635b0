package consensus

import "io"

// Kind says what an entry is.
type Kind uint8

const (
	// Command carries a proposed payload.
	Command Kind = iota + 1
	// Configuration carries the servers of the network in this package's own
	// encoding. A machine stores the last one and its index, and gives it back in
	// its Position.
	Configuration
	// Barrier carries nothing and only moves the position.
	Barrier
)

// Entry is one committed entry of the log. Indexes rise but may have gaps: raft
// keeps its own empty entries to itself.
type Entry struct {
	Index, Term uint64
	Kind        Kind
	Data        []byte // owned by the log: not to be changed
}

// Position is how far a state has come. The zero Position is the empty state.
type Position struct {
	Index, Term uint64 // of the last entry in the state
	// Configuration is the data of the last entry of that kind in the state, and
	// ConfigurationIndex that entry's index. Not empty unless Index is 0.
	Configuration      []byte
	ConfigurationIndex uint64
}

// Servers is what the configuration says.
func (p Position) Servers() ([]Server, error) {
	if len(p.Configuration) == 0 {
		return nil, nil
	}
	conf, err := decodeConfiguration(p.Configuration)
	return servers(conf), err
}

// Machine is the replicated state. Data and position move together: after a
// crash at any moment the position tells exactly what the data holds, though both
// may fall back to the last Sync.
type Machine interface {
	// Position is where the state stands. It may be called at any time.
	Position() Position

	// LastAt is the highest stamp among the applied entries, in Unix milliseconds.
	// It may be called at any time, and often.
	LastAt() int64

	// ApplyBatch applies entries in order and returns one result for each; those
	// of other kinds than Command are ignored and may be nil. Calls never overlap
	// with each other or with Install. An entry at or below the position is skipped.
	//
	// An error means that this machine can apply nothing more: the replica then
	// delivers nothing, cuts nothing, and says so in Replica.Failed.
	ApplyBatch(entries []Entry) ([]any, error)

	// Sync returns when everything applied before the call is on disk. It runs
	// beside ApplyBatch. After an error this machine is done for, as after one of
	// ApplyBatch: what a failed sync has lost no later one brings back.
	Sync() error

	// OpenImage makes a self-contained image of the state at its position or a later
	// one. It runs beside ApplyBatch, at most twice at a time. One that takes long asks
	// wanted now and then, and gives up with the error that it gets.
	OpenImage(wanted func() error) (Image, error)

	// StageImage makes room for an image that another server sends. A staging that
	// an earlier process left behind is garbage.
	StageImage() (Staging, error)
}

// Image is a copy of the state, ready to be sent.
type Image interface {
	io.ReadCloser
	Size() int64 // bytes that Read will give, exactly
	Position() Position
}

// Staging receives an image beside the living state.
type Staging interface {
	io.Writer
	// Install verifies the whole image, refuses one that is not at want, and
	// switches to it, durably and atomically. After an error the old state stands
	// untouched. ApplyBatch does not run meanwhile.
	Install(want Position) error
	// Discard frees what was staged. It is called once, also after Install.
	Discard() error
}
