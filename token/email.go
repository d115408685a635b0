package token

import "strings"

// The lengths of an address, in bytes (RFC 5321 section 4.5.3.1, and the 256
// bytes of a path less its brackets).
const (
	maxLocalBytes   = 64
	maxMailboxBytes = 254
)

var (
	errNoAt      = &fault{"has no @ with something on both sides", "write name@domain"}
	errManyAt    = &fault{"has more than one @ outside quotes", "write one address, name@domain"}
	errLocal     = &fault{"has a character before the @ that an address cannot have", "check the spelling, and write the bare address without name and brackets"}
	errQuote     = &fault{"has a quoted name that does not end before the @", `close the quotes: "name"@domain`}
	errLocalLong = &fault{"is longer than 64 bytes before the @, or 254 in all", "check that it is one address"}
	errLiteral   = &fault{"has an address literal in the place of a domain", "list the address as kind ip"}
)

// email: the part before the @ as it is, because only its own server knows
// whether case matters there; the domain in normal form. Quotes that nothing
// requires are taken off (RFC 5321 section 4.1.2: both spellings are one mailbox).
func email(raw string) (string, error) {
	local, host, err := splitMailbox(raw)
	if err != nil {
		return "", err
	}
	if strings.HasPrefix(host, "[") {
		return "", errLiteral
	}
	name, _, err := domainName(host)
	if err != nil {
		return "", err
	}
	if len(local) > maxLocalBytes || len(local)+1+len(name) > maxMailboxBytes {
		return "", errLocalLong
	}
	if len(raw) == len(local)+1+len(name) && strings.HasSuffix(raw, name) {
		return raw, nil
	}
	return local + "@" + name, nil
}

func splitMailbox(raw string) (local, host string, err error) {
	end := strings.IndexByte(raw, '@')
	quoted := raw[0] == '"'
	if quoted {
		if end = closingQuote(raw); end < 0 || end == len(raw) || raw[end] != '@' {
			return "", "", errQuote
		}
	}
	if end <= 0 || end == len(raw)-1 {
		return "", "", errNoAt
	}
	local, host = raw[:end], raw[end+1:]
	if strings.IndexByte(host, '@') >= 0 {
		return "", "", errManyAt
	}
	if quoted {
		if inner := unquoted(local[1 : len(local)-1]); inner != "" && isAtom(inner) {
			local = inner
		}
		return local, host, nil
	}
	if !isAtom(local) {
		return "", "", errLocal
	}
	return local, host, nil
}

// unquoted leaves out the backslashes of quoted pairs, which say nothing (RFC 5321, 4.1.2).
func unquoted(inner string) string {
	if strings.IndexByte(inner, '\\') < 0 {
		return inner
	}
	var b strings.Builder
	for i := 0; i < len(inner); i++ {
		if inner[i] == '\\' && i+1 < len(inner) {
			i++
		}
		b.WriteByte(inner[i])
	}
	return b.String()
}

// closingQuote gives the place behind the quote that closes the first one, -1
// if none does.
func closingQuote(raw string) int {
	for i := 1; i < len(raw); i++ {
		switch raw[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// isAtom: what may stand without quotes. Dots may stand anywhere, since mailboxes
// exist that break the rule about them.
func isAtom(local string) bool { return !strings.ContainsAny(local, "()<>[],;:\\\"@ \u00a0\u3000") }
