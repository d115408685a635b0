package ledger

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

const testOrigin = "risknet.example/log"

// testKey is the key of the seed first, first+1, … first+31.
func testKey(first byte) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	for i := range seed {
		seed[i] = first + byte(i)
	}
	return ed25519.NewKeyFromSeed(seed)
}

func publicOf(key ed25519.PrivateKey) ed25519.PublicKey { return key.Public().(ed25519.PublicKey) }

func testCheckpoint() Checkpoint {
	return Checkpoint{Origin: testOrigin, Size: 5, Root: naiveRoot(testLeaves(5))}
}

// The example of the specification.
const specText = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"

func TestCheckpointText(t *testing.T) {
	c := must[Checkpoint](t)(ParseCheckpoint(specText))
	if c.Origin != "example.com/behind-the-sofa" || c.Size != 20852163 || c.Root[0] != 0x0a || c.Text() != specText {
		t.Fatalf("read as %+v", c)
	}
	empty := Checkpoint{Origin: "a", Root: EmptyRoot()}
	if back := must[Checkpoint](t)(ParseCheckpoint(empty.Text())); back != empty {
		t.Fatalf("read as %+v", back)
	}
}

func TestCheckpointTextIsRefused(t *testing.T) {
	const root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="
	for name, text := range map[string]string{
		"nothing":                   "",
		"no last newline":           strings.TrimSuffix(specText, "\n"),
		"extension line":            specText + "extension\n",
		"blank line":                specText + "\n",
		"no origin":                 "\n1\n" + root + "\n",
		"origin with a space":       "a b\n1\n" + root + "\n",
		"origin with a plus":        "a+b\n1\n" + root + "\n",
		"origin not UTF-8":          "a\xff\n1\n" + root + "\n",
		"origin with a control":     "a\x1bb\n1\n" + root + "\n",
		"size with a sign":          "a\n+1\n" + root + "\n",
		"size with a leading zero":  "a\n01\n" + root + "\n",
		"negative size":             "a\n-1\n" + root + "\n",
		"no size":                   "a\n\n" + root + "\n",
		"size above the largest":    "a\n281474976710657\n" + root + "\n",
		"size above 64 bits":        "a\n18446744073709551616\n" + root + "\n",
		"empty tree, other root":    "a\n0\n" + root + "\n",
		"carriage return":           "a\n1\r\n" + root + "\n",
		"carriage return in base64": "a\n1\n" + root[:20] + "\r" + root[20:] + "\n",
		"root unpadded":             "a\n1\n" + strings.TrimRight(root, "=") + "\n",
		"root with stray bits":      "a\n1\n" + root[:42] + "J=\n",
		"root short":                "a\n1\n" + base64.StdEncoding.EncodeToString(make([]byte, 31)) + "\n",
		"root in hex":               "a\n1\n" + strings.Repeat("0a", 32) + "\n",
	} {
		if c, err := ParseCheckpoint(text); err == nil {
			t.Errorf("%s: read as %+v", name, c)
		}
	}
}

func TestSignedCheckpoint(t *testing.T) {
	log, witness := testKey(0), testKey(100)
	signed := must[[]byte](t)(SignCheckpoint(testCheckpoint(),
		must[Signer](t)(NewSigner(testOrigin, log)), must[Signer](t)(NewSigner("witness.example", witness))))
	byLog := must[Verifier](t)(NewVerifier(testOrigin, publicOf(log)))
	byWitness := must[Verifier](t)(NewVerifier("witness.example", publicOf(witness)))
	stranger := must[Verifier](t)(NewVerifier(testOrigin, publicOf(testKey(50))))
	logSig := Signature{Name: testOrigin, KeyHash: byLog.KeyHash()}
	witnessSig := Signature{Name: "witness.example", KeyHash: byWitness.KeyHash()}
	for _, test := range []struct {
		name      string
		verifiers []Verifier
		want      []Signature
	}{
		{"the log alone", []Verifier{byLog}, []Signature{logSig}},
		{"the witness alone", []Verifier{byWitness}, []Signature{witnessSig}},
		{"both", []Verifier{byWitness, byLog}, []Signature{logSig, witnessSig}},
		{"one is a stranger", []Verifier{stranger, byLog}, []Signature{logSig}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, by, err := OpenCheckpoint(signed, testOrigin, test.verifiers...)
			if err != nil || c != testCheckpoint() || !slices.Equal(by, test.want) {
				t.Fatalf("got %+v by %v, %v; want by %v", c, by, err, test.want)
			}
		})
	}
	if _, _, err := OpenCheckpoint(signed, testOrigin, stranger); err == nil {
		t.Error("opened without a signature that is asked for")
	}
	if _, _, err := OpenCheckpoint(signed, testOrigin); err == nil {
		t.Error("opened without a verifier")
	}
	if _, _, err := OpenCheckpoint(signed, "other.example/log", byLog); err == nil || !strings.Contains(err.Error(), "other.example") {
		t.Errorf("opened for another origin: %v", err)
	}
	forged := []byte(strings.Replace(string(signed), "\n5\n", "\n6\n", 1))
	var invalid *note.InvalidSignatureError
	if _, _, err := OpenCheckpoint(forged, testOrigin, byLog); !errors.As(err, &invalid) {
		t.Errorf("forged size: %v", err)
	}
}

