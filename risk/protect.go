package risk

import "slices"

// Protect brings subjects under protection and ends protections, as items. It needs
// two approvals: as many hub keys as the founding says, and never fewer than two.
type Protect struct{}

// Kind says which command these are the fields of.
func (*Protect) Kind() CommandKind { return KindProtect }

func (*Protect) appendTo(dst []byte) []byte { return dst }

// ProtectionBody is the body of an [ItemProtect].
//
//	u8 version=1 | token 16 | u32 epoch | text covers | text comment
type ProtectionBody struct {
	Token   Token
	Epoch   Epoch
	Covers  string // what it is for, in words: which payments, which business
	Comment string // why, and who approved it
}

// Encode gives the canonical bytes, or says which field breaks a limit.
func (b *ProtectionBody) Encode() ([]byte, error) {
	dst := append([]byte{codecVersion}, b.Token[:]...)
	dst = putText(putText(putU32(dst, uint32(b.Epoch)), b.Covers), b.Comment)
	if _, err := DecodeProtectionBody(dst); err != nil {
		return nil, err
	}
	return dst, nil
}

// DecodeProtectionBody reads a body strictly.
func DecodeProtectionBody(data []byte) (*ProtectionBody, error) {
	r := readerOf("body", data)
	r.version()
	b := &ProtectionBody{}
	r.fill(b.Token[:])
	b.Epoch, b.Covers, b.Comment = Epoch(r.u32()), r.text(MaxTextBytes), r.text(MaxTextBytes)
	if err := r.done(); err != nil {
		return nil, err
	}
	switch {
	case b.Covers == "":
		return nil, refuse(BadField, "covers", "is empty; say what the protection is for")
	case b.Comment == "":
		return nil, refuse(BadField, "comment", "is empty; say why, and who approved it")
	}
	return b, nil
}

// Protection is the record of a protected subject. It ends at its expiry, or when the
// hub takes it back; the token is in the body, and enters the state by its commitment.
//
//	key p u64 leaf u16 item | u8 kind | u8 family | u8 length | i64 expiry |
//	commitment 32 | i64 since | i64 ended
type Protection struct {
	ID         ItemID
	Kind       Kind
	Scope      Scope
	Expiry     int64
	Commitment Hash
	Since      int64
	EndedAt    int64 // zero until it is taken back
}

// Protected is a protection together with what it says.
type Protected struct {
	Protection
	Body ProtectionBody
}

// ActiveAt reports whether the protection is in force at a time.
func (p *Protection) ActiveAt(t int64) bool {
	return t >= p.Since && t < p.Expiry && (p.EndedAt == 0 || t < p.EndedAt)
}

// over reports whether it has ended for good.
func (p *Protection) over(t int64) bool { return p.EndedAt != 0 || t >= p.Expiry }

func (p *Protection) purgeAt() int64 {
	end := p.Expiry
	if p.EndedAt != 0 {
		end = min(end, p.EndedAt)
	}
	return end + RetentionMillis
}

func (p *Protection) key() []byte { return keyOf(tableProtection, p.ID.AppendTo(nil)) }

func (p *Protection) appendTo(dst []byte) []byte {
	dst = putI64(append(dst, uint8(p.Kind), uint8(p.Scope.Family), p.Scope.Length), p.Expiry)
	return putI64(putI64(append(dst, p.Commitment[:]...), p.Since), p.EndedAt)
}

func (p *Protection) read(r *reader) {
	p.Kind, p.Scope, p.Expiry, p.Commitment = Kind(r.u8()), r.scope(), r.i64(), r.hash()
	p.Since, p.EndedAt = r.i64(), r.i64()
}

// ReadProtection gives back a record that a store has walked to.
func ReadProtection(key, value []byte) (*Protection, error) {
	p := &Protection{ID: ReadItemID(key[1:])}
	return p, readRecord(value, p.read)
}

