package ledger

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
)

const cosignerName = testOrigin + "/n2"

// cosignedNote is a checkpoint signed by the log and cosigned by another.
func cosignedNote(t *testing.T) (text string, log, cosigner Verifier) {
	t.Helper()
	log = must[Verifier](t)(NewVerifier(testOrigin, publicOf(testKey(1))))
	cosigner = must[Verifier](t)(NewCosignatureVerifier(cosignerName, publicOf(testKey(2))))
	signed := must[[]byte](t)(SignCheckpoint(testCheckpoint(), must[Signer](t)(NewSigner(testOrigin, testKey(1)))))
	by := must[*Cosigner](t)(NewCosigner(cosignerName, testKey(2)))
	return string(signed) + must[string](t)(by.Line(testCheckpoint(), time.Unix(1_700_000_000, 0))), log, cosigner
}

func TestCosignatureJoinsTheNote(t *testing.T) {
	text, log, cosigner := cosignedNote(t)
	c, by, err := OpenCheckpoint([]byte(text), testOrigin, log, cosigner)
	if err != nil {
		t.Fatal(err)
	}
	if c != testCheckpoint() || len(by) != 2 || !by[0].Time.IsZero() || by[1].Time.Unix() != 1_700_000_000 {
		t.Errorf("checkpoint %+v signed by %+v", c, by)
	}
	// Who knows the log's key alone needs nothing else than the note package.
	if _, err := note.Open([]byte(text), note.VerifierList(log)); err != nil {
		t.Errorf("opened with the log's key alone: %v", err)
	}
}

// The layout of the specification, and a signature that must never come out
// otherwise.
func TestCosignatureVector(t *testing.T) {
	text, _, _ := cosignedNote(t)
	message := string(cosigned([]byte(testCheckpoint().Text()), 1_700_000_000))
	if want := "cosignature/v1\ntime 1700000000\n" + testCheckpoint().Text(); message != want {
		t.Errorf("signed bytes are %q, not %q", message, want)
	}
	const frozen = "5tIqdwAAAABlU/EATlevfZfuHkg3G0GGvUagWG5i5NI/jydwRj4ozDjxuLu2U+yZB9JnvzSs0l0qcweEJpnQI0J1sueX0CSlizC/BA=="
	if _, line, _ := strings.Cut(text, "— "+cosignerName+" "); line != frozen+"\n" {
		t.Errorf("the line has become %s", line)
	}
}

func TestForgedCosignaturesAreRefused(t *testing.T) {
	text, log, cosigner := cosignedNote(t)
	at := strings.LastIndex(text, " ") + 1
	forge := func(edit func(raw []byte)) string {
		raw := must[[]byte](t)(base64.StdEncoding.DecodeString(strings.TrimSpace(text[at:])))
		edit(raw)
		return text[:at] + base64.StdEncoding.EncodeToString(raw) + "\n"
	}
	for name, forged := range map[string]string{
		"another time":      forge(func(raw []byte) { raw[11]++ }),
		"another signature": forge(func(raw []byte) { raw[40]++ }),
		"another size":      strings.Replace(text, "\n5\n", "\n6\n", 1),
	} {
		if _, _, err := OpenCheckpoint([]byte(forged), testOrigin, log, cosigner); err == nil {
			t.Errorf("%s: is taken for a signature", name)
		}
	}
	if forge(func([]byte) {}) != text {
		t.Fatal("the forgery changes more than it says")
	}
}
