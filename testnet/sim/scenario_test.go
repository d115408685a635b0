package sim

import (
	"strings"
	"testing"
)

func TestASeedMakesAScenarioThatReadsTheSame(t *testing.T) {
	for seed := range uint64(200) {
		s := Generate(seed)
		again, err := Parse(s.Name, s.String())
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if s.String() != again.String() || s.String() != Generate(seed).String() {
			t.Fatalf("seed %d: it is not the same again:\n%s", seed, s)
		}
	}
}

func TestABadSentenceIsRefusedWithItsLine(t *testing.T) {
	for text, want := range map[string]string{
		"at 5s explode n1":      "explode is not an event",
		"nodes 3\nat soon heal": "2: ",
		"at 5s":                 "write at TIME EVENT",
		"go":                    "say how much",
		"hurry 5":               "begin with",
		"at 5s crash":           "needs 1 words more",
	} {
		if _, err := Parse("x", text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q", text, err, want)
		}
	}
}
