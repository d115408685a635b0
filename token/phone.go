package token

import (
	"strings"

	"github.com/nyaruka/phonenumbers"
)

var (
	errPhoneChar = &fault{"contains something that is not part of a number", "write digits with a leading +, without letters and extension"}
	errPhoneForm = &fault{"has no country code", "write it like +86 138 0013 8000; only Chinese mobile numbers of 11 digits may go without"}
	errPhone     = &fault{"is not a number that its country could have given out", "check the country code and the number of digits"}
)

// maxPhoneDigits is the 15 digits of E.164 and a national prefix that people
// leave in, as in +44 (0)20.
const maxPhoneDigits = 20

// phone: E.164, as in +8613800138000. A number is international: it begins with
// + or 00. The exception is a Chinese mobile number, 11 digits from 13 to 19 on;
// so a North American number must be written with its +.
func phone(raw string) (string, error) {
	number, err := international(raw)
	if err != nil {
		return "", err
	}
	if isChineseMobile(number) {
		return number, nil
	}
	if len(number) > maxPhoneDigits+1 {
		return "", errPhone
	}
	// One pass is not always enough: a national prefix may stand behind another.
	for range 3 {
		again, err := parsePhone(number)
		if err != nil || again == number {
			return again, err
		}
		number = again
	}
	return "", errPhone
}

// international gives + and digits.
func international(raw string) (string, error) {
	number := make([]byte, 0, 24)
	for i, r := range raw {
		switch {
		case '0' <= r && r <= '9':
			number = append(number, byte(r))
		case '０' <= r && r <= '９':
			number = append(number, byte(r-'０')+'0')
		case i == 0 && (r == '+' || r == '＋'):
			number = append(number, '+')
		case isGap(r) || strings.ContainsRune("()./", r):
		default:
			return "", errPhoneChar
		}
	}
	text := string(number)
	switch {
	case strings.HasPrefix(text, "+"):
		return text, nil
	case strings.HasPrefix(text, "00"):
		return "+" + text[2:], nil
	case isChineseMobile("+86" + text):
		return "+86" + text, nil
	}
	return "", errPhoneForm
}

// isChineseMobile spares these numbers the general way, which is many times
// slower and gives the same; a test compares the two.
func isChineseMobile(number string) bool {
	return len(number) == 14 && strings.HasPrefix(number, "+861") && number[4] >= '3'
}

func parsePhone(number string) (string, error) {
	parsed, err := phonenumbers.Parse(number, "ZZ")
	if err != nil || !phonenumbers.IsPossibleNumber(parsed) {
		return "", errPhone
	}
	return phonenumbers.Format(parsed, phonenumbers.E164), nil
}
