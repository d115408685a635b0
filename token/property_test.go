package token_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/token"
)

// failer is a test, a fuzz target or a property.
type failer interface{ Fatalf(string, ...any) }

// normalOrRefused holds for every input: what is accepted is bounded, stable, of
// a scope that its kind may have, and can be asked; an error tells nothing.
func normalOrRefused(t failer, ring *token.Keyring, kind risk.Kind, raw string) {
	s, err := token.Normalise(kind, raw)
	if err != nil {
		tellsNothing(t, err, raw)
		return
	}
	if s.Value == "" || len(s.Value) > token.MaxURLBytes || !s.Scope.FitsKind(kind) {
		t.Fatalf("%s %q: %q with scope %s", kind, raw, s.Value, s.Scope)
	}
	again, err := token.Normalise(kind, s.Value)
	if err != nil || again.Value != s.Value || again.Scope != s.Scope {
		t.Fatalf("%s %q: normal form %q becomes %q, %v", kind, raw, s.Value, again.Value, err)
	}
	for _, asked := range ring.AskSubject(nil, s, token.AllScopes()) {
		if asked.Kind == kind && asked == ring.ListSubject(s) {
			return
		}
	}
	t.Fatalf("%s %q: a check of it does not ask for its own listing", kind, raw)
}

// tellsNothing: no six bytes in a row of the identifier stand in the error,
// unless they stand in the texts that all errors are made of.
func tellsNothing(t failer, err error, raw string) {
	const window = 6
	for i := 0; i+window <= len(raw); i++ {
		if part := raw[i : i+window]; strings.Contains(err.Error(), part) && !ownWords(part) {
			t.Fatalf("error %q tells %q of %q", err, part, raw)
		}
	}
}

// ownWords: lower-case words, as our texts have and as an identifier may have by
// chance. The generators below draw none.
func ownWords(part string) bool {
	return strings.Trim(part, "abcdefghijklmnopqrstuvwxyz ,:;-./@") == "" || strings.Contains(cures, part)
}

// cures holds what our texts say with capitals and digits.
const cures = "CN-ID/number IBAN ISO 3166-1 GB 11643 GB 32100 UTS 46 E.164 +86 138 0013 8000 mod 97 Luhn EIP-55 base58check " +
	"192.0.2.1, 192.0.2.0/24, 2001:db8::1 or 2001:db8::/32, [2001:db8::1], https://example.org/page longer than 253 bytes, 63, " +
	"255 bytes 254 in all 2048 bytes 4096 bytes 1024 bytes 64 bytes 65535 12 to 19 digits 7 to 14 is not UTF-8 text 17 digits 18 characters " +
	"Chinese I, O, S, V or Z IPv4 IPv6 address IP address"

func TestAnyInputIsNormalOrRefused(t *testing.T) {
	ring := ringOf(t, 1, 2)
	shapes := []*rapid.Generator[string]{
		rapid.StringN(0, 40, 200),
		rapid.StringOfN(rapid.RuneFrom([]rune("0123456789ABCDEFXYZ+-/:.@% ")), 1, 40, -1),
		rapid.StringMatching(`(name|CN-ID|GB/X|102)/[A-Z0-9ſǅÉéΐßİı ]{1,20}`),
		rapid.StringMatching(`(https?|FTP)://([A-Z0-9]{1,5}@)?[A-Za-z0-9ÜüßКк.-]{1,20}(:[0-9]{1,5})?(/[%.A-F0-9/?#]{0,20})?`),
		rapid.StringMatching(`"?[A-Z0-9.+]{1,8}"?@[A-Za-z0-9Üüß.]{1,12}`),
		rapid.StringMatching(`(btc|BCH|usdt|ETH|sol):(0x)?[0-9A-Fa-f]{20,42}`),
		rapid.StringMatching(`(\+|00)[1-9][0-9 ()-]{5,18}`),
		rapid.StringMatching(`[0-9a-fA-F:.]{2,30}(/[0-9]{1,3})?`),
		rapid.StringMatching(`(xn--|XN--)?[a-z0-9-]{1,12}(\.|。)xn--[a-z0-9-]{1,10}\.?`),
	}
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.OneOf(shapes...).Draw(t, "raw")
		for _, kind := range risk.AllKinds() {
			normalOrRefused(t, ring, kind, raw)
		}
	})
}

func TestErrorsTellNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.StringMatching(`[QJW78#^]{6,30}[/@:]?[QJW78#^]{6,30}[/@:]?[QJW78#^]{6,9}`).Draw(t, "raw")
		for _, kind := range risk.AllKinds() {
			_, err := token.Normalise(kind, raw)
			for i := 0; err != nil && i+3 <= len(raw); i++ {
				if strings.Contains(err.Error(), raw[i:i+3]) {
					t.Fatalf("%s: error %q tells %q of %q", kind, err, raw[i:i+3], raw)
				}
			}
		}
	})
}

