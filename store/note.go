package store

import (
	"encoding/binary"
	"errors"
	"iter"

	"github.com/risknet/risknet/risk"
)

// Note is what one answered check leaves in the journal: tokens and never a raw
// identifier, and of the payment no more than an alert needs to name it.
type Note struct {
	ID          uint64 // its place in the journal
	At          int64  // when the check was answered, milliseconds since 1970
	Transaction string // the institution's own reference
	Amount      int64
	Currency    string
	Phase       risk.Phase
	Purpose     risk.Purpose
	Advice      risk.Advice // the verdict's

	Subjects []NoteSubject
	Asked    []risk.Asked // of all subjects, one behind the other

	// Told are the listings that the institution knows to speak about this payment:
	// those of the verdict, and later those of the alerts. Size is the state in which
	// they did; an older one says nothing new.
	Told []Told
	Size uint64
}

// NoteSubject is one subject of a payment, and how many tokens it asked for.
type NoteSubject struct {
	Kind  risk.Kind
	Role  risk.Role
	Asked int
}

// Told is one listing as it spoke about a payment.
type Told struct {
	Listing risk.ListingID
	Subject uint8
	Advice  risk.Advice
	Level   risk.Level
	List    risk.List
	Code    uint16
	Expires int64
}

// keys are the tokens asked, each once.
func (n *Note) keys() iter.Seq[Key] {
	return func(yield func(Key) bool) {
		for i := range n.Asked {
			k := Key{n.Asked[i].Kind, n.Asked[i].Token}
			if !n.asksBefore(i, k) && !yield(k) {
				return
			}
		}
	}
}

func (n *Note) asksBefore(i int, k Key) bool {
	for _, a := range n.Asked[:i] {
		if a.Kind == k.Kind && a.Token == k.Token {
			return true
		}
	}
	return false
}

// cost is how many bytes a note is counted for: it does not change with what is told.
func (n *Note) cost() int64 {
	return int64(96 + len(n.Transaction) + 4*len(n.Subjects) + (26+24+20)*len(n.Asked))
}

const noteVersion = 1

// encode gives a note without its id, in the order of its fields.
func (n *Note) encode() []byte {
	dst := append(make([]byte, 0, 64+len(n.Transaction)+24*len(n.Asked)+32*len(n.Told)), noteVersion)
	dst = binary.AppendVarint(dst, n.At)
	dst = appendShort(dst, n.Transaction)
	dst = appendShort(binary.AppendVarint(dst, n.Amount), n.Currency)
	dst = append(dst, uint8(n.Phase), uint8(n.Purpose), uint8(n.Advice))
	dst = binary.AppendUvarint(dst, uint64(len(n.Subjects)))
	for _, s := range n.Subjects {
		dst = binary.AppendUvarint(append(dst, uint8(s.Kind), uint8(s.Role)), uint64(s.Asked))
	}
	dst = binary.AppendUvarint(dst, uint64(len(n.Asked)))
	for i := range n.Asked {
		a := &n.Asked[i]
		dst = append(dst, uint8(a.Kind), uint8(a.Scope.Family), a.Scope.Length)
		dst = append(binary.AppendUvarint(dst, uint64(a.Epoch)), a.Token[:]...)
	}
	dst = binary.AppendUvarint(dst, uint64(len(n.Told)))
	for _, t := range n.Told {
		dst = binary.AppendUvarint(binary.AppendUvarint(dst, t.Listing.Leaf), uint64(t.Listing.Item))
		dst = append(dst, t.Subject, uint8(t.Advice), uint8(t.Level), uint8(t.List))
		dst = binary.AppendVarint(binary.AppendUvarint(dst, uint64(t.Code)), t.Expires)
	}
	return binary.AppendUvarint(dst, n.Size)
}

func appendShort(dst []byte, text string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(text))), text...)
}

var errNote = errors.New("is not in its encoding")

func decodeNote(raw []byte) (*Note, error) {
	r := &noteReader{rest: raw}
	if r.byte() != noteVersion {
		return nil, errNote
	}
	n := &Note{At: r.signed(), Transaction: r.text(), Amount: r.signed(), Currency: r.text(),
		Phase: risk.Phase(r.byte()), Purpose: risk.Purpose(r.byte()), Advice: risk.Advice(r.byte())}
	n.Subjects = make([]NoteSubject, r.count(risk.MaxSubjects))
	total := 0
	for i := range n.Subjects {
		n.Subjects[i] = NoteSubject{risk.Kind(r.byte()), risk.Role(r.byte()), r.count(risk.MaxAsked)}
		total += n.Subjects[i].Asked
	}
	n.Asked = make([]risk.Asked, r.count(risk.MaxAsked))
	for i := range n.Asked {
		n.Asked[i] = risk.Asked{Kind: risk.Kind(r.byte()), Scope: risk.Scope{Family: risk.Family(r.byte()), Length: r.byte()},
			Epoch: risk.Epoch(r.number()), Token: risk.Token(r.take(16))}
	}
	n.Told = make([]Told, r.count(len(r.rest)))
	for i := range n.Told {
		n.Told[i] = Told{Listing: risk.ListingID{Leaf: r.number(), Item: uint16(r.number())}, Subject: r.byte(),
			Advice: risk.Advice(r.byte()), Level: risk.Level(r.byte()), List: risk.List(r.byte()),
			Code: uint16(r.number()), Expires: r.signed()}
	}
	n.Size = r.number()
	if r.bad || len(r.rest) > 0 || total != len(n.Asked) {
		return nil, errNote
	}
	return n, nil
}

// noteReader reads forward; after the first fault it gives zeros.
type noteReader struct {
	rest []byte
	bad  bool
}

func (r *noteReader) take(n int) []byte {
	if n > len(r.rest) {
		r.bad, r.rest = true, nil
		return make([]byte, min(n, 16))
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *noteReader) byte() uint8  { return r.take(1)[0] }
func (r *noteReader) text() string { return string(r.take(r.count(len(r.rest)))) }

func (r *noteReader) number() uint64 {
	v, n := binary.Uvarint(r.rest)
	r.take(r.length(n))
	return v
}

func (r *noteReader) signed() int64 {
	v, n := binary.Varint(r.rest)
	r.take(r.length(n))
	return v
}

// length makes a varint that cannot be read a fault.
func (r *noteReader) length(n int) int {
	if n <= 0 {
		r.bad, r.rest = true, nil
		return 0
	}
	return n
}

func (r *noteReader) count(limit int) int {
	n := r.number()
	if n > uint64(limit) {
		r.bad, r.rest = true, nil
		return 0
	}
	return int(n)
}
