package risk

import (
	"slices"
	"time"
)

// Policy turns the listings of a subject into a confidence, and that into the
// hardest advice which they may give together; see [Policy.Weigh]. It is replicated:
// every node weighs alike, and each answer names the version. Shares are per mille.
//
//	key w | as in [SetPolicy]
type Policy struct {
	Version uint32 // 0 is the one that is built in

	Tiers  [MaxTier + 1]uint16 // what a report of each tier of proof weighs
	Copied uint16              // the share of it that is left where a list was copied
	Kinds  [Kinds]uint16       // the share that is left for an identifier of each kind
	Name   uint16              // the share that is left where all that is known is a name
	Fade   uint16              // days after the fraud in which a report comes down to half

	Trust   uint16 // reports by which a newcomer is believed before it has made any
	Penalty uint16 // how many good reports make up for a wrong one
	Least   uint16 // precision below which a reporter confirms nothing

	StepUp uint16 // confidence from which a single origin asks for step_up,
	Hold   uint16 // and independent ones for hold_funds
	Deny   uint16 // and for deny

	// Cases are the codes of which a case ends for review so many days after its
	// first fraud. Only fraud after that day begins another.
	Cases []CaseLife
}

// CaseLife is how long a case of one code speaks.
type CaseLife struct {
	Code uint16
	Days uint16
}

const dayMillis = int64(24 * time.Hour / time.Millisecond)

// MaxCases is the number of codes that a policy gives a case's life.
const MaxCases = 128

// DefaultPolicy is in force until the hub sets another. A skimming point (06, 28) and
// a place where forged cards are used (07, 44) is found and cleaned; what it was four
// weeks ago says nothing about who pays there today.
func DefaultPolicy() *Policy {
	p := &Policy{
		Tiers: [...]uint16{50, 300, 500, 800}, Copied: 500, Name: 300, Fade: 180,
		Trust: 20, Penalty: 4, Least: 500, StepUp: 350, Hold: 500, Deny: 630,
		Cases: []CaseLife{{6, 28}, {7, 28}, {28, 28}, {44, 28}},
	}
	for k := range p.Kinds {
		p.Kinds[k] = 1000
	}
	// What changes hands, or is shared by many.
	p.Kinds[KindPhone], p.Kinds[KindEmail], p.Kinds[KindDevice] = 900, 900, 800
	p.Kinds[KindURL], p.Kinds[KindDomain], p.Kinds[KindIP] = 900, 900, 850
	return p
}

// SetPolicy puts a policy in force. Its version follows the one before.
//
//	u32 version | 4 u16 tiers | u16 copied | u8 n { u16 kind share } | u16 name |
//	u16 fade | u16 trust | u16 penalty | u16 least | u16 step_up | u16 hold |
//	u16 deny | u16 n { u16 code | u16 days }
type SetPolicy struct{ Policy Policy }

// Kind says which command these are the fields of.
func (*SetPolicy) Kind() CommandKind { return KindSetPolicy }

func (p *SetPolicy) appendTo(dst []byte) []byte { return p.Policy.appendTo(dst) }

func (*Policy) key() []byte { return []byte{tablePolicy} }

func (p *Policy) appendTo(dst []byte) []byte {
	dst = putU32(dst, p.Version)
	for _, n := range p.Tiers {
		dst = putU16(dst, n)
	}
	dst = append(putU16(dst, p.Copied), uint8(len(p.Kinds)-1))
	for _, n := range p.Kinds[1:] {
		dst = putU16(dst, n)
	}
	for _, n := range p.numbers() {
		dst = putU16(dst, *n)
	}
	dst = putU16(dst, uint16(len(p.Cases)))
	for _, c := range p.Cases {
		dst = putU16(putU16(dst, c.Code), c.Days)
	}
	return dst
}

