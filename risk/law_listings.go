package risk

import (
	"cmp"
	"math"
	"slices"
)

// listings judges each item by itself: one that is refused does not hold up the
// others.
func (s *step) listings(res *Result, recorded []Outcome) error {
	epochs, err := LoadEpochs(s)
	if err != nil {
		return err
	}
	s.epochs = epochs
	if s.lives, err = LoadLives(s); err != nil {
		return err
	}
	author, err := LoadInstitution(s, s.cmd.Author)
	if err != nil {
		return err
	}
	s.quarantined = author != nil && author.Stage == StageQuarantined
	return s.eachItem(res, func(id ItemID, it *Item, body Body) (Outcome, error) {
		if recorded != nil {
			return s.replay(id, it, body, recordedAt(recorded, int(id.Item)))
		}
		return s.list(id, it, body)
	})
}

func (s *step) list(id ItemID, it *Item, body Body) (Outcome, error) {
	switch it.Op {
	case ItemLift:
		return s.lift(it, body)
	case ItemSuspend, ItemResume:
		return s.suspend(it, body)
	default:
		return s.publish(id, it, body)
	}
}

// eachItem gives each item its outcome, which may be a refusal.
func (s *step) eachItem(res *Result, judge func(ItemID, *Item, Body) (Outcome, error)) error {
	res.Outcomes = make([]Outcome, len(s.cmd.Items))
	for i := range s.cmd.Items {
		out, err := judge(ItemID{Leaf: s.leaf, Item: uint16(i)}, &s.cmd.Items[i], s.entry.Signed.Bodies[i])
		if refusal, ok := asRefusal(err); ok {
			out, err = Outcome{Status: Refused, Refusal: refusal}, nil
		}
		if err != nil {
			return err
		}
		res.Outcomes[i] = out
	}
	return nil
}

func asRefusal(err error) (Refusal, bool) {
	if refusal, ok := err.(*Error); ok && refusal != nil {
		return refusal.Kind, true
	}
	return Accepted, false
}

// CheckPublish says what is wrong with a publication, as far as that can be
// known without the state. A broad scope is for the state to judge.
func CheckPublish(it *Item, now int64) error {
	switch {
	case !it.Kind.Valid():
		return refuse(BadField, "kind", "is not one that this protocol knows")
	case !it.Scope.FitsKind(it.Kind):
		return refuse(BadField, "scope", "%s does not fit a listing of kind %s", it.Scope, it.Kind)
	case it.Level < 1 || it.Level > 3:
		return refuse(BadField, "level", "must be 1 (gravest), 2 or 3")
	case !it.List.Valid():
		return refuse(BadField, "list", "must be black, hint or watch")
	case !it.Origin.Kind.Valid() || (it.Origin.Kind == OriginOwn) != it.Origin.Ref.IsZero():
		return refuse(BadField, "origin", "must be own, or authority or copy with the name of the source")
	case it.Expiry == 0:
		return refuse(BadExpiry, "expiry", "every listing ends; say when")
	case it.Expiry <= now:
		return refuse(BadExpiry, "expiry", "has passed; give a time to come")
	case it.Expiry > now+MaxListingMillis:
		return refuse(BadExpiry, "expiry", "is more than five years away")
	case it.SourceDate > now+MaxAheadMillis:
		return refuse(BadField, "source_date", "is in the future; say when the source last said so")
	}
	return nil
}

func (s *step) publish(id ItemID, it *Item, body Body) (Outcome, error) {
	if err := s.publishable(it); err != nil {
		return Outcome{}, err
	}
	key, err := s.keyIn(it, body)
	if err != nil {
		return Outcome{}, err
	}
	standing, found, err := s.Find(key)
	if err != nil {
		return Outcome{}, err
	}
	if found {
		l := &Listing{ID: standing}
		raw, err := s.load(l.key(), l.read)
		if err != nil {
			return Outcome{}, err
		}
		if raw != nil && !l.StateAt(s.now).Terminal() {
			return s.republish(l, raw, id, it, body)
		}
	}
	return Outcome{Status: Created}, s.create(id, it, body, &key)
}

