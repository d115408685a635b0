package token

import (
	"net/netip"
	"strings"

	"github.com/risknet/risknet/risk"
)

var (
	errNotIP = &fault{"is not an IP address or prefix",
		"write it like 192.0.2.1, 192.0.2.0/24, 2001:db8::1 or 2001:db8::/32, without port and leading zeros"}
	errZone     = &fault{"has a zone", "leave out the % and what follows it"}
	errHostBits = &fault{"is a prefix with host bits set", "set the bits behind the prefix length to zero, or write the address alone"}
)

// ip: an address or a prefix, as netip writes a masked prefix. An address is the
// prefix of its whole length; an IPv4 address inside IPv6 (::ffff:0:0/96,
// RFC 4291 section 2.5.5.2) is that IPv4 address.
func ip(raw string) (string, risk.Scope, error) {
	p, err := parseIP(raw)
	if err != nil {
		return "", risk.Scope{}, err
	}
	var text [64]byte
	return string(p.AppendTo(text[:0])), scopeOf(p), nil
}

// prefixOf is [Normalise] for an ip, before it is written.
func prefixOf(raw string) (netip.Prefix, error) {
	raw, err := readable(raw, limitsOf(risk.KindIP))
	if err != nil {
		return netip.Prefix{}, about(risk.KindIP, err)
	}
	p, err := parseIP(raw)
	if err != nil {
		return netip.Prefix{}, about(risk.KindIP, err)
	}
	return p, nil
}

func parseIP(raw string) (netip.Prefix, error) {
	if strings.IndexByte(raw, '%') >= 0 {
		return netip.Prefix{}, errZone
	}
	if strings.IndexByte(raw, '/') < 0 {
		addr, err := netip.ParseAddr(raw)
		if err != nil {
			return netip.Prefix{}, errNotIP
		}
		return wholeAddress(addr), nil
	}
	p, err := netip.ParsePrefix(raw)
	if err != nil {
		return netip.Prefix{}, errNotIP
	}
	if p != p.Masked() {
		return netip.Prefix{}, errHostBits
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p, nil
}

func wholeAddress(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap()
	return netip.PrefixFrom(addr, addr.BitLen())
}

func scopeOf(p netip.Prefix) risk.Scope {
	family := risk.FamilyIPv6
	if p.Addr().Is4() {
		family = risk.FamilyIPv4
	}
	return risk.Scope{Family: family, Length: uint8(p.Bits())}
}
