package ledger

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// Checkpoint is what a log says of itself when it signs: at this size it had
// this root. Origin names the log, a host and path without spaces or plus.
type Checkpoint struct {
	Origin string
	Size   uint64
	Root   Hash
}

// Text is the text to sign: three lines with the origin, the size in decimal and
// the root in base64. It carries no extension lines.
func (c Checkpoint) Text() string {
	return c.Origin + "\n" + strconv.FormatUint(c.Size, 10) + "\n" + base64.StdEncoding.EncodeToString(c.Root[:]) + "\n"
}

// ParseCheckpoint reads the text that [Checkpoint.Text] writes. It refuses
// extension lines: nothing that is not checked should be signed. The text alone
// proves nothing; what came from another machine goes through [OpenCheckpoint].
func ParseCheckpoint(text string) (Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		return Checkpoint{}, errors.New("checkpoint must be three lines: origin, size and root")
	}
	c := Checkpoint{Origin: lines[0]}
	size, err := strconv.ParseUint(lines[1], 10, 64)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("checkpoint size %q is not a decimal number", lines[1])
	}
	c.Size = size
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(root) != len(c.Root) {
		return Checkpoint{}, fmt.Errorf("checkpoint root %q is not the base64 of 32 bytes", lines[2])
	}
	c.Root = Hash(root)
	if err := c.check(); err != nil {
		return Checkpoint{}, err
	}
	if c.Text() != text {
		return Checkpoint{}, errors.New("checkpoint is not in its one spelling: no leading zeros, no sign, padded base64")
	}
	return c, nil
}

func (c Checkpoint) check() error {
	if err := checkName("checkpoint origin", c.Origin); err != nil {
		return err
	}
	if c.Size > MaxSize {
		return fmt.Errorf("checkpoint size %d %w", c.Size, errTooLarge)
	}
	if c.Size == 0 && c.Root != EmptyRoot() {
		return errors.New("checkpoint of an empty tree has another root than the empty one")
	}
	return nil
}

// SignCheckpoint makes a signed note of the checkpoint. Whoever calls it promises
// never to sign a history that contradicts this one, and so has saved the
// [Anchor] first.
func SignCheckpoint(c Checkpoint, signers ...Signer) ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if len(signers) == 0 {
		return nil, errors.New("checkpoint has no signer; give the log's key")
	}
	signed, err := note.Sign(&note.Note{Text: c.Text()}, signers...)
	if err != nil {
		return nil, fmt.Errorf("sign checkpoint at size %d: %w", c.Size, err)
	}
	return signed, nil
}

// Signature says which key signed: its name and the first 4 bytes of its hash.
type Signature struct {
	Name    string
	KeyHash uint32
	Time    time.Time // of a cosignature, in whole seconds; zero for a plain one
}

// OpenCheckpoint verifies a signed note and reads the checkpoint of the log with
// this origin. It succeeds when at least one of the verifiers signed and none of
// their signatures is wrong, and returns those that signed, in the note's order,
// each key once: a caller that wants a quorum counts them. Signatures of keys
// that are not asked for are ignored. Each verifier must be given once.
func OpenCheckpoint(signed []byte, origin string, verifiers ...Verifier) (Checkpoint, []Signature, error) {
	opened, err := note.Open(signed, note.VerifierList(verifiers...))
	if err != nil {
		return Checkpoint{}, nil, fmt.Errorf("open checkpoint of %s: %w", origin, err)
	}
	c, err := ParseCheckpoint(opened.Text)
	if err != nil {
		return Checkpoint{}, nil, err
	}
	if c.Origin != origin {
		return Checkpoint{}, nil, fmt.Errorf("checkpoint is of log %q, not of %q; check the log's address and key", c.Origin, origin)
	}
	by := make([]Signature, len(opened.Sigs))
	for i, sig := range opened.Sigs {
		by[i] = Signature{Name: sig.Name, KeyHash: sig.Hash, Time: timeOf(sig)}
	}
	return c, by, nil
}
