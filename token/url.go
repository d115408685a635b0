package token

import (
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"
)

var (
	errNoScheme = &fault{"is not an absolute url", "begin it with a scheme and a host, as in https://example.org/page"}
	errNoHost   = &fault{"has no host", "write scheme://host/path"}
	errPort     = &fault{"has a port that is not a number up to 65535", "correct or remove the port"}
	errURLChar  = &fault{"contains a space or a backslash", "write it percent-encoded, as it stands in a browser's address bar"}
	errBracket  = &fault{"has a host in brackets that is not an IPv6 address", "write the host like [2001:db8::1], without zone"}
)

var defaultPorts = map[string]string{"http": "80", "https": "443", "ws": "80", "wss": "443", "ftp": "21"}

// address: a url in the syntax-based normal form of RFC 3986 section 6.2.2, so
// that respelling a page does not hide it. Scheme and host are in lower case,
// dot segments resolved, an empty path is "/", escapes are in capitals and only
// where they are needed. The default port and the fragment are removed, and so
// is user information: it names no other page, and would let a fraudster make
// a new url of the same page at will.
func address(raw string) (string, error) {
	if strings.ContainsAny(raw, " \\\u00a0\u3000") {
		return "", errURLChar
	}
	scheme, rest, found := strings.Cut(raw, "://")
	if !found || !isScheme(scheme) {
		return "", errNoScheme
	}
	scheme = strings.ToLower(scheme)
	rest, _, _ = strings.Cut(rest, "#")
	authority, tail := rest, ""
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		authority, tail = rest[:i], rest[i:]
	}
	host, err := authorityOf(scheme, authority)
	if err != nil {
		return "", err
	}
	path, query, asked := strings.Cut(tail, "?")
	path = resolveDots(escape(path))
	if asked {
		path += "?" + escape(query)
	}
	return scheme + "://" + host + path, nil
}

func isScheme(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i] | 0x20
		if !('a' <= c && c <= 'z') && (i == 0 || !isDigit(s[i]) && s[i] != '+' && s[i] != '-' && s[i] != '.') {
			return false
		}
	}
	return s != ""
}

// authorityOf gives the host in normal form, with the port if it says something.
func authorityOf(scheme, authority string) (string, error) {
	authority = authority[strings.LastIndexByte(authority, '@')+1:]
	host, port := authority, ""
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		host, port = authority[:i], authority[i+1:]
	}
	host, err := hostName(host)
	if err != nil {
		return "", err
	}
	if port == "" {
		return host, nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return "", errPort
	}
	if port = strconv.FormatUint(n, 10); port == defaultPorts[scheme] {
		return host, nil
	}
	return host + ":" + port, nil
}

func hostName(host string) (string, error) {
	if host == "" {
		return "", errNoHost
	}
	if inner, bracketed := strings.CutPrefix(host, "["); bracketed {
		addr, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		if err != nil || addr.Is4() || addr.Zone() != "" || !strings.HasSuffix(inner, "]") {
			return "", errBracket
		}
		if addr = addr.Unmap(); addr.Is4() {
			return addr.String(), nil
		}
		return "[" + addr.String() + "]", nil
	}
	if addr, err := netip.ParseAddr(host); err == nil && addr.Is4() {
		return addr.String(), nil
	}
	name, _, err := domainName(host)
	return name, err
}

// hostOf takes the host out of a url in normal form.
func hostOf(value string) string {
	_, rest, _ := strings.Cut(value, "://")
	rest = rest[:strings.IndexByte(rest, '/')]
	if i := strings.LastIndexByte(rest, ':'); i > strings.LastIndexByte(rest, ']') {
		rest = rest[:i]
	}
	return rest
}

// escape percent-encodes what RFC 3986 does not allow in a path or query and
// decodes what need not be encoded. A percent sign that begins no escape is one
// that should have been encoded.
func escape(s string) string {
	const digits = "0123456789ABCDEF"
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		c, escaped := s[i], false
		if c == '%' && i+2 < len(s) && unhex(s[i+1]) < 16 && unhex(s[i+2]) < 16 {
			c, escaped = unhex(s[i+1])<<4|unhex(s[i+2]), true
			i += 2
		}
		if isUnreserved(c) || !escaped && strings.IndexByte("!$&'()*+,;=:@/?", c) >= 0 {
			out.WriteByte(c)
			continue
		}
		out.Write([]byte{'%', digits[c>>4], digits[c&15]})
	}
	return out.String()
}

// isUnreserved: RFC 3986 section 2.3.
func isUnreserved(c byte) bool {
	lower := c | 0x20
	return c < utf8.RuneSelf && ('a' <= lower && lower <= 'z' || isDigit(c) || strings.IndexByte("-._~", c) >= 0)
}

// unhex gives the value of a hex digit, 16 or more for anything else.
func unhex(c byte) byte {
	switch lower := c | 0x20; {
	case isDigit(c):
		return c - '0'
	case 'a' <= lower && lower <= 'f':
		return lower - 'a' + 10
	default:
		return 0xff
	}
}

// resolveDots removes "." and ".." segments (RFC 3986 section 5.2.4).
func resolveDots(path string) string {
	if path == "" {
		return "/"
	}
	if !strings.Contains(path, "/.") {
		return path
	}
	var kept []string
	segments := strings.Split(path[1:], "/")
	for i, segment := range segments {
		switch segment {
		case "..":
			kept = kept[:max(0, len(kept)-1)]
		case ".":
		default:
			kept = append(kept, segment)
			continue
		}
		if i == len(segments)-1 {
			kept = append(kept, "") // a directory keeps its slash
		}
	}
	return "/" + strings.Join(kept, "/")
}
