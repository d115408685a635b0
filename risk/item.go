package risk

import "fmt"

// ItemOp says what one item of a command does.
type ItemOp uint8

// The operations.
const (
	ItemPublish  ItemOp = 1 // a listing: new, unchanged, extended or revised
	ItemLift     ItemOp = 2 // the end of a listing
	ItemDocument ItemOp = 3 // a document whose text is the body, such as a rule set

	// From protocol 2 on:
	ItemSuspend   ItemOp = 4 // a listing is out of force until it is resumed
	ItemResume    ItemOp = 5
	ItemProtect   ItemOp = 6 // a subject comes under protection
	ItemUnprotect ItemOp = 7 // the end of a protection
)

// firstItemOfProtocol2 is the first operation that protocol 1 does not know.
const firstItemOfProtocol2 = ItemSuspend

// comesWith reports whether a command whose items are of one operation may have this
// one among them.
func (op ItemOp) comesWith(want ItemOp) bool {
	switch want {
	case ItemPublish:
		return op == ItemPublish || op == ItemLift || op == ItemSuspend || op == ItemResume
	case ItemProtect:
		return op == ItemProtect || op == ItemUnprotect
	default:
		return op == want
	}
}

// Level grades a risk as the Payment & Clearing Association does: 1 is the
// gravest (一级), 3 the least.
type Level uint8

// OriginKind says where a reporter knows a thing from.
type OriginKind uint8

// The kinds of origin.
const (
	OriginOwn       OriginKind = 1 // the reporter's own case
	OriginAuthority OriginKind = 2 // a court, a regulator, a sanctions list
	OriginCopy      OriginKind = 3 // somebody else's list
)

var originNames = [...]string{OriginOwn: "own", OriginAuthority: "authority", OriginCopy: "copy"}

func (k OriginKind) String() string { return nameOf(originNames[:], uint8(k), "origin") }

// Valid reports whether this protocol knows the origin.
func (k OriginKind) Valid() bool { return k > 0 && int(k) < len(originNames) }

// ParseOriginKind reads an origin's name.
func ParseOriginKind(name string) (OriginKind, error) {
	n, err := parseName(originNames[:], name, "origin")
	return OriginKind(n), err
}

// Origin is where a report comes from. Two reports of one origin are one piece
// of knowledge, whoever sent them: corroboration counts origins, not listings.
type Origin struct {
	Kind OriginKind
	Ref  ID // own: zero; else the first 16 bytes of the hash of the source's name
}

// OriginNamed gives the origin of what an authority or another list says.
func OriginNamed(kind OriginKind, name string) Origin {
	sum := hashUnder(domainOrigin, []byte{uint8(kind)}, []byte(name))
	return Origin{Kind: kind, Ref: ID(sum[:16])}
}

// LiftReason says why a listing ends.
type LiftReason uint8

// The reasons for a lift.
const (
	LiftWithdrawn LiftReason = 1 // its reporter takes it back
	LiftError     LiftReason = 2 // it was wrong; counts against the reporter
)

var liftNames = [...]string{LiftWithdrawn: "withdrawn", LiftError: "error"}

func (l LiftReason) String() string { return nameOf(liftNames[:], uint8(l), "lift reason") }

// ParseLiftReason reads a reason's name.
func ParseLiftReason(name string) (LiftReason, error) {
	n, err := parseName(liftNames[:], name, "lift reason")
	return LiftReason(n), err
}

// ItemID names an item by its place in the ledger: the index of its leaf, and
// its own index in the command.
type ItemID struct {
	Leaf uint64
	Item uint16
}

// ListingID is the id of the item that first published the listing.
type ListingID = ItemID

func (id ItemID) String() string { return fmt.Sprintf("%d.%d", id.Leaf, id.Item) }

// ParseItemID reads the form that [ItemID.String] prints.
func ParseItemID(text string) (ItemID, error) {
	var id ItemID
	if _, err := fmt.Sscanf(text, "%d.%d", &id.Leaf, &id.Item); err != nil || id.String() != text {
		return ItemID{}, fmt.Errorf("listing id: %q is not of the form LEAF.ITEM", text)
	}
	return id, nil
}

