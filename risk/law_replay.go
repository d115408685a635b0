package risk

import "slices"

// A replay meets three sorts of items. Where the body is there, and the body of
// the listing that it meets, the law decides as it did the first time. Where a
// body is gone, the leaf's own outcome says what cannot be known any more (which
// token it was, whether the content was the same); what stands in clear is still
// held to the law, and the state digest in the leaf shows whether the rest was
// true. A body is gone by a lawful demand, or because nobody keeps it: of a
// listing that was revised, extended, lifted or removed.

// recordedAt is the outcome of item i; a leaf with too few has an item refused.
func recordedAt(recorded []Outcome, i int) Outcome {
	if i < len(recorded) {
		return recorded[i]
	}
	return Outcome{Status: Refused, Refusal: Malformed}
}

func (s *step) replay(id ItemID, it *Item, body Body, was Outcome) (Outcome, error) {
	switch {
	case body.Erased() && was.Status == Refused:
		return was, nil
	case it.Op != ItemPublish:
		return s.list(id, it, body) // of its body the law only asks that it be text
	case body.Erased():
		return s.replayErased(id, it, was)
	}
	if was.Status == Unchanged || was.Status == Extended || replaces(was.Status) {
		blind, err := s.replayBlind(id, it, body, was)
		if err != nil || blind {
			return was, err
		}
	}
	return s.publish(id, it, body)
}

// replayBlind takes over the outcome of an item that met a listing whose body is
// gone, and reports whether it did. The item's own body links the listing again.
func (s *step) replayBlind(id ItemID, it *Item, body Body, was Outcome) (bool, error) {
	l, err := LoadListing(s, was.Target)
	if err != nil || l == nil {
		return false, err
	}
	kept, err := s.Body(l.Rev)
	if err != nil || !kept.Erased() {
		return false, err
	}
	key, err := s.keyIn(it, body)
	if err != nil {
		return false, err
	}
	if _, err := s.meet(id, it, body, was); err != nil {
		return false, err
	}
	if !replaces(was.Status) {
		return true, nil // it is still without a body, so nothing can be asked of it
	}
	return true, s.Link(key, was.Target)
}

func (s *step) replayErased(id ItemID, it *Item, was Outcome) (Outcome, error) {
	switch was.Status {
	case Created:
		if err := s.publishable(it); err != nil {
			return Outcome{}, err
		}
		return was, s.create(id, it, Body{}, nil)
	case Unchanged, Extended, Revised, WasRenewed:
		return s.meet(id, it, Body{}, was)
	default:
		return Outcome{}, refuse(BadField, "outcome", "no publication is %s", was.Status)
	}
}

// replaces reports whether an item of this status took the place of another's body.
func replaces(status Status) bool { return status == Revised || status == WasRenewed }

// meet does to the target what the outcome says, if the clear part allows it.
func (s *step) meet(id ItemID, it *Item, body Body, was Outcome) (Outcome, error) {
	if err := s.publishable(it); err != nil {
		return Outcome{}, err
	}
	l := &Listing{ID: was.Target}
	raw, err := s.load(l.key(), l.read)
	switch {
	case err != nil:
		return Outcome{}, err
	case raw == nil:
		return Outcome{}, refuse(NotFound, "target", "no listing %s", was.Target)
	case l.about(Token{}) != ListingKey{Kind: it.Kind, Reporter: s.cmd.Author, List: it.List, Code: it.Code}:
		return Outcome{}, refuse(BadField, "target", "listing %s is about something else", was.Target)
	case l.StateAt(s.now).Terminal():
		return Outcome{}, refuse(Ended, "target", "listing %s has ended", was.Target)
	}
	same := slices.Equal(l.Item.appendContent(nil), it.appendContent(nil))
	switch {
	case was.Status == WasRenewed && !s.renewable(l, it):
		return Outcome{}, refuse(BadField, "outcome", "listing %s cannot be renewed by this item", was.Target)
	case replaces(was.Status):
		return was, s.revise(l, raw, id, it, body, was.Status == WasRenewed)
	case !same || (was.Status == Extended) != l.extendedBy(it):
		return Outcome{}, refuse(BadField, "outcome", "listing %s was not %s by this item", was.Target, was.Status)
	case was.Status == Extended:
		return was, s.extend(l, raw, it)
	default:
		return was, nil
	}
}
