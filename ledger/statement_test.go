package ledger

import (
	"strings"
	"testing"
)

func TestStatements(t *testing.T) {
	signer := must[Signer](t)(NewSigner(testOrigin, testKey(1)))
	verifier := must[Verifier](t)(NewVerifier(testOrigin, publicOf(testKey(1))))
	promise := Promise{Origin: testOrigin, Command: Hash{1, 2}, At: 1_700_000_000_000, By: 1_700_000_030_000, NotAfter: 1_700_000_900_000}
	absence := Absence{Origin: testOrigin, Command: Hash{1, 2}, Promise: promise.Hash(), Time: 1_700_000_040_000, Size: 5, Root: Hash{9}}
	p := must[[]byte](t)(SignPromise(promise, signer))
	a := must[[]byte](t)(SignAbsence(absence, signer))
	if got, err := OpenPromise(p, verifier); err != nil || got != promise {
		t.Errorf("promise: %+v, %v", got, err)
	}
	if got, err := ReadPromise(p, testOrigin); err != nil || got != promise {
		t.Errorf("promise, unverified: %+v, %v", got, err)
	}
	for name, note := range map[string][]byte{"an absence": a, "cut off": p[:40], "nothing": nil} {
		if _, err := ReadPromise(note, testOrigin); err == nil {
			t.Errorf("%s is read as a promise", name)
		}
	}
	if _, err := ReadPromise(p, "another.example"); err == nil {
		t.Error("a promise is read as one of another log")
	}
	if got, err := OpenAbsence(a, verifier); err != nil || got != absence {
		t.Errorf("absence: %+v, %v", got, err)
	}
	// One is never the other, nor a checkpoint.
	if _, err := OpenPromise(a, verifier); err == nil {
		t.Error("an absence is a promise")
	}
	if _, err := OpenAbsence(p, verifier); err == nil {
		t.Error("a promise is an absence")
	}
	for name, signed := range map[string][]byte{"promise": p, "absence": a} {
		if _, _, err := OpenCheckpoint(signed, testOrigin, verifier); err == nil {
			t.Errorf("a %s is a checkpoint", name)
		}
	}
	checkpoint := must[[]byte](t)(SignCheckpoint(testCheckpoint(), signer))
	if _, err := OpenPromise(checkpoint, verifier); err == nil {
		t.Error("a checkpoint is a promise")
	}
}

func TestStatementsHaveOneSpelling(t *testing.T) {
	signer := must[Signer](t)(NewSigner(testOrigin, testKey(1)))
	verifier := must[Verifier](t)(NewVerifier(testOrigin, publicOf(testKey(1))))
	id := strings.Repeat("ab", 32)
	for name, text := range map[string]string{
		"capital hex":    "/promise\n" + strings.ToUpper(id) + "\n1\n2\n3\n",
		"leading zero":   "/promise\n" + id + "\n01\n2\n3\n",
		"sign":           "/promise\n" + id + "\n+1\n2\n3\n",
		"negative":       "/promise\n" + id + "\n-1\n2\n3\n",
		"short id":       "/promise\nabab\n1\n2\n3\n",
		"one line more":  "/promise\n" + id + "\n1\n2\n3\n4\n",
		"one line fewer": "/promise\n" + id + "\n1\n2\n",
	} {
		signed := must[[]byte](t)(signStatement(testOrigin, testOrigin+text, signer))
		if p, err := OpenPromise(signed, verifier); err == nil {
			t.Errorf("%s: is read as %+v", name, p)
		}
	}
}
