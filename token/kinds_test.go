package token_test

import (
	"strings"
	"testing"

	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/token"
)

func TestIP(t *testing.T) {
	accept(t, risk.KindIP, []same{
		{"192.0.2.1", "192.0.2.1/32"},
		{" 192.0.2.1/32 ", "192.0.2.1/32"},
		{"192.0.2.0/24", "192.0.2.0/24"},
		{"0.0.0.0/0", "0.0.0.0/0"},
		{"2001:DB8:0:0::1", "2001:db8::1/128"},
		{"2001:db8::/32", "2001:db8::/32"},
		{"::/0", "::/0"},
		{"::ffff:192.0.2.1", "192.0.2.1/32"},
		{"::ffff:c000:201", "192.0.2.1/32"},
		{"::ffff:192.0.2.0/120", "192.0.2.0/24"},
		{"::ffff:0:0/96", "0.0.0.0/0"},
	})
	refuse(t, risk.KindIP, []wrong{
		{"192.0.2.1/24", "host bits"},
		{"2001:db8::1/64", "host bits"},
		{"::ffff:192.0.2.1/120", "host bits"},
		{"fe80::1%eth0", "zone"},
		{"fe80::%1/64", "zone"},
		{"192.0.2.01", "leading zeros"},
		{"192.0.2", "not an IP"},
		{"192.0.2.1:80", "port"},
		{"[::1]", "not an IP"},
		{"192.0.2.0/33", "not an IP"},
		{"192.0.2.0/024", "not an IP"},
		{"192.0.2.0/255.255.255.0", "not an IP"},
		{"example.org", "not an IP"},
	})
	for raw, scope := range map[string]risk.Scope{
		"192.0.2.1": ipv4(32), "10.0.0.0/8": ipv4(8), "::1": ipv6(128), "2001:db8::/32": ipv6(32), "::ffff:10.0.0.0/104": ipv4(8),
	} {
		if s, err := token.Normalise(risk.KindIP, raw); err != nil || s.Scope != scope {
			t.Errorf("%s: %s, %v; want %s", raw, s.Scope, err, scope)
		}
	}
}

func TestDomain(t *testing.T) {
	long := strings.Repeat("a", 63)
	accept(t, risk.KindDomain, []same{
		{"example.org", "example.org"},
		{"Example.ORG.", "example.org"},
		{"com", "com"},
		{"co.uk", "co.uk"},
		{"_dmarc.example.org", "_dmarc.example.org"},
		{"r3---sn-apo3q.example.org", "r3---sn-apo3q.example.org"},
		{"-a-.example.org", "-a-.example.org"},
		{"bücher.example", "xn--bcher-kva.example"},
		{"BÜCHER.example", "xn--bcher-kva.example"},
		{"bu\u0308cher.example", "xn--bcher-kva.example"},
		{"XN--BCHER-KVA.Example", "xn--bcher-kva.example"},
		{"straße.example", "xn--strae-oqa.example"},
		{"gmaıl.example", "xn--gmal-nza.example"},
		{"例子。中国", "xn--fsqu00a.xn--fiqs8s"},
		{"ｅｘａｍｐｌｅ．org", "example.org"},
		{"\ufeffexample.org", "example.org"},
		{long + "." + long + "." + long + "." + long[:61], long + "." + long + "." + long + "." + long[:61]},
		{strings.Repeat("a.", 126) + "a", strings.Repeat("a.", 126) + "a"},
	})
	refuse(t, risk.KindDomain, []wrong{
		{".example.org", "begins with a dot"},
		{"*.example.org", "covers all names below"},
		{"a..org", "empty label"},
		{"example.org..", "empty label"},
		{".", "empty label"},
		{long + "a.org", "longer than 63"},
		{long + "." + long + "." + long + "." + long[:62], "longer than 253"},
		{strings.Repeat("ü", 300) + ".org", "longer than 253"},
		{strings.Repeat("ü", 80) + ".org", "longer than 63"},
		{"https://example.org", "without scheme"},
		{"example.org:443", "port"},
		{"a b.org", "no name has"},
		{"a\u00a0b.org", "no name has"},
		{"xn--a.example", "UTS 46"},
		{"xn--.example", "empty label"},
		{"\u0301a.example", "UTS 46"},
		{"192.0.2.1", "kind ip"},
		{"3232235777", "ends in a number"},
		{"a.0x7f", "ends in a number"},
	})
	for raw, n := range map[string]uint8{"com": 1, "a.b.example.org.": 4, "例子。中国": 2, strings.Repeat("a.", 126) + "a": 127} {
		if s, err := token.Normalise(risk.KindDomain, raw); err != nil || s.Scope != labels(n) {
			t.Errorf("%s: %s, %v; want %d labels", raw, s.Scope, err, n)
		}
	}
}

