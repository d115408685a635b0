package check

import (
	"errors"
	"fmt"

	"github.com/risknet/risknet/risk"
)

// Key is one token under one kind: what the filter holds.
type Key struct {
	Kind  risk.Kind
	Token risk.Token
}

// Source is the exact state behind a view. Any number of goroutines read it at
// once. It answers at the version asked, or with an error that wraps [ErrGone]
// when it does not keep that version any more.
type Source interface {
	// Standing gives every listing that is linked to a token, in whatever state
	// it is, and the sum of what it has read. The caller keeps what it gets, so the
	// Source must not change it.
	Standing(version uint64, kind risk.Kind, token risk.Token) ([]risk.Standing, Sum, error)
	// Tokens yields every token that has a listing, each once and in any order,
	// with its sum, and stops at the first error that yield returns. It fails unless
	// it has yielded all that there are.
	Tokens(version uint64, yield func(kind risk.Kind, token risk.Token, sum Sum) error) error
}

// Sum stands for all listings of a token as they are: each change of one of them
// adds to it, and without any it is 0. What a Source can only read a part of, or
// an older state of, has another sum. One that is 0 where there are listings is
// taken for not known.
type Sum = uint16

var (
	// ErrGone says that a Source does not keep the version asked. A check then
	// goes on with the newest view.
	ErrGone = errors.New("the version is not kept any more")
	// ErrEmpty says that no state was absorbed yet; there is nothing to answer from.
	ErrEmpty = errors.New("this node has no state yet: wait until it has caught up")
	// ErrBusy says that the base of the filter is already being rebuilt.
	ErrBusy = errors.New("the filter is already being rebuilt")

	errSuperseded = errors.New("the state was replaced during the build")
)

// QueryError says which field of a query cannot be asked, and why.
type QueryError struct{ Field, Text string }

func (e *QueryError) Error() string { return e.Field + ": " + e.Text }

// DamageError is an alarm: the filter holds a key and the Source does not give
// its listings as they are. Its text leaves the token out, so that it may be logged.
type DamageError struct {
	Version uint64
	Key     Key
	Err     error // nil when the Source gave fewer or older listings than there are
}

func (e *DamageError) Error() string {
	what := "the store has not all records of it"
	if e.Err != nil {
		what = e.Err.Error()
	}
	return fmt.Sprintf("damage: a listed %s at version %d cannot be read: %s", e.Key.Kind, e.Version, what)
}

func (e *DamageError) Unwrap() error { return e.Err }

// RulesError is an alarm: the rule set in force does not compile here, and the
// program of another version goes on in its place.
type RulesError struct {
	Version uint32 // the rule set that does not compile
	Running uint32 // the one that runs; 0 for none
	Err     error
}

func (e *RulesError) Error() string {
	instead := fmt.Sprintf("version %d goes on", e.Running)
	if e.Running == 0 {
		instead = "and there is none to fall back on"
	}
	return fmt.Sprintf("rule set %d does not compile on this node, %s: %v", e.Version, instead, e.Err)
}

func (e *RulesError) Unwrap() error { return e.Err }

// BuildError is an alarm: the base of the filter could not be rebuilt. The old
// one stays, and misses nothing.
type BuildError struct{ Err error }

func (e *BuildError) Error() string { return fmt.Sprintf("rebuild the filter: %v", e.Err) }

func (e *BuildError) Unwrap() error { return e.Err }