// A spelling is another way in which a person or system writes the same thing.
type spelling func(*rapid.T, string) string

func spaced(t *rapid.T, s string) string {
	var out strings.Builder
	for _, r := range s {
		out.WriteString(rapid.SampledFrom([]string{"", "", " ", "-"}).Draw(t, "gap"))
		out.WriteRune(r)
	}
	return strings.Trim(out.String(), "-")
}

func anyCase(t *rapid.T, s string) string {
	return strings.Map(func(r rune) rune {
		if rapid.Bool().Draw(t, "capital") {
			return []rune(strings.ToUpper(string(r)))[0]
		}
		return []rune(strings.ToLower(string(r)))[0]
	}, s)
}

func rooted(t *rapid.T, s string) string {
	return anyCase(t, s) + rapid.SampledFrom([]string{"", "."}).Draw(t, "root")
}

func padded(t *rapid.T, s string) string {
	return rapid.SampledFrom([]string{"", " ", "\t"}).Draw(t, "before") + s + rapid.SampledFrom([]string{"", " ", "\r\n"}).Draw(t, "behind")
}

func TestTwoSpellingsGiveOneToken(t *testing.T) {
	ring := ringOf(t, 1)
	for _, c := range []struct {
		kind risk.Kind
		good string
		with spelling
	}{
		{risk.KindCard, "4111111111111111", spaced},
		{risk.KindAccount, "DE89370400440532013000", spaced},
		{risk.KindAccount, "de89370400440532013000", anyCase},
		{risk.KindCompany, "91350100M000100Y43", anyCase},
		{risk.KindAgent, "GB/CH/01234567", anyCase},
		{risk.KindPerson, "CN-ID/11010519491231002X", anyCase},
		{risk.KindPerson, "name/zhang san", anyCase},
		{risk.KindMerchant, "acq/898440358120123", anyCase},
		{risk.KindDomain, "mail.bücher.example", rooted},
		{risk.KindDomain, "xn--bcher-kva.example", rooted},
		{risk.KindIP, "2001:db8::a:1", anyCase},
		{risk.KindWallet, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", func(_ *rapid.T, s string) string { return strings.ToUpper(s) }},
		{risk.KindEmail, "bücher.example", func(t *rapid.T, s string) string { return "Some.One@" + rooted(t, s) }},
		{risk.KindURL, "bücher.example", func(t *rapid.T, s string) string {
			return anyCase(t, "https") + "://" + rooted(t, s) + rapid.SampledFrom([]string{"", "/", ":443", ":0443/", "#x", "/./"}).Draw(t, "tail")
		}},
		{risk.KindPhone, "8613800138000", func(t *rapid.T, s string) string {
			return rapid.SampledFrom([]string{"+", "00", "+ "}).Draw(t, "plus") + spaced(t, s)
		}},
	} {
		t.Run(fmt.Sprintf("%s %s", c.kind, c.good), func(t *testing.T) {
			first := rapid.Custom(func(t *rapid.T) string { return padded(t, c.with(t, c.good)) })
			want, err := ring.List(c.kind, first.Example(1))
			if err != nil {
				t.Fatal(err)
			}
			rapid.Check(t, func(t *rapid.T) {
				raw := first.Draw(t, "spelling")
				if got, err := ring.List(c.kind, raw); err != nil || got != want {
					t.Fatalf("%q has another token than its other spellings: %v", raw, err)
				}
			})
		})
	}
}

// The value of an ip is what netip says, however it is written.
func TestIPAgreesWithNetip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		addr, _ := netip.AddrFromSlice(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "bytes"))
		p := netip.PrefixFrom(addr, rapid.IntRange(0, 128).Draw(t, "bits")).Masked()
		if p.Addr().Is4In6() {
			return
		}
		s, err := token.Normalise(risk.KindIP, p.Addr().StringExpanded()+p.String()[strings.IndexByte(p.String(), '/'):])
		if err != nil || s.Value != p.String() || s.Scope != ipv6(uint8(p.Bits())) {
			t.Fatalf("%s: %q %s, %v", p, s.Value, s.Scope, err)
		}
	})
}

func FuzzNormalise(f *testing.F) {
	ring := ringOf(f, 1, 2)
	for _, v := range vectors {
		f.Add(uint8(v.kind), v.raw)
	}
	for _, raw := range []string{"name/ǅ\u0345 ẞ", "http://a/%%36%31?%", "xn--a-0ga.。", `"\"@"@a.b`, "bch:bitcoincash:q", "+4900030123456"} {
		for _, kind := range risk.AllKinds() {
			f.Add(uint8(kind), raw)
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, raw string) {
		normalOrRefused(t, ring, risk.Kind(kind%uint8(risk.Kinds-1)+1), raw)
	})
}
