package token_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/token"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/vectors.txt anew")

func secretOf(fill byte) [32]byte { return [32]byte(bytes.Repeat([]byte{fill}, 32)) }

// vectors are spellings of each kind; the file holds their normal forms, scopes
// and tokens under the key of 32 bytes 0x01.
var vectors = []struct {
	kind risk.Kind
	raw  string
}{
	{risk.KindMerchant, "48021000/898440358120123"},
	{risk.KindPerson, "CN-ID/11010519491231002x"},
	{risk.KindPerson, "fr/passport/12AB34567"},
	{risk.KindPerson, "name/José  Straße"},
	{risk.KindCompany, "91350100m000100y43"},
	{risk.KindCompany, "GB/CH/01234567"},
	{risk.KindAccount, "DE89 3704 0044 0532 0130 00"},
	{risk.KindAccount, "102100099996/622202001234"},
	{risk.KindCard, "4111 1111 1111 1111"},
	{risk.KindPhone, "138 0013 8000"},
	{risk.KindPhone, "+44 (0)20 7946 0018"},
	{risk.KindEmail, "Some.One@Bücher.Example"},
	{risk.KindDevice, "wxAbC-01"},
	{risk.KindTerminal, "48021000/00000001"},
	{risk.KindIP, "192.0.2.1"},
	{risk.KindIP, "192.0.2.0/24"},
	{risk.KindIP, "2001:DB8::/32"},
	{risk.KindDomain, "Example.ORG."},
	{risk.KindDomain, "gmaıl.example"},
	{risk.KindURL, "HTTP://u@Example.org:80/%7ea/../b?q=%2f#f"},
	{risk.KindWallet, "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"},
	{risk.KindWallet, "XBT:1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"},
	{risk.KindMiniProgram, "wx0123456789abcdef"},
	{risk.KindAgent, "91350100M000100Y43"},
	{risk.KindStore, "48021000/S-17"},
}

func TestFrozenVectors(t *testing.T) {
	key := token.NewKey(1, secretOf(1))
	h := token.NewHasher(key)
	var out strings.Builder
	fmt.Fprintf(&out, "# normaliser %d; secret = 32 bytes 0x01\n# commitment %s\n", token.Version, key.Commitment())
	for _, v := range vectors {
		s, err := token.Normalise(v.kind, v.raw)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "%s\t%s\t%s\t%s\t%s\n", v.kind, v.raw, s.Value, s.Scope, h.Token(s.Kind, s.Value))
	}
	const file = "testdata/vectors.txt"
	if *rewrite {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	wantLines, gotLines := strings.Split(string(want), "\n"), strings.Split(out.String(), "\n")
	for i := range max(len(wantLines), len(gotLines)) {
		if i >= len(wantLines) || i >= len(gotLines) || wantLines[i] != gotLines[i] {
			t.Fatalf("line %d differs from the frozen vectors; got\n%s", i+1, out.String())
		}
	}
}

// plainToken is the definition, word by word.
func plainToken(secret [32]byte, kind risk.Kind, value string) risk.Token {
	mac := hmac.New(sha256.New, secret[:])
	mac.Write([]byte{1, byte(kind)})
	mac.Write(binary.BigEndian.AppendUint16(nil, uint16(len(value))))
	mac.Write([]byte(value))
	return risk.Token(mac.Sum(nil)[:16])
}

func TestTokenIsTheKeyedHash(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		secret := [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "secret"))
		h := token.NewHasher(token.NewKey(7, secret))
		for range 3 {
			kind := rapid.SampledFrom(risk.AllKinds()).Draw(t, "kind")
			value := rapid.StringN(0, 300, 2_048).Draw(t, "value")
			if got := h.Token(kind, value); got != plainToken(secret, kind, value) {
				t.Fatalf("%s %q: %s", kind, value, got)
			}
		}
	})
}

func TestCommitment(t *testing.T) {
	secret := secretOf(9)
	want := risk.Hash(sha256.Sum256(append([]byte("risknet/v1 epoch key\x00"), secret[:]...)))
	if got := token.NewKey(3, secret).Commitment(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestKeyPrintsNoSecret(t *testing.T) {
	key := token.NewKey(42, secretOf(0xa7))
	inside := struct {
		k token.Key
		p *token.Key
	}{key, &key}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("admitted", "key", key, "in", fmt.Sprint(inside))
	encoded, err := json.Marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{log.String(), string(encoded)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		texts = append(texts, fmt.Sprintf(verb, key), fmt.Sprintf(verb, &key), fmt.Sprintf(verb, inside),
			fmt.Sprintf(verb, token.NewHasher(key)))
	}
	for _, text := range texts {
		for _, leak := range []string{"a7a7", "A7A7", strconv.Itoa(0xa7) + " " + strconv.Itoa(0xa7), "0xa7, 0xa7", "p6enp6"} {
			if strings.Contains(text, leak) {
				t.Errorf("the secret is printed: %s", text)
			}
		}
	}
	if !strings.Contains(key.String(), "42") {
		t.Errorf("the epoch is not printed: %s", key)
	}
}

func TestHasherFromManyGoroutines(t *testing.T) {
	secret := secretOf(5)
	h := token.NewHasher(token.NewKey(1, secret))
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			for i := range 2_000 {
				value := strings.Repeat("v", i%90) + strconv.Itoa(g*i)
				if h.Token(risk.KindDevice, value) != plainToken(secret, risk.KindDevice, value) {
					t.Errorf("goroutine %d, value %d: wrong token", g, i)
					return
				}
			}
		})
	}
	group.Wait()
}

func TestTokensAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Log("the race detector makes sync.Pool drop items; only the answers count here")
		return
	}
	ring := ringOf(t, 1, 2)
	h := token.NewHasher(token.NewKey(1, secretOf(1)))
	dst := make([]risk.Asked, 0, risk.MaxAsked)
	none := func(what string, f func()) {
		if n := testing.AllocsPerRun(200, f); n != 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
	none("token", func() { h.Token(risk.KindEmail, "someone@example.org") })
	for kind, raw := range map[risk.Kind]string{
		risk.KindDomain: "a.b.example.org", risk.KindEmail: "someone@example.org", risk.KindDevice: "wx01",
	} {
		none("ask "+kind.String(), func() {
			if asked, err := ring.Ask(dst, kind, raw, token.AllScopes()); err != nil || len(asked) == 0 {
				t.Error(err)
			}
		})
	}
}

func BenchmarkToken(b *testing.B) {
	h := token.NewHasher(token.NewKey(1, secretOf(1)))
	b.ReportAllocs()
	for b.Loop() {
		h.Token(risk.KindDomain, "mail.example.org")
	}
}

func BenchmarkTokenParallel(b *testing.B) {
	h := token.NewHasher(token.NewKey(1, secretOf(1)))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			h.Token(risk.KindDomain, "mail.example.org")
		}
	})
}