func TestEmail(t *testing.T) {
	accept(t, risk.KindEmail, []same{
		{"a@example.org", "a@example.org"},
		{" A.b+c@Example.ORG. ", "A.b+c@example.org"},
		{"i@bücher.example", "i@xn--bcher-kva.example"},
		{"李@例子.中国", "李@xn--fsqu00a.xn--fiqs8s"},
		{"two..dots.@example.org", "two..dots.@example.org"},
		{`"a b"@Example.org`, `"a b"@example.org`},
		{`"a@b"@example.org`, `"a@b"@example.org`},
		{`"a\"@b"@example.org`, `"a\"@b"@example.org`},
		{`"plain"@example.org`, "plain@example.org"},
		{"root@localhost", "root@localhost"},
	})
	refuse(t, risk.KindEmail, []wrong{
		{"example.org", "no @"},
		{"@example.org", "no @"},
		{"a@", "no @"},
		{"a@b@example.org", "more than one @"},
		{`"a@example.org`, "quoted"},
		{`"a"b@example.org`, "quoted"},
		{`"a"`, "quoted"},
		{`"`, "quoted"},
		{"A <a@example.org", "before the @"},
		{"a b@example.org", "before the @"},
		{"a@[192.0.2.1]", "kind ip"},
		{"a@192.0.2.1", "ends in a number"},
		{"a@b c.org", "no name has"},
		{"a@b..org", "empty label"},
		{strings.Repeat("a", 65) + "@example.org", "longer than 64"},
		{"a@" + strings.Repeat("b.", 126) + "b", "254 in all"},
	})
}

func TestURL(t *testing.T) {
	accept(t, risk.KindURL, []same{
		{"https://example.org", "https://example.org/"},
		{"HTTPS://Example.ORG.:443#top", "https://example.org/"},
		{"http://example.org:0080/a", "http://example.org/a"},
		{"http://example.org:443/", "http://example.org:443/"},
		{"http://example.org:/", "http://example.org/"},
		{"http://bank.example@evil.example/Login?Next=%2fA", "http://evil.example/Login?Next=%2FA"},
		{"http://u:p@w@evil.example?x=1", "http://evil.example/?x=1"},
		{"http://bücher.example/ü?ü", "http://xn--bcher-kva.example/%C3%BC?%C3%BC"},
		{"http://a.example/%7eb/%61%2f%2F", "http://a.example/~b/a%2F%2F"},
		{"http://a.example/100%", "http://a.example/100%25"},
		{"http://a.example/%%36%31", "http://a.example/%2561"},
		{"http://a.example/a/../b/./c/..", "http://a.example/b/"},
		{"http://a.example/../../b/.", "http://a.example/b/"},
		{"http://a.example/%2e%2e/b", "http://a.example/b"},
		{"http://a.example//b/.c", "http://a.example//b/.c"},
		{"http://a.example/?a=/../b", "http://a.example/?a=/../b"},
		{"http://a.example?", "http://a.example/?"},
		{"http://192.0.2.1:8080/x", "http://192.0.2.1:8080/x"},
		{"http://[2001:DB8::1]:80", "http://[2001:db8::1]/"},
		{"http://[::ffff:192.0.2.1]/", "http://192.0.2.1/"},
		{"myapp+x://host/p", "myapp+x://host/p"},
	})
	refuse(t, risk.KindURL, []wrong{
		{"example.org/a", "absolute"},
		{"//example.org/a", "absolute"},
		{"1http://example.org", "absolute"},
		{"mailto:a@example.org", "absolute"},
		{"http:///a", "no host"},
		{"http://u@/a", "no host"},
		{"http://a b/", "space"},
		{`http://evil.example\@good.example/`, "backslash"},
		{"http://a.example:65536/", "port"},
		{"http://a.example:x/", "port"},
		{"http://[192.0.2.1]/", "brackets"},
		{"http://[fe80::1%25eth0]/", "brackets"},
		{"http://[::1/", "brackets"},
		{"http://0x7f.1/", "ends in a number"},
		{"http://0x7f000001/", "ends in a number"},
		{"http://a..b/", "empty label"},
		{"http://" + strings.Repeat("ü", 600), "longer than 253"},
		{"http://a.example/" + strings.Repeat("ü", 1000), "longer than 2048"},
	})
}

func TestPhone(t *testing.T) {
	accept(t, risk.KindPhone, []same{
		{"+86 138 0013 8000", "+8613800138000"},
		{"13800138000", "+8613800138000"},
		{"0086-138-0013-8000", "+8613800138000"},
		{"＋８６ １３８００１３８０００", "+8613800138000"},
		{"+86 (0)10 6552 9988", "+861065529988"},
		{"+44 (0)20 7946 0018", "+442079460018"},
		{"+1 (202) 555-0143", "+12025550143"},
		{"+39 06 698 12345", "+390669812345"},
	})
	refuse(t, risk.KindPhone, []wrong{
		{"2025550143", "country code"},
		{"12025550143", "country code"},
		{"8613800138000", "country code"},
		{"+1-800-FLOWERS", "not part of a number"},
		{"+86 138 0013 8000 ext 5", "not part of a number"},
		{"138+00138000", "not part of a number"},
		{"+86 12", "not a number"},
		{"+999 12345678", "not a number"},
		{"+1 202 555 01434", "not a number"},
		{"+", "not a number"},
		{"+1234567890123456789", "not a number"},
	})
}