// publishable is what the law asks of a publication's clear part.
func (s *step) publishable(it *Item) error {
	if s.quarantined {
		return refuse(NotPermitted, "author", "an institution that is quarantined lifts listings and reports none")
	}
	if err := CheckPublish(it, s.now); err != nil {
		return err
	}
	if err := s.lives.Check(it, s.now); err != nil {
		return err
	}
	if s.net.Protocol >= 2 && it.Code > MaxCode {
		return refuse(BadField, "code", "must be 0 to %d", MaxCode)
	}
	if it.Scope.Broad() && s.hubSigners() < BroadSigners {
		return refuse(NeedsCosigner, "scope", "%s is so broad that %d hub keys must sign it", it.Scope, BroadSigners)
	}
	return nil
}

// keyIn is what the law asks of a publication's body, and what it is about.
func (s *step) keyIn(it *Item, body Body) (ListingKey, error) {
	var content ListingBody
	if err := content.decode(body.Data); err != nil {
		return ListingKey{}, err
	}
	if !s.isLive(content.Epoch) {
		return ListingKey{}, refuse(EpochClosed, "epoch", "token epoch %d is not in use", content.Epoch)
	}
	return ListingKey{Kind: it.Kind, Token: content.Token, Reporter: s.cmd.Author, List: it.List, Code: it.Code}, nil
}

// create writes a new listing. key is nil when a replay meets an erased body.
func (s *step) create(id ItemID, it *Item, body Body, key *ListingKey) error {
	l := &Listing{ID: id, Reporter: s.cmd.Author, Item: *it, Rev: id, State: Active, ReportedAt: s.now, ChangedAt: s.now}
	if err := s.Put(Change{Key: l.key(), New: l.appendTo(nil), NewDue: l.purgeAt()}); err != nil {
		return err
	}
	s.count(it.Scope, 1)
	if it.Origin.Kind == OriginOwn {
		s.repute(l.Reporter, 1, 0)
	}
	if key == nil {
		return nil
	}
	if err := s.KeepBody(id, body); err != nil {
		return err
	}
	return s.Link(*key, id)
}

// republish meets a listing that stands: unchanged, extended, revised or renewed.
func (s *step) republish(l *Listing, raw []byte, id ItemID, it *Item, body Body) (Outcome, error) {
	was, err := s.Body(l.Rev)
	if err != nil {
		return Outcome{}, err
	}
	if sameContent(&l.Item, was.Data, it, body.Data) {
		if !l.extendedBy(it) {
			return Outcome{Status: Unchanged, Target: l.ID}, nil
		}
		return Outcome{Status: Extended, Target: l.ID}, s.extend(l, raw, it)
	}
	status := Revised
	renewed, err := s.renews(l, it, was)
	if renewed {
		status = WasRenewed
	}
	if err != nil {
		return Outcome{}, err
	}
	return Outcome{Status: status, Target: l.ID}, s.revise(l, raw, id, it, body, renewed)
}

// extendedBy reports whether a publication moves the listing's expiry out: a
// later expiry needs a newer source date.
func (l *Listing) extendedBy(it *Item) bool {
	return it.Expiry > l.Item.Expiry && it.SourceDate > l.Item.SourceDate
}

func (s *step) extend(l *Listing, raw []byte, it *Item) error {
	due := l.purgeAt()
	l.Item.Expiry, l.Item.SourceDate, l.ChangedAt = it.Expiry, it.SourceDate, s.now
	return s.Put(Change{Key: l.key(), Old: raw, New: l.appendTo(nil), OldDue: due, NewDue: l.purgeAt()})
}

