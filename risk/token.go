package risk

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Kind says what sort of thing an identifier names. The numbers are part of the
// formats; a new kind takes the next one.
type Kind uint8

// The kinds of subject.
const (
	KindMerchant Kind = 1 + iota
	KindPerson
	KindCompany
	KindAccount
	KindCard
	KindPhone
	KindEmail
	KindDevice
	KindTerminal
	KindIP
	KindDomain
	KindURL
	KindWallet
	KindMiniProgram
	KindAgent // 外包服务机构: a payment facilitator or outsourcing institution
	KindStore

	// Kinds is one more than the largest kind, for tables indexed by kind.
	Kinds
)

var kindNames = [Kinds]string{
	KindMerchant: "merchant", KindPerson: "person", KindCompany: "company",
	KindAccount: "account", KindCard: "card", KindPhone: "phone", KindEmail: "email",
	KindDevice: "device", KindTerminal: "terminal", KindIP: "ip", KindDomain: "domain",
	KindURL: "url", KindWallet: "wallet", KindMiniProgram: "mini_program",
	KindAgent: "agent", KindStore: "store",
}

func (k Kind) String() string { return nameOf(kindNames[:], uint8(k), "kind") }

// Valid reports whether this protocol knows the kind.
func (k Kind) Valid() bool { return k > 0 && k < Kinds }

// ParseKind reads a kind's name.
func ParseKind(name string) (Kind, error) {
	n, err := parseName(kindNames[:], name, "kind")
	return Kind(n), err
}

// AllKinds lists every kind in the order of its number.
func AllKinds() []Kind {
	all := make([]Kind, 0, Kinds-1)
	for k := Kind(1); k < Kinds; k++ {
		all = append(all, k)
	}
	return all
}

// Token is the keyed pseudonym of one normalised identifier: the first 16 bytes
// of HMAC-SHA256 under an epoch's key. Equal identifiers of one kind have equal
// tokens within an epoch, and nobody without the key can go back.
type Token [16]byte

func (t Token) String() string { return hex.EncodeToString(t[:]) }

// Epoch numbers a token key. At most two epochs are live at a time.
type Epoch uint32

// Family says how a [Scope] is counted.
type Family uint8

// The families of scope.
const (
	FamilyNone   Family = 0 // an identifier that is asked as itself
	FamilyIPv4   Family = 1 // length is the prefix length in bits, 0–32
	FamilyIPv6   Family = 2 // length is the prefix length in bits, 0–128
	FamilyDomain Family = 3 // length is the number of labels, 1–127
)

// Scope says how much one listing covers: an address prefix of that many bits,
// or a domain of that many labels together with all below it. It is signed in
// clear, and a check only ever asks scopes that are in use.
type Scope struct {
	Family Family
	Length uint8
}

func (s Scope) String() string {
	switch s.Family {
	case FamilyIPv4:
		return fmt.Sprintf("ipv4/%d", s.Length)
	case FamilyIPv6:
		return fmt.Sprintf("ipv6/%d", s.Length)
	case FamilyDomain:
		return fmt.Sprintf("domain/%d", s.Length)
	default:
		return "exact"
	}
}

// FitsKind reports whether a listing of kind k may have this scope.
func (s Scope) FitsKind(k Kind) bool {
	switch k {
	case KindIP:
		return s.Family == FamilyIPv4 && s.Length <= 32 || s.Family == FamilyIPv6 && s.Length <= 128
	case KindDomain:
		return s.Family == FamilyDomain && s.Length >= 1 && s.Length <= 127
	default:
		return s == Scope{}
	}
}

// Broad reports whether the scope covers so much that one key is not enough to
// list it: shorter than /16, IPv6 shorter than /32, or a whole top-level domain.
func (s Scope) Broad() bool {
	switch s.Family {
	case FamilyIPv4:
		return s.Length < BroadIPv4Bits
	case FamilyIPv6:
		return s.Length < BroadIPv6Bits
	case FamilyDomain:
		return s.Length < BroadLabels
	default:
		return false
	}
}

// Asked is one question to the store: is this token listed under this kind?
type Asked struct {
	Kind  Kind
	Scope Scope
	Epoch Epoch
	Token Token
}

// nameOf and parseName serve every enumeration whose names stand in a table
// indexed by number, where an empty name means that the number is not in use.
func nameOf(names []string, n uint8, what string) string {
	if int(n) < len(names) && names[n] != "" {
		return names[n]
	}
	return fmt.Sprintf("%s(%d)", what, n)
}

func parseName(names []string, name, what string) (uint8, error) {
	for n, candidate := range names { // each check comes through here, often
		if candidate == name && name != "" {
			return uint8(n), nil
		}
	}
	known := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == "" })
	return 0, fmt.Errorf("%s: %q is not known; use one of %s", what, name, strings.Join(known, ", "))
}
