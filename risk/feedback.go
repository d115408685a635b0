package risk

import (
	"encoding/binary"
	"math"
)

// Act is what an institution did on a listing.
type Act struct {
	Target ListingID
	Action Advice
}

// Feedback says what its author did on listings. The newest word of an institution
// about a listing holds.
//
//	u16 n { u64 leaf | u16 item | u8 action }
type Feedback struct{ Acts []Act }

const actBytes = ItemIDBytes + 1

// Kind says which command these are the fields of.
func (*Feedback) Kind() CommandKind { return KindFeedback }

func (p *Feedback) appendTo(dst []byte) []byte {
	dst = putU16(dst, uint16(len(p.Acts)))
	for _, a := range p.Acts {
		dst = append(a.Target.AppendTo(dst), uint8(a.Action))
	}
	return dst
}

func readActs(r *reader) []Act {
	acts := make([]Act, r.count(MaxItems, actBytes))
	for i := range acts {
		acts[i] = Act{Target: r.listing(), Action: Advice(r.u8())}
	}
	return acts
}

// Taken counts the institutions that did one thing or another on a listing, by what
// they did; who they are stands in their commands alone.
type Taken [advices]uint16

// Total is the number of institutions.
func (t *Taken) Total() int {
	n := 0
	for _, of := range t {
		n += int(of)
	}
	return n
}

// Behind a listing's record stand the numbers of its acts, if there are any:
//
//	7 u16 institutions, by action
func (t *Taken) appendTo(dst []byte) []byte {
	if *t == (Taken{}) {
		return dst
	}
	for _, n := range t[1:] {
		dst = putU16(dst, n)
	}
	return dst
}

func (t *Taken) read(r *reader) {
	if len(r.rest) == 0 {
		return
	}
	for i := range t[1:] {
		t[1+i] = r.u16()
	}
	if *t == (Taken{}) {
		r.fail("counts acts and has none")
	}
}

// Taking is the record of one institution's act on one listing. It goes with the
// listing, whose own record counts it.
//
//	key y u64 leaf u16 item reporter 16 | u8 action | i64 at
type Taking struct {
	Target   ListingID
	Reporter ID
	Action   Advice
	At       int64
}

func (t *Taking) key() []byte { return keyOf(tableAct, t.Target.AppendTo(nil), t.Reporter[:]) }

func (t *Taking) appendTo(dst []byte) []byte { return putI64(append(dst, uint8(t.Action)), t.At) }

func (t *Taking) read(r *reader) {
	t.Action, t.At = Advice(r.u8()), r.i64()
	if !t.Action.Valid() {
		r.fail("has action %d, which this protocol does not know", t.Action)
	}
}

// ReadTaking gives back a record that a store has walked to.
func ReadTaking(key, value []byte) (*Taking, error) {
	t := &Taking{Target: ReadItemID(key[1:]), Reporter: ID(key[1+ItemIDBytes:])}
	return t, readRecord(value, t.read)
}

// TakingKeyBytes is the length of the key of a [Taking].
const TakingKeyBytes = 1 + ItemIDBytes + 16

// ParseTakingKey takes the key of a [Taking] apart.
func ParseTakingKey(key []byte) (ListingID, ID) {
	return ListingID{Leaf: binary.BigEndian.Uint64(key[1:]), Item: binary.BigEndian.Uint16(key[9:])}, ID(key[11:])
}

// feedback judges each act by itself.
func (s *step) feedback(p *Feedback, res *Result) error {
	if len(p.Acts) == 0 {
		return refuse(BadField, "acts", "names no listing; say what was done on which")
	}
	res.Outcomes = make([]Outcome, len(p.Acts))
	for i, act := range p.Acts {
		out, err := s.take(act)
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

func (s *step) take(act Act) (Outcome, error) {
	if !act.Action.Valid() {
		return Outcome{}, refuse(BadField, "action", "must be one of allow … deny")
	}
	l, raw, err := s.target(act.Target)
	if err != nil {
		return Outcome{}, err
	}
	if l.StateAt(s.now).Terminal() {
		return Outcome{}, ended(act.Target)
	}
	t := &Taking{Target: act.Target, Reporter: s.cmd.Author}
	was, err := s.load(t.key(), t.read)
	switch {
	case err != nil:
		return Outcome{}, err
	case was != nil && t.Action == act.Action:
		return Outcome{Status: Unchanged, Target: l.ID}, nil
	case l.Taken[act.Action] == math.MaxUint16:
		return Outcome{}, refuse(TooMany, "action", "%d institutions did the same; no more are counted", math.MaxUint16)
	}
	if was != nil {
		l.Taken[t.Action]--
	}
	l.Taken[act.Action]++
	t.Action, t.At = act.Action, s.now
	if err := s.save(was, t); err != nil {
		return Outcome{}, err
	}
	return Outcome{Status: Noted, Target: l.ID}, s.keep(l, raw)
}

// forget removes the acts on a listing that is about to go, as many as there is room
// for, and gives its record after that. The listing counts them, so none is missed.
func (s *step) forget(l *Listing, raw []byte, room *int) ([]byte, error) {
	n := min(l.Taken.Total(), *room)
	if n == 0 {
		return raw, nil
	}
	reporters, err := s.Takers(l.ID, n)
	if err != nil {
		return nil, err
	}
	for _, reporter := range reporters {
		t := &Taking{Target: l.ID, Reporter: reporter}
		was, err := s.load(t.key(), t.read)
		if err != nil {
			return nil, err
		}
		l.Taken[t.Action]--
		if err := s.Put(Change{Key: t.key(), Old: was}); err != nil {
			return nil, err
		}
	}
	*room -= n
	return l.appendTo(nil), s.keep(l, raw)
}