// revise replaces what a listing says. Its expiry moves out only with a newer
// source date; it may always come nearer. One that comes after the review, with a
// newer source date, renews it.
func (s *step) revise(l *Listing, raw []byte, id ItemID, it *Item, body Body, renewed bool) error {
	if err := s.replaceBody(l, id, body); err != nil {
		return err
	}
	due, before := l.purgeAt(), l.Item
	l.Item, l.Rev, l.ChangedAt = *it, id, s.now
	if renewed {
		l.State = Renewed
	}
	if l.Revisions < math.MaxUint16 {
		l.Revisions++
	}
	if it.Expiry > before.Expiry && it.SourceDate <= before.SourceDate {
		l.Item.Expiry = before.Expiry
	}
	l.Item.SourceDate = max(it.SourceDate, before.SourceDate)
	s.count(before.Scope, -1)
	s.count(it.Scope, 1)
	return s.Put(Change{Key: l.key(), Old: raw, New: l.appendTo(nil), OldDue: due, NewDue: l.purgeAt()})
}

// replaceBody puts the body of a revision in the place of the one before it. If
// a replay has lost it, the listing leaves the index until another one comes.
func (s *step) replaceBody(l *Listing, id ItemID, body Body) error {
	if body.Erased() {
		if err := s.unlink(l); err != nil {
			return err
		}
		return s.DropBody(l.Rev)
	}
	if err := s.DropBody(l.Rev); err != nil {
		return err
	}
	return s.KeepBody(id, body)
}

func (s *step) lift(it *Item, body Body) (Outcome, error) {
	if err := checkNote(body); err != nil {
		return Outcome{}, err
	}
	if it.Reason != LiftWithdrawn && it.Reason != LiftError {
		return Outcome{}, refuse(BadField, "reason", "must be withdrawn or error")
	}
	l, raw, err := s.target(it.Target)
	switch {
	case err != nil:
		return Outcome{}, err
	case l.Reporter != s.cmd.Author && !s.isHub():
		return Outcome{}, refuse(NotPermitted, "target", "only its reporter and the hub lift a listing")
	case l.StateAt(s.now).Terminal():
		return Outcome{}, ended(it.Target)
	}
	return Outcome{Status: Lifted, Target: l.ID}, s.endListing(l, raw, it.Reason)
}

func (s *step) endListing(l *Listing, raw []byte, reason LiftReason) error {
	due := l.purgeAt()
	l.State = Withdrawn
	if reason == LiftError {
		l.State = LiftedError
		s.repute(l.Reporter, 0, 1)
	}
	l.ChangedAt, l.EndedAt = s.now, s.now
	return s.Put(Change{Key: l.key(), Old: raw, New: l.appendTo(nil), OldDue: due, NewDue: l.purgeAt()})
}

// count notes a change in how many listings have a scope; saveScopes writes the
// sum of a command at once.
func (s *step) count(scope Scope, by int64) {
	if scope.Family == FamilyNone {
		return
	}
	if s.scopes == nil {
		s.scopes = map[Scope]int64{}
	}
	s.scopes[scope] += by
}

func (s *step) saveScopes() error {
	if len(s.scopes) == 0 && !s.epochsMoved {
		return nil
	}
	table := Scopes{}
	old, err := s.load(table.key(), table.read)
	if err != nil {
		return err
	}
	before := slices.Clone(table.Counts)
	for i := range table.Counts {
		c := &table.Counts[i]
		c.Listings += uint64(s.scopes[c.Scope])
		delete(s.scopes, c.Scope)
	}
	for scope, n := range s.scopes {
		table.Counts = append(table.Counts, ScopeCount{Scope: scope, Listings: uint64(n)})
	}
	table.Counts = slices.DeleteFunc(table.Counts, func(c ScopeCount) bool { return c.Listings == 0 })
	slices.SortFunc(table.Counts, func(a, b ScopeCount) int {
		return cmp.Or(cmp.Compare(a.Scope.Family, b.Scope.Family), cmp.Compare(a.Scope.Length, b.Scope.Length))
	})
	same := func(a, b ScopeCount) bool { return a.Scope == b.Scope }
	if s.epochsMoved || !slices.EqualFunc(before, table.Counts, same) {
		table.Since = s.leaf + 1
	}
	return s.save(old, &table)
}
