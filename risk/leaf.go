package risk

// Status is what became of one item.
type Status uint8

// The statuses of items.
const (
	Created   Status = 1 // a new listing, whose id is the item's own
	Unchanged Status = 2 // the same listing stood already
	Revised   Status = 3 // the listing stands with other content
	Extended  Status = 4 // the listing stands with a later expiry
	Lifted    Status = 5
	Refused   Status = 6 // see the outcome's refusal
	Kept      Status = 7 // a document was taken in

	// From protocol 2 on:
	WasSuspended Status = 8
	WasResumed   Status = 9
	WasRenewed   Status = 10 // the listing stands with new evidence, after its review
	Noted        Status = 11 // what was done on the listing is known now
	statuses     Status = 12
)

var statusNames = [statuses]string{
	Created: "created", Unchanged: "unchanged", Revised: "revised", Extended: "extended",
	Lifted: "lifted", Refused: "refused", Kept: "kept",
	WasSuspended: "suspended", WasResumed: "resumed", WasRenewed: "renewed", Noted: "noted",
}

func (s Status) String() string { return nameOf(statusNames[:], uint8(s), "status") }

// concerns reports whether an outcome of this status names the listing, or the
// protection, that it is about.
func (s Status) concerns() bool {
	switch s {
	case Unchanged, Revised, Extended, Lifted, WasSuspended, WasResumed, WasRenewed, Noted:
		return true
	default:
		return false
	}
}

// Outcome is the result of one item, or of one act of a [Feedback]. Its encoding: u8
// status, then for refused u8 refusal, for created and kept nothing, and for all
// others u64 leaf | u16 item of what it concerns.
type Outcome struct {
	Status  Status
	Refusal Refusal
	Target  ListingID
}

func (o Outcome) appendTo(dst []byte) []byte {
	dst = append(dst, uint8(o.Status))
	switch {
	case o.Status.concerns():
		return putU16(putU64(dst, o.Target.Leaf), o.Target.Item)
	case o.Status == Refused:
		return append(dst, uint8(o.Refusal))
	default:
		return dst
	}
}

func readOutcome(r *reader) Outcome {
	o := Outcome{Status: Status(r.u8())}
	switch {
	case o.Status.concerns():
		o.Target = r.listing()
	case o.Status == Refused:
		o.Refusal = Refusal(r.u8())
		if !o.Refusal.Valid() || o.Refusal == Accepted {
			r.fail("has an item refused for reason %d, which this protocol does not know", o.Refusal)
		}
	case o.Status == Created || o.Status == Kept:
	default:
		r.fail("has an item of status %d, which this protocol does not know", o.Status)
	}
	return o
}

func appendOutcomes(dst []byte, outcomes []Outcome) []byte {
	dst = putU16(dst, uint16(len(outcomes)))
	for _, o := range outcomes {
		dst = o.appendTo(dst)
	}
	return dst
}

func (r *reader) outcomes() []Outcome {
	n := r.count(MaxItems, 1)
	if n == 0 {
		return nil
	}
	list := make([]Outcome, n)
	for i := range list {
		list[i] = readOutcome(r)
	}
	return list
}

// Leaf is one entry of the ledger for ever: what was signed, when and by whom it
// was ordered, what came of it, and the digest of the whole state after it. It
// holds no item's body. Its encoding:
//
//	u8 version=1 | u32 header | u8 signatures { 64 } | i64 at | proposer 16 |
//	u8 refusal | u16 outcomes { outcome } | state digest 32
//
// Its hash in the tree is SHA-256(0x00 | leaf), as in RFC 6962.
type Leaf struct {
	Header     []byte
	Signatures [][]byte
	At         int64
	Proposer   ID
	Refusal    Refusal
	Outcomes   []Outcome // one for each item or act; none if the command was refused
	State      Hash
}

// Encode gives the bytes that enter the tree.
func (l *Leaf) Encode() []byte {
	dst := make([]byte, 0, 128+len(l.Header)+64*len(l.Signatures)+11*len(l.Outcomes))
	dst = appendSignedHeader(append(dst, codecVersion), l.Header, l.Signatures)
	dst = append(putI64(dst, l.At), l.Proposer[:]...)
	dst = appendOutcomes(append(dst, uint8(l.Refusal)), l.Outcomes)
	return append(dst, l.State[:]...)
}

// DecodeLeaf reads a leaf strictly. Its outcomes are never nil: they are what
// [Step] takes as recorded.
func DecodeLeaf(data []byte) (*Leaf, error) {
	if len(data) > MaxLeafBytes {
		return nil, refuse(Malformed, "leaf", "has %d bytes; at most %d are allowed", len(data), MaxLeafBytes)
	}
	r := readerOf("leaf", data)
	r.version()
	l := &Leaf{}
	l.Header, l.Signatures = readSignedHeader(r)
	l.At, l.Proposer, l.Refusal = r.i64(), r.id(), Refusal(r.u8())
	if !l.Refusal.Valid() {
		r.fail("is refused for reason %d, which this protocol does not know", l.Refusal)
	}
	l.Outcomes, l.State = r.outcomes(), r.hash()
	if l.Outcomes == nil {
		l.Outcomes = []Outcome{} // not nil, so that Step takes a refused leaf for a replay too
	}
	if l.Refusal != Accepted && len(l.Outcomes) > 0 {
		r.fail("is refused and has outcomes of items")
	}
	if err := r.done(); err != nil {
		return nil, err
	}
	return l, nil
}