// CheckProtect says what is wrong with the clear part of a protection.
func CheckProtect(it *Item, now int64) error {
	switch {
	case !it.Kind.Valid():
		return refuse(BadField, "kind", "is not one that this protocol knows")
	case !it.Scope.FitsKind(it.Kind):
		return refuse(BadField, "scope", "%s does not fit a subject of kind %s", it.Scope, it.Kind)
	case it.Expiry <= now:
		return refuse(BadExpiry, "expiry", "has passed or is missing; every protection ends, say when")
	case it.Expiry > now+MaxProtectionMillis:
		return refuse(BadExpiry, "expiry", "is more than a year away; renew it when the time comes")
	}
	return nil
}

// protect judges each item by itself, as listings does.
func (s *step) protect(res *Result, recorded []Outcome) error {
	epochs, err := LoadEpochs(s)
	if err != nil {
		return err
	}
	s.epochs = epochs
	return s.eachItem(res, func(id ItemID, it *Item, body Body) (Outcome, error) {
		was := Outcome{}
		if recorded != nil {
			was = recordedAt(recorded, int(id.Item))
		}
		switch {
		case body.Erased() && was.Status == Refused:
			return was, nil
		case it.Op == ItemUnprotect:
			return s.endProtection(it, body)
		default:
			return s.beginProtection(id, it, body)
		}
	})
}

// beginProtection is given no body where a replay meets one that is erased.
func (s *step) beginProtection(id ItemID, it *Item, body Body) (Outcome, error) {
	if err := CheckProtect(it, s.now); err != nil {
		return Outcome{}, err
	}
	if !body.Erased() {
		content, err := DecodeProtectionBody(body.Data)
		if err != nil {
			return Outcome{}, err
		}
		if !s.isLive(content.Epoch) {
			return Outcome{}, refuse(EpochClosed, "epoch", "token epoch %d is not in use", content.Epoch)
		}
	}
	held, err := s.Count(tableProtection)
	switch {
	case err != nil:
		return Outcome{}, err
	case held >= MaxProtections:
		return Outcome{}, refuse(TooMany, "items", "%d protections are held, those of the last half year too; wait until some have gone", held)
	}
	p := &Protection{ID: id, Kind: it.Kind, Scope: it.Scope, Expiry: it.Expiry, Commitment: it.Commitment, Since: s.now}
	if err := s.Put(Change{Key: p.key(), New: p.appendTo(nil), NewDue: p.purgeAt()}); err != nil {
		return Outcome{}, err
	}
	s.count(it.Scope, 1) // checks ask for it from now on
	if body.Erased() {
		return Outcome{Status: Created}, nil
	}
	return Outcome{Status: Created}, s.KeepBody(id, body)
}

func (s *step) isLive(epoch Epoch) bool {
	return slices.ContainsFunc(s.epochs.Live, func(e OpenEpoch) bool { return e.Epoch == epoch })
}

func (s *step) endProtection(it *Item, body Body) (Outcome, error) {
	if err := checkNote(body); err != nil {
		return Outcome{}, err
	}
	p := &Protection{ID: it.Target}
	raw, err := s.load(p.key(), p.read)
	switch {
	case err != nil:
		return Outcome{}, err
	case raw == nil:
		return Outcome{}, refuse(NotFound, "target", "no protection %s", it.Target)
	case p.over(s.now):
		return Outcome{}, refuse(Ended, "target", "protection %s has ended; begin another", it.Target)
	}
	due := p.purgeAt()
	p.EndedAt = s.now
	return Outcome{Status: Lifted, Target: p.ID}, s.Put(Change{Key: p.key(), Old: raw, New: p.appendTo(nil), OldDue: due, NewDue: p.purgeAt()})
}

// removeProtection takes one away that is past its retention.
func (s *step) removeProtection(key []byte) error {
	p := &Protection{ID: ReadItemID(key[1:])}
	raw, err := s.load(key, p.read)
	if err != nil {
		return err
	}
	if err := s.DropBody(p.ID); err != nil {
		return err
	}
	s.count(p.Scope, -1)
	return s.Put(Change{Key: key, Old: raw, OldDue: p.purgeAt()})
}