// numbers are those that follow the kinds.
func (p *Policy) numbers() []*uint16 {
	return []*uint16{&p.Name, &p.Fade, &p.Trust, &p.Penalty, &p.Least, &p.StepUp, &p.Hold, &p.Deny}
}

func (p *Policy) read(r *reader) {
	p.Version = r.u32()
	for i := range p.Tiers {
		p.Tiers[i] = r.u16()
	}
	p.Copied = r.u16()
	if n := int(r.u8()); n != len(p.Kinds)-1 && r.err == nil {
		r.fail("has %d kinds; this protocol knows %d", n, len(p.Kinds)-1)
		return
	}
	for i := range p.Kinds[1:] {
		p.Kinds[1+i] = r.u16()
	}
	for _, n := range p.numbers() {
		*n = r.u16()
	}
	p.Cases = make([]CaseLife, r.count(MaxCases, 4))
	for i := range p.Cases {
		p.Cases[i] = CaseLife{Code: r.u16(), Days: r.u16()}
	}
}

// Check says what is wrong with a policy.
func (p *Policy) Check() error {
	shares := append(slices.Concat(p.Tiers[:], p.Kinds[1:]), p.Copied, p.Name, p.Least, p.StepUp, p.Hold, p.Deny)
	for i, c := range p.Cases {
		switch {
		case c.Days == 0:
			return refuse(BadField, "cases", "code %d has no days; leave it out, and its cases have no end of their own", c.Code)
		case i > 0 && c.Code <= p.Cases[i-1].Code:
			return refuse(BadField, "cases", "the codes must rise; code %d comes after %d", c.Code, p.Cases[i-1].Code)
		}
	}
	switch {
	case slices.Max(shares) > 1000:
		return refuse(BadField, "policy", "a share is %d; all are per mille, at most 1000", slices.Max(shares))
	case !slices.IsSorted(p.Tiers[:]):
		return refuse(BadField, "tiers", "more proof must not weigh less")
	case p.StepUp > p.Hold || p.Hold > p.Deny:
		return refuse(BadField, "deny", "must not be below hold_funds, nor that below step_up")
	case p.StepUp == 0:
		return refuse(BadField, "step_up", "is 0; then a report of nothing would stop a payment")
	case p.Fade == 0 || p.Trust == 0:
		return refuse(BadField, "fade_days", "must be 1 or more, and so must trust")
	case len(p.Cases) > MaxCases:
		return refuse(TooMany, "cases", "%d codes are given; at most %d are allowed", len(p.Cases), MaxCases)
	}
	return nil
}

// caseLife is how long a case of a code speaks, in milliseconds; zero if it has no
// end of its own.
func (p *Policy) caseLife(code uint16) int64 {
	i, found := slices.BinarySearchFunc(p.Cases, code, func(c CaseLife, code uint16) int { return int(c.Code) - int(code) })
	if !found {
		return 0
	}
	return int64(p.Cases[i].Days) * dayMillis
}

// LoadPolicy reads the policy in force; the built-in one if none was set.
func LoadPolicy(st State) (*Policy, error) {
	p := &Policy{}
	raw, err := (&step{State: st}).load(p.key(), p.read)
	if err == nil && raw == nil {
		p = DefaultPolicy()
	}
	return p, err
}

// Encode gives the policy as it stands in its record.
func (p *Policy) Encode() []byte { return p.appendTo(nil) }

// DecodePolicy is the inverse of [Policy.Encode].
func DecodePolicy(raw []byte) (*Policy, error) {
	p := &Policy{}
	return p, readRecord(raw, p.read)
}

func (s *step) setPolicy(p *SetPolicy) error {
	was := &Policy{}
	old, err := s.load(was.key(), was.read)
	switch {
	case err != nil:
		return err
	case p.Policy.Version != was.Version+1:
		return refuse(BadField, "version", "the next version is %d; somebody may have set one meanwhile", was.Version+1)
	}
	if err := p.Policy.Check(); err != nil {
		return err
	}
	return s.save(old, &p.Policy)
}