func TestNoteThatIsNoCheckpointIsRefused(t *testing.T) {
	signer := must[Signer](t)(NewSigner(testOrigin, testKey(0)))
	text := must[[]byte](t)(note.Sign(&note.Note{Text: testCheckpoint().Text() + "more\n"}, signer))
	verifier := must[Verifier](t)(NewVerifier(testOrigin, publicOf(testKey(0))))
	if _, _, err := OpenCheckpoint(text, testOrigin, verifier); err == nil {
		t.Fatal("opened")
	}
}

func TestBadCheckpointIsNotSigned(t *testing.T) {
	signer := must[Signer](t)(NewSigner(testOrigin, testKey(0)))
	for name, c := range map[string]Checkpoint{
		"zero":           {},
		"origin of two":  {Origin: "a\n5", Size: 1},
		"too large":      {Origin: "a", Size: MaxSize + 1},
		"empty and root": {Origin: "a", Root: Hash{1}},
	} {
		if _, err := SignCheckpoint(c, signer); err == nil {
			t.Errorf("%s: signed", name)
		}
	}
	if _, err := SignCheckpoint(testCheckpoint()); err == nil {
		t.Error("signed by nobody")
	}
}

// The key and the signature that the note package publishes in its documentation.
func TestPublishedNoteKey(t *testing.T) {
	const skey64, vkey = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz", "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
	const text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
	const want = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
	key := ed25519.NewKeyFromSeed(must[[]byte](t)(base64.StdEncoding.DecodeString(skey64))[1:])
	if got := must[string](t)(VerifierKey("PeterNeumann", publicOf(key))); got != vkey {
		t.Errorf("verifier key is %s", got)
	}
	if v := must[Verifier](t)(ParseVerifier(vkey)); v.Name() != "PeterNeumann" || v.KeyHash() != 0xc74f20a3 {
		t.Errorf("read as %s %x", v.Name(), v.KeyHash())
	}
	signer := must[Signer](t)(NewSigner("PeterNeumann", key))
	signed := must[[]byte](t)(note.Sign(&note.Note{Text: text}, signer))
	if string(signed) != text+"\n— PeterNeumann "+want+"\n" {
		t.Errorf("signed as %s", signed)
	}
}

func TestBadKeyIsRefused(t *testing.T) {
	good := testKey(0)
	swapped := slices.Concat(good[:32], testKey(1)[32:])
	for name, err := range map[string]error{
		"short private key":     second(NewSigner("a", good[:32])),
		"no private key":        second(NewSigner("a", nil)),
		"foreign public half":   second(NewSigner("a", swapped)),
		"signer without a name": second(NewSigner("", good)),
		"name with a plus":      second(NewSigner("a+b", good)),
		"name with a newline":   second(NewVerifier("a\nb", publicOf(good))),
		"short public key":      second(NewVerifier("a", publicOf(good)[:31])),
		"not a verifier key":    second(ParseVerifier("a+00000000")),
		"wrong key hash":        second(ParseVerifier("PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")),
	} {
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func FuzzParseCheckpoint(f *testing.F) {
	f.Add(specText)
	f.Add(testCheckpoint().Text())
	f.Add("a\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n")
	f.Add("a\n01\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseCheckpoint(text)
		if err != nil {
			return
		}
		if c.Text() != text {
			t.Fatalf("%q was read, but is written %q", text, c.Text())
		}
		// What can be read can be signed and opened again.
		signed := must[[]byte](t)(SignCheckpoint(c, must[Signer](t)(NewSigner("k", testKey(0)))))
		back, _, err := OpenCheckpoint(signed, c.Origin, must[Verifier](t)(NewVerifier("k", publicOf(testKey(0)))))
		if err != nil || back != c {
			t.Fatalf("opened as %+v, %v", back, err)
		}
	})
}

func FuzzOpenCheckpoint(f *testing.F) {
	signer := must[Signer](f)(NewSigner(testOrigin, testKey(0)))
	verifier := must[Verifier](f)(NewVerifier(testOrigin, publicOf(testKey(0))))
	f.Add(must[[]byte](f)(SignCheckpoint(testCheckpoint(), signer)))
	f.Add([]byte(specText + "\n— a AAAAAAA=\n"))
	f.Fuzz(func(t *testing.T, signed []byte) {
		c, _, err := OpenCheckpoint(signed, testOrigin, verifier)
		if err == nil && c != testCheckpoint() {
			t.Fatalf("%+v was never signed", c)
		}
	})
}
