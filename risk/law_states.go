package risk

import (
	"cmp"
	"unicode/utf8"
)

// ReviewAt is when the listing needs to be looked at again: the date that its body
// names, else half way between what the source last said, or the report if that came
// later, and the expiry. It moves on with each newer source date.
func (s *Standing) ReviewAt() int64 { return s.Listing.reviewAt(&s.Body) }

func (l *Listing) reviewAt(body *ListingBody) int64 {
	said := max(l.ReportedAt, l.Item.SourceDate)
	return cmp.Or(body.Review, said+(l.Item.Expiry-said)/2)
}

// StateAt gives the state at a time: past its review a listing is in force still,
// until new evidence renews it or it expires.
func (s *Standing) StateAt(t int64) ListingState {
	state := s.Listing.StateAt(t)
	if (state == Active || state == Renewed) && t >= s.ReviewAt() {
		return ReviewDue
	}
	return state
}

// renewable is what the clear part and the state say of a renewal: it needs a newer
// source date, and a listing that is in force by itself. What the hub has suspended
// comes back by the hub alone.
func (s *step) renewable(l *Listing, it *Item) bool {
	return s.net.Protocol >= 2 && (l.State == Active || l.State == Renewed) && it.SourceDate > l.Item.SourceDate
}

// renews reports whether other content is a renewal and no mere revision.
func (s *step) renews(l *Listing, it *Item, was Body) (bool, error) {
	if !s.renewable(l, it) {
		return false, nil
	}
	body, err := DecodeListingBody(was.Data)
	if err != nil {
		return false, err
	}
	return s.now >= l.reviewAt(body), nil
}

// suspend takes a listing out of force and resume brings it back. Its expiry goes on
// counting.
func (s *step) suspend(it *Item, body Body) (Outcome, error) {
	if err := checkNote(body); err != nil {
		return Outcome{}, err
	}
	l, raw, err := s.target(it.Target)
	suspends := it.Op == ItemSuspend
	switch {
	case err != nil:
		return Outcome{}, err
	case !s.isHub():
		return Outcome{}, refuse(NotPermitted, "target", "only the hub suspends and resumes a listing; its reporter may lift it")
	case l.StateAt(s.now).Terminal():
		return Outcome{}, ended(it.Target)
	case suspends == (l.State == Suspended):
		return Outcome{}, refuse(NothingToDo, "target", "listing %s is %s", it.Target, l.State)
	}
	out := Outcome{Status: WasResumed, Target: l.ID}
	l.State, l.ChangedAt = Active, s.now
	if suspends {
		l.State, out.Status = Suspended, WasSuspended
	}
	return out, s.keep(l, raw)
}

func checkNote(body Body) error {
	if len(body.Data) > MaxTextBytes || !utf8.Valid(body.Data) {
		return refuse(BadField, "note", "must be UTF-8 of at most %d bytes", MaxTextBytes)
	}
	return nil
}

func ended(id ItemID) error {
	return refuse(Ended, "target", "listing %s has ended; a terminal state never comes back", id)
}

// target reads a listing that an item is about.
func (s *step) target(id ListingID) (*Listing, []byte, error) {
	l := &Listing{ID: id}
	raw, err := s.load(l.key(), l.read)
	if err == nil && raw == nil {
		err = refuse(NotFound, "target", "no listing %s", id)
	}
	return l, raw, err
}

// keep writes a listing whose due time is what it was.
func (s *step) keep(l *Listing, raw []byte) error {
	due := l.purgeAt()
	return s.Put(Change{Key: l.key(), Old: raw, New: l.appendTo(nil), OldDue: due, NewDue: due})
}