// Item is the clear part of one item: what the law must be able to read even
// after the body has been destroyed. Encodings, after the u8 operation:
//
//	publish:  u8 kind | u8 family | u8 length | u16 code | u8 level | u8 list |
//	          u8 origin | origin ref 16 | i64 expiry | i64 source_date | commitment 32
//	lift:     u64 leaf | u16 item | u8 reason | commitment 32
//	document: commitment 32
//	suspend, resume, unprotect: u64 leaf | u16 item | commitment 32
//	protect:  u8 kind | u8 family | u8 length | i64 expiry | commitment 32
type Item struct {
	Op         ItemOp
	Commitment Hash

	Kind       Kind
	Scope      Scope
	Code       uint16
	Level      Level
	List       List
	Expiry     int64
	SourceDate int64 // when the source last said so; a later expiry needs a later one
	Origin     Origin

	Target ListingID
	Reason LiftReason
}

const (
	itemBytes    = 73
	minItemBytes = 33
)

func (it *Item) appendTo(dst []byte) []byte {
	dst = append(dst, uint8(it.Op))
	switch it.Op {
	case ItemPublish:
		dst = it.appendContent(dst)
		dst = putI64(dst, it.Expiry)
		dst = putI64(dst, it.SourceDate)
	case ItemLift:
		dst = putU16(putU64(dst, it.Target.Leaf), it.Target.Item)
		dst = append(dst, uint8(it.Reason))
	case ItemSuspend, ItemResume, ItemUnprotect:
		dst = putU16(putU64(dst, it.Target.Leaf), it.Target.Item)
	case ItemProtect:
		dst = putI64(append(dst, uint8(it.Kind), uint8(it.Scope.Family), it.Scope.Length), it.Expiry)
	}
	return append(dst, it.Commitment[:]...)
}

// appendContent writes the clear fields that make two reports equal or not.
func (it *Item) appendContent(dst []byte) []byte {
	dst = append(dst, uint8(it.Kind), uint8(it.Scope.Family), it.Scope.Length)
	dst = putU16(dst, it.Code)
	dst = append(dst, uint8(it.Level), uint8(it.List), uint8(it.Origin.Kind))
	return append(dst, it.Origin.Ref[:]...)
}

func readItem(r *reader) Item {
	it := Item{Op: ItemOp(r.u8())}
	switch it.Op {
	case ItemPublish:
		it.readPublish(r)
	case ItemLift:
		it.Target, it.Reason = r.listing(), LiftReason(r.u8())
	case ItemDocument:
	case ItemSuspend, ItemResume, ItemUnprotect:
		it.Target = r.listing()
	case ItemProtect:
		it.Kind, it.Scope, it.Expiry = Kind(r.u8()), r.scope(), r.i64()
	default:
		r.fail("has an item of operation %d, which this protocol does not know", it.Op)
	}
	it.Commitment = r.hash()
	return it
}

func (it *Item) readPublish(r *reader) {
	it.Kind, it.Scope, it.Code = Kind(r.u8()), r.scope(), r.u16()
	it.Level, it.List = Level(r.u8()), List(r.u8())
	it.Origin = Origin{Kind: OriginKind(r.u8()), Ref: r.id()}
	it.Expiry, it.SourceDate = r.i64(), r.i64()
}

// Body is the part of an item that can be destroyed: it travels beside the
// header and is bound to it by the item's commitment,
// SHA-256("risknet/v1 item\0" | salt | data).
type Body struct {
	Salt [16]byte
	Data []byte
}

// Commit gives the commitment that stands in the signed header.
func (b *Body) Commit() Hash { return hashUnder(domainItem, b.Salt[:], b.Data) }

// Erased reports whether the body has been destroyed. A body that says nothing,
// as of a lift without a note, still has its salt and is not erased.
func (b *Body) Erased() bool { return b.Data == nil }

// AppendTo writes the body as it is kept and sent: salt 16 | data.
func (b *Body) AppendTo(dst []byte) []byte {
	return append(append(dst, b.Salt[:]...), b.Data...)
}

// ReadBody is the inverse of [Body.AppendTo].
func ReadBody(raw []byte) (Body, error) {
	if len(raw) < len(Body{}.Salt) {
		return Body{}, refuse(Malformed, "body", "has %d bytes, fewer than its salt", len(raw))
	}
	b := Body{Data: raw[16:]}
	copy(b.Salt[:], raw)
	return b, nil
}
