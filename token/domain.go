package token

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"github.com/risknet/risknet/risk"
)

// The lengths of a name, in bytes (RFC 1035 section 2.3.4, without the root).
const (
	maxNameBytes  = 253
	maxLabelBytes = 63
	// maxWideBytes is more than any name of 253 bytes takes in Unicode; it
	// bounds the work of conversion, which grows with the square of the length.
	maxWideBytes = 1_024
)

// names maps as browsers and resolvers do (UTS 46, non-transitional), and
// accepts what stands in the DNS although no registry would sell it: hyphens
// anywhere in a label, underscores, right-to-left labels beside others. Which
// ASCII characters may stand is checked by us.
var names = idna.New(
	idna.MapForLookup(),
	idna.Transitional(false),
	idna.StrictDomainName(false),
	idna.CheckHyphens(false),
)

var (
	errDot = &fault{"is a domain that begins with a dot or a star",
		"leave it out: a listing covers all names below the domain"}
	errEmptyLabel = &fault{"is a domain with an empty label", "write single dots between the labels"}
	errNameLong   = &fault{"is a domain longer than 253 bytes, or with a label longer than 63", "check the spelling"}
	errNameChar   = &fault{"is a domain with a character that no name has",
		"use letters, digits, hyphens, underscores and dots, without scheme, port or path"}
	errIDNA    = &fault{"is a domain that international names (UTS 46) do not allow", "check the spelling of the label that is not ASCII or begins with xn--"}
	errNumeric = &fault{"is a domain that ends in a number", "write an address as kind ip, in four decimal parts"}
)

// domain: the name in lower case and ASCII, without the root's dot. Single
// labels and public suffixes are names like others.
func domain(raw string) (string, risk.Scope, error) {
	name, labels, err := domainName(raw)
	if err != nil {
		return "", risk.Scope{}, err
	}
	return name, risk.Scope{Family: risk.FamilyDomain, Length: labels}, nil
}

// domainName gives the normal form and its label count. A name that is normal
// already, as almost all are, costs one pass and no allocation.
func domainName(raw string) (name string, labels uint8, err error) {
	if strings.HasPrefix(raw, ".") && len(raw) > 1 || strings.HasPrefix(raw, "*.") {
		return "", 0, errDot
	}
	name = raw
	if !plain(name) {
		if len(raw) > maxWideBytes {
			return "", 0, errNameLong
		}
		if name, err = names.ToASCII(raw); err != nil {
			return "", 0, errIDNA
		}
	}
	name = strings.TrimSuffix(name, ".")
	labels, err = countLabels(name)
	if err == nil && endsInNumber(name) {
		err = errNumeric
	}
	if err != nil {
		return "", 0, err
	}
	return name, labels, nil
}

// plain reports whether conversion would leave the name as it is: ASCII without
// capitals and without labels that carry Unicode.
func plain(name string) bool {
	for i := 0; i < len(name); i++ {
		if c := name[i]; c >= utf8.RuneSelf || 'A' <= c && c <= 'Z' {
			return false
		}
	}
	return !strings.Contains(name, "xn--")
}

func countLabels(name string) (uint8, error) {
	if len(name) > maxNameBytes {
		return 0, errNameLong
	}
	labels, start := 1, 0
	for i := 0; i <= len(name); i++ {
		if i == len(name) || name[i] == '.' {
			switch {
			case i == start:
				return 0, errEmptyLabel
			case i-start > maxLabelBytes:
				return 0, errNameLong
			case i < len(name):
				labels, start = labels+1, i+1
			}
			continue
		}
		if c := name[i]; !('a' <= c && c <= 'z' || isDigit(c) || c == '-' || c == '_') {
			return 0, errNameChar
		}
	}
	return uint8(labels), nil
}

// endsInNumber is the test of the URL standard for a host that a browser takes
// for an IPv4 address in one of its many spellings. No top-level domain is a
// number (RFC 3696 section 2).
func endsInNumber(name string) bool {
	last := name[strings.LastIndexByte(name, '.')+1:]
	if digits, hex := strings.CutPrefix(last, "0x"); hex {
		return strings.Trim(digits, "0123456789abcdef") == ""
	}
	return strings.Trim(last, "0123456789") == ""
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
