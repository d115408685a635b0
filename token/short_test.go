package token

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/unicode/norm"

	"github.com/risknet/risknet/risk"
)

func slowCapitals(s string) string { return norm.NFKC.String(strings.ToUpper(norm.NFKC.String(s))) }

func slowAcquired(raw string) (string, error) {
	parts, ok := slashed(slowCapitals(raw), 2)
	if !ok {
		return "", errSlashTwo
	}
	return parts[0] + "/" + parts[1], nil
}

func slowAccount(raw string) (string, error) {
	parts, ok := slashed(slowCapitals(raw), 2)
	if !ok {
		return "", errAccount
	}
	number := slowCapitals(joined(parts[1]))
	if number == "" {
		return "", errAccount
	}
	return parts[0] + "/" + number, nil
}

// What is spared to a value that is normal already, or in ASCII, changes nothing.
func FuzzShortWays(f *testing.F) {
	secret := [32]byte{7}
	ring, err := NewKeyring(NewKey(1, secret))
	if err != nil {
		f.Fatal(err)
	}
	for _, raw := range []string{"a/b", "a /b", "a/ b", " a/b", "a  b/c", "a b/c-d", "a/b/c", "/", "a/", "/b", "a/b-c d", "Ａ/ｂ", "a／b", "a\t/b", "ß/ǅ",
		"192.0.2.1", "192.0.2.0/24", " 2001:db8::/32", "::ffff:1.2.3.4", "1.2.3.4%x", "a\u00a0/b", "\x7f/x"} {
		f.Add(raw, uint64(1<<32|1<<24), uint64(1))
	}
	f.Fuzz(func(t *testing.T, raw string, four, six uint64) {
		if got := capitals(raw); got != slowCapitals(raw) {
			t.Fatalf("capitals of %q: %q", raw, got)
		}
		got, err := acquired(raw)
		if want, wrong := slowAcquired(raw); got != want || (err == nil) != (wrong == nil) {
			t.Fatalf("acquired %q: %q, %v and not %q, %v", raw, got, err, want, wrong)
		}
		if strings.Contains(slowCapitals(raw), "/") {
			got, err := account(raw)
			if want, wrong := slowAccount(raw); got != want || (err == nil) != (wrong == nil) {
				t.Fatalf("account %q: %q, %v and not %q, %v", raw, got, err, want, wrong)
			}
		}
		inUse := ScopesInUse{ipv4: [1]uint64{four}, ipv6: [3]uint64{six, four, 1}}
		asked, err := ring.Ask(nil, risk.KindIP, raw, inUse)
		var want []risk.Asked
		s, wrong := Normalise(risk.KindIP, raw)
		if wrong == nil {
			p, _ := parseIP(s.Value)
			scope := scopeOf(p)
			for length := p.Bits(); length >= 0; length-- {
				if scope.Length = uint8(length); inUse.Has(scope) {
					around, _ := p.Addr().Prefix(length)
					want = append(want, risk.Asked{Kind: risk.KindIP, Scope: scope, Epoch: 1, Token: ring.hashers[0].Token(risk.KindIP, around.String())})
				}
			}
		}
		if !slices.Equal(asked, want) || (err == nil) != (wrong == nil) || err != nil && err.Error() != wrong.Error() {
			t.Fatalf("ip %q: %v, %v and not %v, %v", raw, asked, err, want, wrong)
		}
	})
}

// The library still marshals what the short way needs; without it tokens are the same,
// and slower.
func TestTheShortHashIsInUse(t *testing.T) {
	h := NewHasher(NewKey(1, [32]byte{3}))
	s := h.states.New().(*state)
	if s.short == nil {
		t.Error("SHA-256 states are not what they were; see short")
	}
}
