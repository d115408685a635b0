package token

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// The prefixes of identifiers that are not country/document/number.
const (
	chineseIDPrefix = "CN-ID/"
	namePrefix      = "name/"
)

var (
	errPersonForm = &fault{"is not of a known form", "write CN-ID/number, country/document/number or name/full name"}
	errIDForm     = &fault{"is not a Chinese identity number of 17 digits and a check character", "write the number of 18 characters (GB 11643)"}
	errIDDate     = &fault{"is a Chinese identity number with an impossible date of birth", "check digits 7 to 14"}
	errIDCheck    = &fault{"is a Chinese identity number that fails its check character (GB 11643)", "check the characters"}
	errName       = &fault{"is a name without a letter", "write name/full name"}

	errCompanyForm  = &fault{"is not of a known form", "write the credit code of 18 characters, country/register/number or name/full name"}
	errCompanyChar  = &fault{"is a credit code with a character that none has (such as I, O, S, V or Z)", "check the characters"}
	errCompanyCheck = &fault{"is a credit code that fails its check character (GB 32100)", "check the characters"}
	errCountry      = &fault{"does not begin with a country", "write its two letters (ISO 3166-1), as in CN"}
)

// company: a 统一社会信用代码 in capitals, or country/register/number, or a name,
// which is a weak identifier.
func company(raw string) (string, error) {
	raw = norm.NFKC.String(raw)
	if name, ok := named(raw); ok {
		return fullName(name)
	}
	raw = capitals(raw)
	if strings.Contains(raw, "/") {
		return registered(raw, errCompanyForm)
	}
	code := joined(raw)
	if len(code) != 18 {
		return "", errCompanyForm
	}
	sum, weight := 0, 1
	for i := range len(code) {
		digit := strings.IndexByte(creditDigits, code[i])
		if digit < 0 {
			return "", errCompanyChar
		}
		sum += digit * weight
		weight = weight * 3 % 31
		if i == 16 {
			weight = 1 // the check character completes the sum to a multiple of 31
		}
	}
	if sum%31 != 0 {
		return "", errCompanyCheck
	}
	return code, nil
}

// creditDigits are the digits 0 to 30 of GB 32100-2015, section 4.
const creditDigits = "0123456789ABCDEFGHJKLMNPQRTUWXY"

// person: a document's number, which is a strong identifier, or a name, which
// is a weak one.
func person(raw string) (string, error) {
	raw = norm.NFKC.String(raw)
	if name, ok := named(raw); ok {
		return fullName(name)
	}
	upper := strings.ToUpper(raw[:min(len(raw), len(chineseIDPrefix))])
	if upper == chineseIDPrefix || upper == "CN/ID/" {
		number, err := chineseID(raw[len(chineseIDPrefix):])
		return chineseIDPrefix + number, err
	}
	raw = capitals(raw)
	if parts, ok := slashed(raw, 3); ok && parts[0] == "CN" && parts[1] == "ID" {
		number, err := chineseID(parts[2])
		return chineseIDPrefix + number, err
	}
	return registered(raw, errPersonForm)
}

// named reports whether an identifier is a name, and gives what follows the prefix.
func named(raw string) (string, bool) {
	n := min(len(raw), len(namePrefix))
	return raw[n:], strings.EqualFold(raw[:n], namePrefix)
}

// chineseID: region, date of birth, sequence and a check character by ISO/IEC
// 7064 MOD 11-2, ten being X (GB 11643-1999).
func chineseID(raw string) (string, error) {
	number := strings.ToUpper(joined(raw))
	if len(number) != 18 || !isDigits(number[:17]) || !isDigit(number[17]) && number[17] != 'X' {
		return "", errIDForm
	}
	if _, err := time.Parse("20060102", number[6:14]); err != nil || number[6:8] < "18" {
		return "", errIDDate
	}
	rest := 0
	for i := range 17 {
		rest = (rest + int(number[i]-'0')) * 2 % 11
	}
	if number[17] != "10X98765432"[rest] {
		return "", errIDCheck
	}
	return number, nil
}

// fullName folds what one name is written with in different systems: width and
// compatibility forms (NFKC), case, invisible marks, and the amount of space.
func fullName(raw string) (string, error) {
	name := raw
	for range 2 { // folding may leave what normalising changes once more
		name = norm.NFKC.String(cases.Fold().String(norm.NFKC.String(name)))
		name = strings.Join(strings.Fields(strings.Map(visible, name)), " ")
	}
	if !strings.ContainsFunc(name, unicode.IsLetter) {
		return "", errName
	}
	return namePrefix + name, nil
}

// visible drops what nobody sees.
func visible(r rune) rune {
	if invisible(r) {
		return -1
	}
	return r
}

// invisible are the format characters (joiners, marks of direction, soft hyphens), and
// what chooses a variant of the character before it or fills a place.
func invisible(r rune) bool {
	return unicode.In(r, unicode.Cf, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point)
}

// registered: country/register/number.
func registered(raw string, form *fault) (string, error) {
	parts, ok := slashed(raw, 3)
	if !ok {
		return "", form
	}
	if !isCountry(parts[0]) {
		return "", errCountry
	}
	number := capitals(joined(parts[2]))
	if number == "" {
		return "", form
	}
	return parts[0] + "/" + parts[1] + "/" + number, nil
}

// acquired: acquirer/number, in capitals: of a merchant, terminal or store.
func acquired(raw string) (string, error) {
	raw = capitals(raw)
	if isPair(raw) {
		return raw, nil
	}
	parts, ok := slashed(raw, 2)
	if !ok {
		return "", errSlashTwo
	}
	return parts[0] + "/" + parts[1], nil
}

// opaque: what the identifier's own system gave out, as it is.
func opaque(raw string) (string, error) { return raw, nil }

// capitals folds width, compatibility forms and case. It comes before a split,
// because a compatibility form may hold a slash.
func capitals(s string) string {
	if isASCII(s) {
		return strings.ToUpper(s) // as it stands, where there is nothing to fold
	}
	return norm.NFKC.String(strings.ToUpper(norm.NFKC.String(s)))
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// isPair reports whether slashed would give two parts that make up s as it stands: ASCII
// without control characters, one slash, and single spaces inside the parts alone.
func isPair(s string) bool {
	slash, gap := -1, true // gap: no space and no slash may stand here
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ' || c >= utf8.RuneSelf || gap && (c == ' ' || c == '/'):
			return false
		case c == '/' && slash >= 0:
			return false
		case c == '/':
			slash, gap = i, true
		case c == ' ':
			if i+1 < len(s) && s[i+1] == '/' {
				return false
			}
			gap = true
		default:
			gap = false
		}
	}
	return slash > 0 && !gap
}

// slashed splits at every slash and leaves single spaces inside the parts. It
// fails if they are not n, or one of them is empty.
func slashed(s string, n int) ([]string, bool) {
	parts := strings.Split(s, "/")
	for i, part := range parts {
		parts[i] = strings.Join(strings.Fields(part), " ")
		if parts[i] == "" {
			return nil, false
		}
	}
	return parts, len(parts) == n
}
