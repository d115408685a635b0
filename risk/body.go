package risk

// Tier is the standard of proof behind a report, from T0 (a suspicion) to T3
// (a court or the confession of the subject).
type Tier uint8

// MaxTier is the highest tier.
const MaxTier Tier = 3

// Evidence names a document that two institutions may exchange; it is not here.
type Evidence struct {
	Hash   Hash
	Type   string
	Holder ID // reporting id of who keeps it
}

// Exit says how a listed subject gets out: the law demands the reason, the
// remedy and the papers needed.
type Exit struct {
	How    string
	Papers string
	Whom   string
	Days   uint16 // answered within so many days
}

// ListingBody is the body of a published listing. Its encoding is its fields in
// order, after a version byte:
//
//	u8 version=1 | token 16 | u32 epoch | u8 part | text category | u8 action |
//	u8 phases | u8 purposes | text legal_basis | i64 occurred_from |
//	i64 occurred_to | i64 found | i64 effective | i64 review | text channel |
//	text reference | u8 tier | u16 handling | u16 evidence { hash 32, text type,
//	holder 16 } | text exit.how | text exit.papers | text exit.whom |
//	u16 exit.days | text note | text note_zh
type ListingBody struct {
	Token Token
	Epoch Epoch

	Part       Part
	Category   string
	Action     Advice // what the reporter advises
	Phases     uint8  // a bit for each phase, 1<<phase; zero means all
	Purposes   Purpose
	LegalBasis string

	OccurredFrom int64
	OccurredTo   int64
	Found        int64
	Effective    int64
	Review       int64

	Channel   string // PCAC source channel: GA, RH, HY, …
	Reference string // the authority's own number
	Tier      Tier
	Handling  uint16 // PCAC handling result: what the reporter itself did
	Evidence  []Evidence
	Exit      Exit
	Note      string
	NoteZH    string
}

// Encode gives the canonical bytes, or says which field breaks a limit.
func (b *ListingBody) Encode() ([]byte, error) {
	dst := append(make([]byte, 0, 192), codecVersion)
	dst = append(dst, b.Token[:]...)
	dst = putU32(dst, uint32(b.Epoch))
	dst = append(dst, uint8(b.Part))
	dst = putText(dst, b.Category)
	dst = append(dst, uint8(b.Action), b.Phases, uint8(b.Purposes))
	dst = putText(dst, b.LegalBasis)
	for _, t := range []int64{b.OccurredFrom, b.OccurredTo, b.Found, b.Effective, b.Review} {
		dst = putI64(dst, t)
	}
	dst = putText(dst, b.Channel)
	dst = putText(dst, b.Reference)
	dst = append(dst, uint8(b.Tier))
	dst = putU16(dst, b.Handling)
	dst = putU16(dst, uint16(len(b.Evidence)))
	for _, e := range b.Evidence {
		dst = append(dst, e.Hash[:]...)
		dst = putText(dst, e.Type)
		dst = append(dst, e.Holder[:]...)
	}
	dst = putText(dst, b.Exit.How)
	dst = putText(dst, b.Exit.Papers)
	dst = putText(dst, b.Exit.Whom)
	dst = putU16(dst, b.Exit.Days)
	dst = putText(dst, b.Note)
	dst = putText(dst, b.NoteZH)
	var same ListingBody
	if err := same.decode(dst); err != nil {
		return nil, err
	}
	return dst, nil
}

// DecodeListingBody reads a body strictly.
func DecodeListingBody(data []byte) (*ListingBody, error) {
	b := &ListingBody{}
	if err := b.decode(data); err != nil {
		return nil, err
	}
	return b, nil
}

func (b *ListingBody) decode(data []byte) error {
	if len(data) > MaxBodyBytes {
		return refuse(Malformed, "body", "has %d bytes; at most %d are allowed", len(data), MaxBodyBytes)
	}
	r := readerOf("body", data)
	r.version()
	r.fill(b.Token[:])
	b.Epoch, b.Part, b.Category = Epoch(r.u32()), Part(r.u8()), r.text(MaxNameBytes)
	b.Action, b.Phases, b.Purposes = Advice(r.u8()), r.u8(), Purpose(r.u8())
	b.LegalBasis = r.text(MaxTextBytes)
	b.OccurredFrom, b.OccurredTo, b.Found = r.i64(), r.i64(), r.i64()
	b.Effective, b.Review = r.i64(), r.i64()
	b.Channel, b.Reference = r.text(MaxNameBytes), r.text(MaxNameBytes)
	b.Tier, b.Handling = Tier(r.u8()), r.u16()
	b.Evidence = readEvidence(r)
	b.Exit = Exit{How: r.text(MaxTextBytes), Papers: r.text(MaxTextBytes), Whom: r.text(MaxTextBytes), Days: r.u16()}
	b.Note, b.NoteZH = r.text(MaxTextBytes), r.text(MaxTextBytes)
	if err := r.done(); err != nil {
		return err
	}
	return b.check()
}

func readEvidence(r *reader) []Evidence {
	n := r.count(MaxEvidence, 50)
	if n == 0 {
		return nil
	}
	list := make([]Evidence, n)
	for i := range list {
		list[i] = Evidence{Hash: r.hash(), Type: r.text(MaxNameBytes), Holder: r.id()}
	}
	return list
}

func (b *ListingBody) check() error {
	switch {
	case !b.Part.Valid():
		return refuse(BadField, "role", "must be suspect, victim or linked")
	case !b.Action.Valid():
		return refuse(BadField, "advice", "must be one of allow … deny")
	case b.Phases&^(1<<PhasePre|1<<PhaseIn|1<<PhasePost) != 0:
		return refuse(BadField, "phase", "must be pre, in or post")
	case !b.Purposes.Valid():
		return refuse(BadField, "purposes", "at least one known purpose must be given")
	case b.Tier > MaxTier:
		return refuse(BadField, "tier", "must be 0 to %d", MaxTier)
	case b.OccurredTo != 0 && b.OccurredTo < b.OccurredFrom:
		return refuse(BadField, "occurred", "ends before it begins")
	}
	return nil
}

// sameContent reports whether two publications say the same apart from their
// expiry, source date and salt.
func sameContent(a *Item, bodyA []byte, b *Item, bodyB []byte) bool {
	return string(a.appendContent(nil)) == string(b.appendContent(nil)) && string(bodyA) == string(bodyB)
}
