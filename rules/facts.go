package rules

import "github.com/risknet/risknet/risk"

// MaxCodes is the number of risk codes in one [About]. The cost proof counts on
// it, so whoever fills the facts keeps to it.
const MaxCodes = 64

// Facts is what the rules may know in one check. One goroutine owns it: Decide
// keeps the position of a loop in it.
//
// Where an About is not Present, it is empty: Reset relies on that. Where it
// is not Listed, every field of it but Present and Moves is zero; and Any
// is Listed whenever one of the others is. The index of a [Program] relies on
// both to pass over rules that ask for a listing. Where it is neither Present nor
// Listed, there are no Moves either; Reset relies on that.
type Facts struct {
	Payment risk.Payment
	Any     About             // over all subjects of the check
	ByRole  [risk.Roles]About // the payer, the payee, others
	ByKind  [risk.Kinds]About // the merchant, the address, …

	item int64 // the code that an exists or all loop stands at
}

// About is what the listings in force say about some subjects.
type About struct {
	Present   bool        // the check names such a subject
	Listed    bool        // a listing in force speaks about it
	Suspect   bool        // and one of them does not protect it
	Victim    bool        // one of them protects it
	Black     bool        // one of them is on the black list,
	Hint      bool        // the hint list,
	Watch     bool        // the watch list
	Level     uint8       // the gravest level: 1 is gravest, 3 mildest, 0 none
	Advice    risk.Advice // the hardest advice among them; 0 none
	Codes     []uint16    // their risk codes, at most MaxCodes
	Reporters int         // reporting identities among them
	Own       bool        // this node's own institution is one

	// What the policy makes of them; see risk.Policy.
	Confidence int // 0 to 1000
	Origins    int // independent ones
	Authority  bool
	Moves      Moves       // what this node itself has seen; known whether listed or not
	AtMost     risk.Advice // the hardest that a rule may advise for these listings alone; 0 for no bound
}

// Reset empties the facts for the next check and keeps the room of the code lists. What
// is neither Present nor Listed is empty already: a check names six subjects of twenty
// and more that there could be, and an About is large.
func (f *Facts) Reset() {
	f.Payment = risk.Payment{}
	f.Any.reset()
	for i := range f.ByRole {
		if a := &f.ByRole[i]; a.Present || a.Listed {
			a.reset()
		}
	}
	for i := range f.ByKind {
		if a := &f.ByKind[i]; a.Present || a.Listed {
			a.reset()
		}
	}
}

// reset leaves alone what nobody has filled: a check names few of the subjects that
// there are, and emptying all of them costs as much as a tenth of a check.
func (a *About) reset() {
	if a.Present || a.Listed {
		*a = About{Codes: a.Codes[:0]}
	}
}

// The subjects that facts speak of, as bits: one for any, one for each role, one
// for each kind.
type subjects uint32

const (
	subjectAny   subjects = 1
	subjectRoles          = 1
	subjectKinds          = subjectRoles + int(risk.Roles)
)

// bears is the hardest advice that the listings of some subjects bear; 0 for no
// bound.
func (f *Facts) bears(set subjects) risk.Advice {
	most := risk.Advice(0)
	bounded := true
	each := func(bit subjects, a *About) {
		if set&bit != 0 {
			most, bounded = max(most, a.AtMost), bounded && a.AtMost != 0
		}
	}
	each(subjectAny, &f.Any)
	for r := risk.Role(1); r < risk.Roles; r++ {
		each(roleBit(r), &f.ByRole[r])
	}
	for k := risk.Kind(1); k < risk.Kinds; k++ {
		each(kindBit(k), &f.ByKind[k])
	}
	if !bounded {
		return 0
	}
	return most
}

func roleBit(r risk.Role) subjects { return 1 << (subjectRoles + int(r)) }
func kindBit(k risk.Kind) subjects { return 1 << (subjectKinds + int(k)) }

// listed gives the subjects about which something is listed.
func (f *Facts) listed() subjects {
	if !f.Any.Listed {
		return 0
	}
	set := subjectAny
	for r := risk.Role(1); r < risk.Roles; r++ {
		if f.ByRole[r].Listed {
			set |= roleBit(r)
		}
	}
	for k := risk.Kind(1); k < risk.Kinds; k++ {
		if f.ByKind[k].Listed {
			set |= kindBit(k)
		}
	}
	return set
}
