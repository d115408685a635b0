package ledger

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// Beside checkpoints a node signs two statements about one command, as notes under
// the log's name too. Their first line is the origin with a word behind it, so that
// nobody can take one for a checkpoint or for the other.

// Promise is a leader's word that a command will be a leaf by some time. Times are
// in milliseconds since 1970.
type Promise struct {
	Origin  string
	Command Hash
	At      int64 // the stamp that the command got
	By      int64
	// NotAfter is how long the command is valid, and its outcome remembered.
	NotAfter int64
}

// Text is what is signed: <origin>/promise, the command's id in hex, at, by and not
// after.
func (p Promise) Text() string {
	return fmt.Sprintf("%s/promise\n%x\n%d\n%d\n%d\n", p.Origin, p.Command, p.At, p.By, p.NotAfter)
}

// Hash names a promise by what it says: the SHA-256 of its text.
func (p Promise) Hash() Hash { return sha256.Sum256([]byte(p.Text())) }

// Absence is a node's word that at some time a command was no leaf of its ledger,
// which had this size and root. It denies one promise and no other: what a node has
// forgotten it could be made to deny, by a promise that somebody makes up later.
type Absence struct {
	Origin  string
	Command Hash
	Promise Hash  // see [Promise.Hash]
	Time    int64 // by the node's own clock, milliseconds since 1970
	Size    uint64
	Root    Hash
}

// Text is what is signed: <origin>/absence, the command's id and the promise's hash in
// hex, time, size, and the root in base64.
func (a Absence) Text() string {
	return fmt.Sprintf("%s/absence\n%x\n%x\n%d\n%d\n%s\n", a.Origin, a.Command, a.Promise, a.Time, a.Size, base64.StdEncoding.EncodeToString(a.Root[:]))
}

// SignPromise and SignAbsence make signed notes.
func SignPromise(p Promise, signer Signer) ([]byte, error) {
	return signStatement(p.Origin, p.Text(), signer)
}

// SignAbsence signs an absence.
func SignAbsence(a Absence, signer Signer) ([]byte, error) {
	return signStatement(a.Origin, a.Text(), signer)
}

func signStatement(origin, text string, signer Signer) ([]byte, error) {
	if err := checkName("origin", origin); err != nil {
		return nil, err
	}
	return note.Sign(&note.Note{Text: text}, signer)
}

// OpenPromise verifies a note and reads the promise in it.
func OpenPromise(signed []byte, verifier Verifier) (Promise, error) {
	lines, err := openStatement(signed, "promise", 5, verifier)
	if err != nil {
		return Promise{}, err
	}
	return parsePromise(verifier.Name(), lines)
}

// ReadPromise reads a promise and does not ask who signed it.
func ReadPromise(signed []byte, origin string) (Promise, error) {
	text, _, ok := strings.Cut(string(signed), "\n\n")
	lines := strings.Split(text, "\n")
	if !ok || len(lines) != 5 || lines[0] != origin+"/promise" {
		return Promise{}, fmt.Errorf("this note is no promise of %s", origin)
	}
	return parsePromise(origin, lines)
}

func parsePromise(origin string, lines []string) (Promise, error) {
	p := Promise{Origin: origin}
	err := errors.Join(hexInto(&p.Command, lines[1]), decimal(&p.At, lines[2]), decimal(&p.By, lines[3]), decimal(&p.NotAfter, lines[4]))
	if err == nil && p.Text() != strings.Join(lines, "\n")+"\n" {
		err = errSpelling
	}
	return p, err
}

// OpenAbsence verifies a note and reads the absence in it.
func OpenAbsence(signed []byte, verifier Verifier) (Absence, error) {
	var a Absence
	lines, err := openStatement(signed, "absence", 6, verifier)
	if err != nil {
		return a, err
	}
	a.Origin = verifier.Name()
	root, err := base64.StdEncoding.DecodeString(lines[5])
	if err == nil && len(root) != len(a.Root) {
		err = fmt.Errorf("root has %d bytes", len(root))
	}
	if err != nil {
		return a, err
	}
	a.Root = Hash(root)
	var size int64
	err = errors.Join(hexInto(&a.Command, lines[1]), hexInto(&a.Promise, lines[2]), decimal(&a.Time, lines[3]), decimal(&size, lines[4]))
	a.Size = uint64(size)
	if err == nil && a.Text() != strings.Join(lines, "\n")+"\n" {
		err = errSpelling
	}
	return a, err
}

var errSpelling = errors.New("statement is not in its one spelling")

func openStatement(signed []byte, word string, count int, verifier Verifier) ([]string, error) {
	opened, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return nil, fmt.Errorf("open %s of %s: %w", word, verifier.Name(), err)
	}
	lines := strings.Split(strings.TrimSuffix(opened.Text, "\n"), "\n")
	if len(lines) != count || lines[0] != verifier.Name()+"/"+word {
		return nil, fmt.Errorf("this note is no %s of %s", word, verifier.Name())
	}
	return lines, nil
}

func hexInto(into *Hash, text string) error {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != len(into) {
		return fmt.Errorf("%q is not a hash in hex", text)
	}
	*into = Hash(raw)
	return nil
}

func decimal(into *int64, text string) (err error) {
	if *into, err = strconv.ParseInt(text, 10, 64); err != nil || *into < 0 {
		return fmt.Errorf("%q is not a decimal number", text)
	}
	return nil
}
