package token

import (
	"strings"
	"testing"

	"github.com/risknet/risknet/risk"
)

// What systems and people write for one identifier is one value, and a value that looks
// like another one is none.
func TestSpellingsOfOneIdentifier(t *testing.T) {
	script := strings.Repeat("\x2a", 20)
	for _, c := range []struct {
		kind      risk.Kind
		spellings []string
	}{
		{risk.KindWallet, []string{"bch:1BpEi6DfDAUFd7GtittLSdBeYJvcoaVggu", "bch:bitcoincash:qpm2qsznhks23z7629mms6s4cwef74vcwvy22gdx6a",
			"bitcoincash:qpm2qsznhks23z7629mms6s4cwef74vcwvy22gdx6a", "BITCOINCASH:QPM2QSZNHKS23Z7629MMS6S4CWEF74VCWVY22GDX6A",
			"bitcoin-cash:qpm2qsznhks23z7629mms6s4cwef74vcwvy22gdx6a", "bch:qpm2qsznhks23z7629mms6s4cwef74vcwvy22gdx6a"}},
		{risk.KindWallet, []string{"eth:0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed", "celo:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
			"mantle:0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed", "erc20:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "bep20:0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed"}},
		{risk.KindWallet, []string{"tron:TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t", "trc20:TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"}},
		{risk.KindWallet, []string{"ltc:" + encodeBase58Check([]byte(litecoinScript+script)), "ltc:" + encodeBase58Check([]byte(litecoinOldScript+script))}},
		{risk.KindPerson, []string{"CN-ID/11010519491231002X", "CN/ID/11010519491231002X", "CN / ID / 11010519491231002x", "CN/ID /11010519491231002X", "CN/ID\u3000/11010519491231002X"}},
		{risk.KindPerson, []string{"name/葛城", "name/葛\U000E0100城", "name/葛\ufe0f城\u200b"}},
		{risk.KindEmail, []string{"john.doe@x.org", `"john.doe"@x.org`, `"john\.doe"@x.org`}},
	} {
		for _, spelling := range c.spellings {
			if s, err := Normalise(c.kind, spelling); err != nil || s.Value != c.spellings[0] {
				t.Errorf("%s: %q gives %q, %v; want %q", c.kind, spelling, s.Value, err, c.spellings[0])
			}
		}
	}
	for kind, invisible := range map[risk.Kind][]string{
		risk.KindMerchant: {"102/898440358120123\u200b", "102/8984\u00ad40358120123"},
		risk.KindTerminal: {"\ufeff102/1234"},
		risk.KindStore:    {"102/12\u206034"},
		risk.KindAccount:  {"ICBC/12\u200b34"},
		risk.KindPerson:   {"GB/P/123\u00ad456", "CN / ID / 110105194912310021"},
		risk.KindEmail:    {"\ufeffa.b@x.org", "john\u200b.doe@x.org"},
		risk.KindWallet:   {"trc20:T", "bitcoincash:x", "tron:0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed"},
	} {
		for _, raw := range invisible {
			if s, err := Normalise(kind, raw); err == nil {
				t.Errorf("%s: %q gives %q", kind, raw, s.Value)
			}
		}
	}
}
