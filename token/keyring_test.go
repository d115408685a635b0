package token_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/token"
)

// ringOf makes a keyring whose epoch n has a secret of bytes n.
func ringOf(t testing.TB, epochs ...risk.Epoch) *token.Keyring {
	t.Helper()
	var keys []token.Key
	for _, epoch := range epochs {
		keys = append(keys, token.NewKey(epoch, secretOf(byte(epoch))))
	}
	ring, err := token.NewKeyring(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func TestKeyringRefuses(t *testing.T) {
	one, two, three := token.NewKey(1, secretOf(1)), token.NewKey(2, secretOf(2)), token.NewKey(3, secretOf(3))
	for name, c := range map[string]struct {
		keys []token.Key
		says string
	}{
		"no key":           {nil, "0 keys"},
		"three keys":       {[]token.Key{one, two, three}, "3 keys"},
		"one epoch twice":  {[]token.Key{one, token.NewKey(1, secretOf(2))}, "one epoch"},
		"a zero key":       {[]token.Key{one, {}}, "not set"},
		"a secret of zero": {[]token.Key{token.NewKey(4, [32]byte{})}, "epoch 4"},
	} {
		if _, err := token.NewKeyring(c.keys...); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestListingIsMadeInTheNewestEpoch(t *testing.T) {
	for _, ring := range []*token.Keyring{ringOf(t, 4, 5), ringOf(t, 5, 4)} {
		got, err := ring.List(risk.KindIP, "192.0.2.0/24")
		want := risk.Asked{Kind: risk.KindIP, Scope: ipv4(24), Epoch: 5, Token: plainToken(secretOf(5), risk.KindIP, "192.0.2.0/24")}
		if err != nil || got != want || ring.Newest() != 5 || !slices.Equal(ring.Epochs(), []risk.Epoch{5, 4}) {
			t.Errorf("got %+v, %v", got, err)
		}
	}
}

// question is an Asked before hashing.
type question struct {
	kind  risk.Kind
	scope risk.Scope
	value string
}

func TestAsk(t *testing.T) {
	inUse := token.ScopesInUse{}
	for _, s := range []risk.Scope{ipv4(32), ipv4(24), ipv4(0), ipv6(128), ipv6(48), labels(1), labels(2), labels(4)} {
		inUse.Set(s)
	}
	exact := risk.Scope{}
	for name, c := range map[string]struct {
		kind risk.Kind
		raw  string
		want []question
	}{
		"an address asks its prefixes in use": {risk.KindIP, "192.0.2.77", []question{
			{risk.KindIP, ipv4(32), "192.0.2.77/32"}, {risk.KindIP, ipv4(24), "192.0.2.0/24"}, {risk.KindIP, ipv4(0), "0.0.0.0/0"}}},
		"a prefix asks none longer": {risk.KindIP, "192.0.2.0/25", []question{
			{risk.KindIP, ipv4(24), "192.0.2.0/24"}, {risk.KindIP, ipv4(0), "0.0.0.0/0"}}},
		"IPv6 asks its own family": {risk.KindIP, "2001:db8:1:2::3", []question{
			{risk.KindIP, ipv6(128), "2001:db8:1:2::3/128"}, {risk.KindIP, ipv6(48), "2001:db8:1::/48"}}},
		"IPv4 in IPv6 asks IPv4": {risk.KindIP, "::ffff:192.0.2.77", []question{
			{risk.KindIP, ipv4(32), "192.0.2.77/32"}, {risk.KindIP, ipv4(24), "192.0.2.0/24"}, {risk.KindIP, ipv4(0), "0.0.0.0/0"}}},
		"a domain asks its parents in use": {risk.KindDomain, "A.b.C.example.org", []question{
			{risk.KindDomain, labels(4), "b.c.example.org"}, {risk.KindDomain, labels(2), "example.org"}, {risk.KindDomain, labels(1), "org"}}},
		"a single label asks itself": {risk.KindDomain, "org", []question{{risk.KindDomain, labels(1), "org"}}},
		"an email asks its domain": {risk.KindEmail, `"x@y"@Mx.Example.ORG`, []question{
			{risk.KindEmail, exact, `"x@y"@mx.example.org`}, {risk.KindDomain, labels(2), "example.org"}, {risk.KindDomain, labels(1), "org"}}},
		"a url asks its domain": {risk.KindURL, "https://u@Example.org:8443/a:b@c", []question{
			{risk.KindURL, exact, "https://example.org:8443/a:b@c"}, {risk.KindDomain, labels(2), "example.org"}, {risk.KindDomain, labels(1), "org"}}},
		"a url at an address asks it as ip": {risk.KindURL, "http://192.0.2.77:81", []question{
			{risk.KindURL, exact, "http://192.0.2.77:81/"}, {risk.KindIP, ipv4(32), "192.0.2.77/32"}, {risk.KindIP, ipv4(24), "192.0.2.0/24"}, {risk.KindIP, ipv4(0), "0.0.0.0/0"}}},
		"a url at an IPv6 address": {risk.KindURL, "http://[2001:db8::1]:81/", []question{
			{risk.KindURL, exact, "http://[2001:db8::1]:81/"}, {risk.KindIP, ipv6(128), "2001:db8::1/128"}, {risk.KindIP, ipv6(48), "2001:db8::/48"}}},
		"any other kind asks itself": {risk.KindCard, "4111 1111 1111 1111", []question{{risk.KindCard, exact, "4111111111111111"}}},
	} {
		t.Run(name, func(t *testing.T) {
			var want []risk.Asked
			for _, q := range c.want {
				for _, epoch := range []risk.Epoch{8, 7} {
					want = append(want, risk.Asked{Kind: q.kind, Scope: q.scope, Epoch: epoch, Token: plainToken(secretOf(byte(epoch)), q.kind, q.value)})
				}
			}
			before := risk.Asked{Epoch: 99}
			got, err := ringOf(t, 7, 8).Ask([]risk.Asked{before}, c.kind, c.raw, inUse)
			if err != nil || len(got) == 0 || got[0] != before || !slices.Equal(got[1:], want) {
				t.Errorf("got %v, %v\nwant %v", got, err, want)
			}
		})
	}
}

func TestAskRefusesAndAppendsNothing(t *testing.T) {
	got, err := ringOf(t, 1).Ask(make([]risk.Asked, 3), risk.KindCard, "4111111111111112", token.AllScopes())
	if err == nil || len(got) != 3 {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := ringOf(t, 1).List(risk.KindCard, "4111111111111112"); err == nil {
		t.Error("a card that fails its check digit is listed")
	}
}

func TestAskWithNothingInUse(t *testing.T) {
	ring := ringOf(t, 1)
	for raw, n := range map[string]int{"ip 192.0.2.1": 0, "domain example.org": 0, "email a@example.org": 1, "url http://example.org": 1} {
		name, value, _ := strings.Cut(raw, " ")
		kind, err := risk.ParseKind(name)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ring.Ask(nil, kind, value, token.ScopesInUse{}); err != nil || len(got) != n {
			t.Errorf("%s: %d questions, %v", raw, len(got), err)
		}
	}
}

// Whatever covers an identifier and is listed, its check asks for.
func TestWhatIsListedIsAsked(t *testing.T) {
	ring := ringOf(t, 1, 2)
	rapid.Check(t, func(t *rapid.T) {
		var kind risk.Kind
		var listed, asked string
		if rapid.Bool().Draw(t, "address") {
			bytes := rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "v4")
			if rapid.Bool().Draw(t, "six") {
				bytes = rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "v6")
			}
			addr, _ := netip.AddrFromSlice(bytes)
			addr = addr.Unmap()
			around, err := addr.Prefix(rapid.IntRange(0, addr.BitLen()).Draw(t, "bits"))
			if err != nil {
				t.Fatal(err)
			}
			kind, listed, asked = risk.KindIP, around.String(), addr.String()
		} else {
			parts := rapid.SliceOfN(rapid.StringMatching(`[A-Za-z][a-z0-9-]{0,9}`), 1, 12).Draw(t, "labels")
			from := rapid.IntRange(0, len(parts)-1).Draw(t, "from")
			kind, listed, asked = risk.KindDomain, strings.Join(parts[from:], "."), strings.Join(parts, ".")
		}
		listing, err := ring.List(kind, listed)
		if err != nil {
			t.Fatal(err)
		}
		inUse := token.ScopesInUse{}
		inUse.Set(listing.Scope)
		for _, scopes := range []token.ScopesInUse{inUse, token.AllScopes()} {
			questions, err := ring.Ask(nil, kind, asked, scopes)
			if err != nil || !slices.Contains(questions, listing) {
				t.Fatalf("%s does not ask for %s: %v", asked, listed, err)
			}
		}
	})
}

func TestScopesInUse(t *testing.T) {
	var every []risk.Scope
	for family := range risk.Family(6) {
		for length := range 256 {
			every = append(every, risk.Scope{Family: family, Length: uint8(length)})
		}
	}
	fits := func(s risk.Scope) bool {
		return s.FitsKind(risk.KindIP) || s.FitsKind(risk.KindDomain) || s == risk.Scope{}
	}
	for _, set := range every {
		use := token.ScopesInUse{}
		use.Set(set)
		for _, asked := range every {
			if want := asked == (risk.Scope{}) || asked == set && fits(set); use.Has(asked) != want {
				t.Fatalf("set %+v: has %+v is %v", set, asked, !want)
			}
		}
		if all := token.AllScopes(); all.Has(set) != fits(set) {
			t.Errorf("all scopes: has %+v is %v", set, all.Has(set))
		}
	}
}

func BenchmarkAsk(b *testing.B) {
	inUse := token.ScopesInUse{}
	for _, s := range []risk.Scope{ipv4(32), ipv4(24), ipv6(128), labels(1), labels(2), labels(3)} {
		inUse.Set(s)
	}
	ring := ringOf(b, 1)
	for _, c := range []question{
		{kind: risk.KindIP, value: "192.0.2.77"}, {kind: risk.KindDomain, value: "mail.example.org"},
		{kind: risk.KindEmail, value: "someone@example.org"}, {kind: risk.KindURL, value: "https://example.org/login"},
		{kind: risk.KindCard, value: "4111111111111111"}, {kind: risk.KindPhone, value: "+8613800138000"}, {kind: risk.KindPhone, value: "+442079460123"},
		{kind: risk.KindAccount, value: "0102/6222020200112233445"}, {kind: risk.KindAccount, value: "DE89370400440532013000"}, {kind: risk.KindMerchant, value: "acq/898440358120123"},
		{kind: risk.KindTerminal, value: "ACQ/10012345"}, {kind: risk.KindStore, value: "ACQ/0007"}, {kind: risk.KindDevice, value: "bench-0123456789ab"}, {kind: risk.KindMiniProgram, value: "wx0123456789abcdef"},
		{kind: risk.KindCompany, value: "91350100M000100Y43"}, {kind: risk.KindPerson, value: "CN-ID/11010519491231002X"}, {kind: risk.KindWallet, value: "0x52908400098527886e0f7030069857d2e4169ee7"},
	} {
		b.Run(c.kind.String(), func(b *testing.B) {
			dst := make([]risk.Asked, 0, 64)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ring.Ask(dst, c.kind, c.value, inUse); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
