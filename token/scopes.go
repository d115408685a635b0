package token

import (
	"math/bits"

	"github.com/risknet/risknet/risk"
)

// ScopesInUse says which scopes at least one listing has, so that a check asks
// for no other. The zero value says that none is in use. It is a plain value:
// who has it may copy it and read it from many goroutines.
type ScopesInUse struct {
	ipv4   [1]uint64 // lengths 0–32
	ipv6   [3]uint64 // lengths 0–128
	labels [2]uint64 // counts 1–127
}

// AllScopes says that every scope is in use.
func AllScopes() ScopesInUse {
	return ScopesInUse{
		ipv4:   [1]uint64{^uint64(0)},
		ipv6:   [3]uint64{^uint64(0), ^uint64(0), ^uint64(0)},
		labels: [2]uint64{^uint64(0), ^uint64(0)},
	}
}

// Set notes that a scope is in use. The exact scope needs no note, and a scope
// that no listing can have is ignored.
func (u *ScopesInUse) Set(s risk.Scope) {
	if bits := u.of(s); bits != nil {
		bits[s.Length/64] |= 1 << (s.Length % 64)
	}
}

// Has reports whether a scope is in use. The exact scope always is.
func (u *ScopesInUse) Has(s risk.Scope) bool {
	if s == (risk.Scope{}) {
		return true
	}
	bits := u.of(s)
	return bits != nil && bits[s.Length/64]>>(s.Length%64)&1 == 1
}

// of gives the bits of a scope's family, nil if no listing can have the scope.
func (u *ScopesInUse) of(s risk.Scope) []uint64 {
	switch {
	case s.Family == risk.FamilyIPv4 && s.FitsKind(risk.KindIP):
		return u.ipv4[:]
	case s.Family == risk.FamilyIPv6 && s.FitsKind(risk.KindIP):
		return u.ipv6[:]
	case s.FitsKind(risk.KindDomain):
		return u.labels[:]
	default:
		return nil
	}
}

// below gives the greatest prefix length up to a bound that may be in use, -1 if there
// is none: of 129 lengths few are.
func (u *ScopesInUse) below(family risk.Family, most int) int {
	words := u.ipv6[:]
	if family == risk.FamilyIPv4 {
		words = u.ipv4[:]
	}
	for i := min(most/64, len(words)-1); i >= 0 && most >= 0; i-- {
		word := words[i]
		if most < 64*i+63 {
			word &= 1<<(most-64*i+1) - 1
		}
		if word != 0 {
			return 64*i + bits.Len64(word) - 1
		}
	}
	return -1
}
