package check

import (
	"fmt"
	"time"

	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/rules"
)

// Query is one check. One goroutine uses it at a time; using it again for the
// next check spares the room that it keeps for its own work. The zero value with
// some subjects is ready.
type Query struct {
	Payment  risk.Payment
	Subjects []Subject
	MaxAge   time.Duration // stricter than the configured one; zero to leave it

	work *work
}

// Subject is one party or thing in a payment.
type Subject struct {
	Kind risk.Kind
	Role risk.Role
	// Asked are the tokens that could list it: under each live epoch, with each
	// prefix or parent in use, an e-mail's and an address's domain among them.
	Asked []risk.Asked
}

func (q *Query) validate() error {
	if n := len(q.Subjects); n > risk.MaxSubjects {
		return badQuery("subjects", "%d are named; at most %d are allowed in one check", n, risk.MaxSubjects)
	}
	asked := 0
	for i := range q.Subjects {
		s := &q.Subjects[i]
		asked += len(s.Asked)
		switch {
		case !s.Kind.Valid():
			return badQuery(fmt.Sprintf("subjects[%d].kind", i), "%s is not known", s.Kind)
		case !s.Role.Valid():
			return badQuery(fmt.Sprintf("subjects[%d].role", i), "%s is not known; use payer, payee or other", s.Role)
		}
		for j := range s.Asked {
			if !s.Asked[j].Kind.Valid() {
				return badQuery(fmt.Sprintf("subjects[%d].asked[%d].kind", i, j), "%s is not known", s.Asked[j].Kind)
			}
		}
	}
	if asked > risk.MaxAsked {
		return badQuery("subjects", "they ask for %d tokens; at most %d are allowed in one check: name fewer subjects", asked, risk.MaxAsked)
	}
	if q.MaxAge < 0 {
		return badQuery("max_age", "is %v; give a positive duration", q.MaxAge)
	}
	return nil
}

func badQuery(field, format string, args ...any) error {
	return &QueryError{Field: field, Text: fmt.Sprintf(format, args...)}
}

// work is the room of one check, used again by the next.
type work struct {
	c     *Checker
	view  *View
	v     *risk.Verdict
	now   int64
	phase risk.Phase

	prints []uint64 // of the tokens, in the order in which they are asked
	warmed uint64   // keeps the compiler from leaving [filter.warm] out

	facts    rules.Facts
	decision rules.Decision
	found    []standing
	heard    []*risk.Standing // all listings of the subject that is looked at
	any      tally
	byRole   [risk.Roles]tally
	byKind   [risk.Kinds]tally
	tallied  bool
	seen     seen

	program *rules.Program // of the check before

	lookups uint64 // not yet in the shared counter
	asked   uint64 // in this check, so far
}

// standing is one listing that speaks about one subject.
type standing struct {
	*risk.Standing
	subject int
}

// portion is how many lookups a query keeps to itself before it adds them to
// the counter that all share.
const portion = 1024

func (w *work) count() {
	w.lookups += w.asked
	if w.asked = 0; w.lookups >= portion {
		w.c.counters.lookups.Add(w.lookups)
		w.lookups = 0
	}
}

// tally gathers what the listings say about some subjects, and remembers who
// reported, so that each reporter counts once.
type tally struct{ reporters []risk.ID }

func (t *tally) add(about *rules.About, s *risk.Standing) {
	it := &s.Listing.Item
	about.Suspect = true
	about.Black = about.Black || it.List == risk.ListBlack
	about.Hint = about.Hint || it.List == risk.ListHint
	about.Watch = about.Watch || it.List == risk.ListWatch
	if level := uint8(it.Level); about.Level == 0 || level != 0 && level < about.Level {
		about.Level = level // 1 is the gravest
	}
	if len(about.Codes) < rules.MaxCodes && !contains(about.Codes, it.Code) {
		about.Codes = append(about.Codes, it.Code)
	}
	if !contains(t.reporters, s.Listing.Reporter) {
		t.reporters = append(t.reporters, s.Listing.Reporter)
		about.Reporters++
	}
}

func contains[T comparable](list []T, one T) bool {
	for i := range list {
		if list[i] == one {
			return true
		}
	}
	return false
}

// forget empties the tallies. Few checks fill them, so few pay for this.
func (w *work) forget() {
	if !w.tallied {
		return
	}
	w.tallied, w.any.reporters = false, w.any.reporters[:0]
	for i := range w.byRole {
		w.byRole[i].reporters = w.byRole[i].reporters[:0]
	}
	for i := range w.byKind {
		w.byKind[i].reporters = w.byKind[i].reporters[:0]
	}
}
