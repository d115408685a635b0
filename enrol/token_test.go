package enrol

import (
	"strings"
	"testing"
	"time"
)

func someToken() Token {
	return newToken([32]byte{1, 2, 3}, "hub.example:7000", time.UnixMilli(1_700_000_000_123))
}

func TestATokenIsReadAsItWasWritten(t *testing.T) {
	want := someToken()
	got, err := ParseToken(" " + want.String() + "\r\n")
	if err != nil || got != want {
		t.Fatalf("%+v (%v), want %+v", got, err, want)
	}
	if strings.ContainsAny(want.String(), " +/=") {
		t.Errorf("%s cannot be pasted into a shell as it is", want)
	}
}

func TestATokenThatWasCutOrAlteredIsRefusedWithItsCure(t *testing.T) {
	text := someToken().String()
	for n := range len(text) {
		if _, err := ParseToken(text[:n]); err == nil || !strings.Contains(err.Error(), "paste the whole line") {
			t.Fatalf("the first %d characters: %v", n, err)
		}
	}
	for n := len(tokenPrefix); n < len(text); n++ {
		other := byte('A')
		if text[n] == other {
			other = 'B'
		}
		if _, err := ParseToken(text[:n] + string(other) + text[n+1:]); err == nil {
			t.Fatalf("character %d was altered and nobody saw it", n)
		}
	}
}

func TestATokenNamesAnAddressThatCanBeDialled(t *testing.T) {
	for _, address := range []string{"nowhere", ":7000", "0.0.0.0:7000", "[::]:7000", "hub.example:0", "hub.example:", strings.Repeat("h", 300) + ":1"} {
		token := someToken()
		token.Address = address
		if _, err := ParseToken(token.String()); err == nil {
			t.Errorf("%q was taken", address)
		}
	}
}

// FuzzParseToken holds that what is read is written the same again: no two texts
// are one token, and none breaks the reader.
func FuzzParseToken(f *testing.F) {
	text := someToken().String()
	f.Add(text)
	f.Add(text[:40])
	f.Add(tokenPrefix)
	f.Add(tokenPrefix + "AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		token, err := ParseToken(text)
		if err == nil && token.String() != strings.TrimSpace(text) {
			t.Fatalf("%q was read as %q", text, token)
		}
	})
}
