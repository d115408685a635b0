package risk

import (
	"encoding/binary"
	"slices"
)

// ListingState is a listing's place in its life, as the records say. Expiry is
// not among what is stored: see [Listing.StateAt].
type ListingState uint8

// The states of a listing. The numbers of states that later protocols use are
// kept free here so that they never change.
const (
	Submitted     ListingState = 1
	PendingSecond ListingState = 2 // waits for a second, independent voice
	Active        ListingState = 3
	Suspended     ListingState = 4
	Disputed      ListingState = 5
	Amended       ListingState = 6
	ReviewDue     ListingState = 7
	Renewed       ListingState = 8
	Expired       ListingState = 9
	Withdrawn     ListingState = 10
	LiftedError   ListingState = 11
	listingStates ListingState = 12
)

var listingStateNames = [listingStates]string{
	Submitted: "submitted", PendingSecond: "pending_second", Active: "active",
	Suspended: "suspended", Disputed: "disputed", Amended: "amended",
	ReviewDue: "review_due", Renewed: "renewed", Expired: "expired",
	Withdrawn: "withdrawn", LiftedError: "lifted_error",
}

func (s ListingState) String() string { return nameOf(listingStateNames[:], uint8(s), "state") }

// Terminal reports whether the state never changes again.
func (s ListingState) Terminal() bool {
	return s == Expired || s == Withdrawn || s == LiftedError
}

// Listing is the record of one listing. What it says is in the item that
// published or last revised it: the clear part is here, the body under Rev. It
// enters the state digest by its commitment, so that a body can be destroyed.
//
//	key l u64 leaf u16 item | reporter 16 | clear part as in an item, without
//	operation | u64 leaf u16 item of rev | u16 revisions | u8 state |
//	i64 reported | i64 changed | i64 ended | taken, if any; see [Taken]
type Listing struct {
	ID       ListingID
	Reporter ID
	Item     Item // Op is ItemPublish; Expiry and SourceDate are the ones in force
	Rev      ItemID

	Revisions  uint16
	State      ListingState
	ReportedAt int64 // network time of the first publication
	ChangedAt  int64
	EndedAt    int64 // zero until it is lifted

	Taken Taken // what institutions say that they did on it
}

// StateAt gives the state at a time: a deadline is read, never run.
func (l *Listing) StateAt(t int64) ListingState {
	if !l.State.Terminal() && t >= l.Item.Expiry {
		return Expired
	}
	return l.State
}

// ActiveAt reports whether the listing is in force at a time. The effective
// date of its body is for the reader to compare.
func (l *Listing) ActiveAt(t int64) bool {
	switch l.StateAt(t) {
	case Active, PendingSecond, Submitted, Disputed, ReviewDue, Renewed, Amended:
		return true
	default:
		return false
	}
}

// purgeAt is when the record may leave the state.
func (l *Listing) purgeAt() int64 {
	end := l.Item.Expiry
	if l.EndedAt != 0 {
		end = min(end, l.EndedAt)
	}
	return end + RetentionMillis
}

func listingRecordKey(id ListingID) []byte {
	return putU16(putU64(append(make([]byte, 0, 11), tableListing), id.Leaf), id.Item)
}

func (l *Listing) key() []byte { return listingRecordKey(l.ID) }

// listingBytes is the length of a record of which nobody has said what they did.
const listingBytes = 16 + itemBytes - 1 + ItemIDBytes + 2 + 1 + 3*8

func (l *Listing) appendTo(dst []byte) []byte {
	dst = append(slices.Grow(dst, listingBytes), l.Reporter[:]...)
	l.Item.Op = ItemPublish
	at := len(dst)
	dst = l.Item.appendTo(dst)
	dst = append(dst[:at], dst[at+1:]...) // the operation is always the same
	dst = putU16(putU64(dst, l.Rev.Leaf), l.Rev.Item)
	dst = append(putU16(dst, l.Revisions), uint8(l.State))
	return l.Taken.appendTo(putI64(putI64(putI64(dst, l.ReportedAt), l.ChangedAt), l.EndedAt))
}

func (l *Listing) read(r *reader) {
	l.Reporter = r.id()
	l.Item.Op = ItemPublish
	l.Item.readPublish(r)
	l.Item.Commitment = r.hash()
	l.Rev, l.Revisions, l.State = r.listing(), r.u16(), ListingState(r.u8())
	l.ReportedAt, l.ChangedAt, l.EndedAt = r.i64(), r.i64(), r.i64()
	l.Taken.read(r)
}

// ReadListing gives back a listing from its record.
func ReadListing(id ListingID, value []byte) (*Listing, error) {
	l := &Listing{ID: id}
	return l, readRecord(value, l.read)
}

// ListingRecordKey is the key of a listing's record.
func ListingRecordKey(id ListingID) []byte { return listingRecordKey(id) }

// ParseListingRecordKey is the inverse of [ListingRecordKey].
func ParseListingRecordKey(key []byte) ListingID {
	return ListingID{Leaf: binary.BigEndian.Uint64(key[1:]), Item: binary.BigEndian.Uint16(key[9:])}
}

// ListingKey says when two publications are about the same listing.
type ListingKey struct {
	Kind     Kind
	Token    Token
	Reporter ID
	List     List
	Code     uint16
}

// ListingKeyBytes is the length of an encoded [ListingKey].
const ListingKeyBytes = 36

// AppendTo writes kind | token | reporter | list | code, so that all listings of
// one subject stand together.
func (k ListingKey) AppendTo(dst []byte) []byte {
	dst = append(append(dst, uint8(k.Kind)), k.Token[:]...)
	dst = append(append(dst, k.Reporter[:]...), uint8(k.List))
	return putU16(dst, k.Code)
}

// ParseListingKey is the inverse of [ListingKey.AppendTo].
func ParseListingKey(b []byte) ListingKey {
	return ListingKey{Kind: Kind(b[0]), Token: Token(b[1:17]), Reporter: ID(b[17:33]),
		List: List(b[33]), Code: binary.BigEndian.Uint16(b[34:])}
}

// Standing is a listing together with what it says.
type Standing struct {
	Listing Listing
	Body    ListingBody

	Reputation Reputation // of its reporter
	ByHub      bool       // the hub reports it
}

// ActiveAt reports whether the listing speaks at a time: in force by its record,
// and effective by its body.
func (s *Standing) ActiveAt(t int64) bool {
	return s.Listing.ActiveAt(t) && t >= s.Body.Effective
}

// Key is what the listing is found by.
func (s *Standing) Key() ListingKey { return s.Listing.about(s.Body.Token) }
