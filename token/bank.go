package token

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

var (
	errCardChar  = &fault{"contains something that is not a digit", "write the card number with digits, spaces and dashes only"}
	errCardLen   = &fault{"is not 12 to 19 digits long", "write the whole card number"}
	errCardCheck = &fault{"fails its check digit (Luhn)", "check the digits"}
	errIBANCheck = &fault{"fails its check digits (IBAN, mod 97)", "check the characters"}
	errIBANForm  = &fault{"is not an IBAN and has no bank code", "write an IBAN, or bank code/number"}
	errAccount   = &fault{"is not of two parts", "write bank code/number"}
)

// joined removes what people put between the groups of a number.
func joined(number string) string {
	return strings.Map(func(r rune) rune {
		if isGap(r) {
			return -1
		}
		return r
	}, number)
}

// isGap: spaces and dashes of every width.
func isGap(r rune) bool {
	return r == ' ' || r == '-' || r >= utf8.RuneSelf && unicode.In(r, unicode.Zs, unicode.Pd)
}

// card: the digits of a primary account number (ISO/IEC 7812-1), which end in a
// Luhn digit.
func card(raw string) (string, error) {
	number := joined(norm.NFKC.String(raw))
	if !isDigits(number) {
		return "", errCardChar
	}
	if len(number) < 12 || len(number) > 19 {
		return "", errCardLen
	}
	sum := 0
	for i := range len(number) {
		digit := int(number[len(number)-1-i] - '0')
		if i%2 == 1 {
			digit = digit*2/10 + digit*2%10
		}
		sum += digit
	}
	if sum%10 != 0 {
		return "", errCardCheck
	}
	return number, nil
}

// account: an IBAN (ISO 13616) without spaces, in capitals; or bank code/number.
func account(raw string) (string, error) {
	raw = capitals(raw)
	if slash := strings.IndexByte(raw, '/'); slash >= 0 {
		if isPair(raw) && !strings.ContainsAny(raw[slash:], " -") {
			return raw, nil
		}
		parts, ok := slashed(raw, 2)
		if !ok {
			return "", errAccount
		}
		number := capitals(joined(parts[1]))
		if number == "" {
			return "", errAccount
		}
		return parts[0] + "/" + number, nil
	}
	iban := joined(raw)
	if !looksLikeIBAN(iban) {
		return "", errIBANForm
	}
	if mod97(iban[4:]+iban[:4]) != 1 {
		return "", errIBANCheck
	}
	return iban, nil
}

// looksLikeIBAN: a country, two check digits, and 11 to 30 characters.
func looksLikeIBAN(s string) bool {
	if len(s) < 15 || len(s) > 34 || !isCountry(s[:2]) || !isDigits(s[2:4]) {
		return false
	}
	for i := range len(s) {
		if !isDigit(s[i]) && !isCapital(s[i]) {
			return false
		}
	}
	return true
}

// mod97 reads digits as they are and letters as 10 to 35 (ISO/IEC 7064, MOD 97-10).
func mod97(s string) int {
	rest := 0
	for i := range len(s) {
		if isDigit(s[i]) {
			rest = (rest*10 + int(s[i]-'0')) % 97
		} else {
			rest = (rest*100 + int(s[i]-'A') + 10) % 97
		}
	}
	return rest
}

func isCapital(c byte) bool { return 'A' <= c && c <= 'Z' }

func isCountry(s string) bool { return len(s) == 2 && isCapital(s[0]) && isCapital(s[1]) }

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
