package node

import (
	"errors"
	"fmt"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/risknet/risknet/risk"
)

// question is a CheckRequest as the check path needs it, read from its bytes without
// the messages in between: a check has about twenty of those, and making them costs
// more than answering it. The room is used again by the next question. Strings lie in
// the bytes that were read, which must stay as they are until the answer is given; who
// keeps one for longer copies it.
type question struct {
	payment       risk.Payment
	phase         string
	purpose       string
	subjects      []askedSubject
	tokens        []risk.Asked
	minSize       uint64
	maxAgeMillis  int64
	scopesVersion uint64
	explain       bool
}

// askedSubject has either a raw value or tokens, which are tokens[from:to].
type askedSubject struct {
	kind     risk.Kind
	role     risk.Role
	value    string
	from, to int
}

// The numbers of the fields are those of check.proto and common.proto.

// read takes a question over. What it does not know it refuses: a caller that thinks
// it asked for something must not be answered as if it had not.
func (q *question) read(data []byte) error {
	*q = question{subjects: q.subjects[:0], tokens: q.tokens[:0]}
	f := fields{message: "CheckRequest", rest: data}
	for f.next() {
		switch f.number {
		case 1:
			f.nested(q.readPayment(f.bytes()))
		case 2:
			if len(q.subjects) >= risk.MaxSubjects {
				return fmt.Errorf("subjects: more than %d are given; at most %d are allowed", len(q.subjects), risk.MaxSubjects)
			}
			if err := q.readSubject(f.bytes()); err != nil {
				return fmt.Errorf("subjects[%d].%w", len(q.subjects), err)
			}
		case 3:
			q.minSize = f.varint()
		case 4:
			q.maxAgeMillis = int64(f.varint())
		case 5:
			q.scopesVersion = f.varint()
		case 6:
			q.explain = f.varint() != 0
		default:
			f.unknown()
		}
	}
	if f.err != nil {
		return f.err
	}
	return q.settlePayment()
}

func (q *question) readPayment(data []byte) error {
	f, p := fields{message: "Payment", rest: data}, &q.payment
	for f.next() {
		switch f.number {
		case 1:
			p.TransactionID = f.text()
		case 2:
			p.Time = int64(f.varint())
		case 3:
			p.Amount = int64(f.varint())
		case 4:
			p.Currency = f.text()
		case 5:
			p.MCC = f.text()
		case 6:
			p.Channel = f.text()
		case 7:
			p.Scene = f.text()
		case 8:
			p.Country = f.text()
		case 9:
			p.PayerCountry = f.text()
		case 10:
			q.phase = f.text()
		case 11:
			q.purpose = f.text()
		default:
			f.unknown()
		}
	}
	return f.err
}

// settlePayment reads the names, when all that a payment was given in is there.
func (q *question) settlePayment() (err error) {
	p := &q.payment
	p.Phase, p.Purpose = risk.PhasePre, risk.PurposeScreening
	if q.phase != "" {
		if p.Phase, err = risk.ParsePhase(q.phase); err != nil {
			return fmt.Errorf("payment.%w", err)
		}
	}
	if q.purpose != "" {
		if p.Purpose, err = risk.ParsePurpose(q.purpose); err != nil {
			return fmt.Errorf("payment.%w", err)
		}
	}
	return checkCodes(p)
}

func (q *question) readSubject(data []byte) error {
	one := askedSubject{role: risk.RoleOther, from: len(q.tokens)}
	var kind, role string
	f := fields{message: "Subject", rest: data}
	for f.next() {
		switch f.number {
		case 1:
			kind = f.text()
		case 2:
			role = f.text()
		case 3:
			one.value = f.text()
		case 4:
			if err := q.readToken(f.bytes()); err != nil {
				return fmt.Errorf("tokens[%d].%w", len(q.tokens)-one.from, err)
			}
		default:
			f.unknown()
		}
	}
	if f.err != nil {
		return f.err
	}
	var err error
	if one.kind, err = kindNamed(kind); err != nil {
		return err
	}
	if role != "" {
		if one.role, err = risk.ParseRole(role); err != nil {
			return err
		}
	}
	one.to = len(q.tokens)
	for i := one.from; i < one.to; i++ {
		t := &q.tokens[i]
		if t.Kind == 0 {
			t.Kind = one.kind
		}
		if !t.Scope.FitsKind(t.Kind) {
			return fmt.Errorf("tokens[%d].scope: %s does not fit kind %s", i-one.from, t.Scope, t.Kind)
		}
	}
	q.subjects = append(q.subjects, one)
	return nil
}

func (q *question) readToken(data []byte) error {
	var asked risk.Asked
	var token []byte
	var kind string
	var scope [2]uint64                // family and length
	const usual = 4 + len(asked.Token) // an epoch of one byte and the token: the subject's own kind, the exact scope
	if len(data) == usual && data[0] == 3<<3 && data[1] < 0x80 && data[2] == 4<<3|byte(protowire.BytesType) && int(data[3]) == len(asked.Token) {
		asked.Epoch = risk.Epoch(data[1])
		return q.addToken(asked, data[4:])
	}
	f := fields{message: "AskedToken", rest: data}
	for f.next() {
		switch f.number {
		case 1:
			kind = f.text()
		case 2:
			f.nested(readScope(f.bytes(), &scope))
		case 3:
			asked.Epoch = risk.Epoch(f.varint())
		case 4:
			token = f.bytes()
		default:
			f.unknown()
		}
	}
	switch {
	case f.err != nil:
		return f.err
	case len(token) != len(asked.Token):
		return fmt.Errorf("token: has %d bytes; a token has %d", len(token), len(asked.Token))
	case scope[0] > 255 || scope[1] > 255:
		return fmt.Errorf("scope: family %d and length %d are not known", scope[0], scope[1])
	}
	if kind != "" {
		var err error
		if asked.Kind, err = risk.ParseKind(kind); err != nil {
			return err
		}
	}
	asked.Scope = risk.Scope{Family: risk.Family(scope[0]), Length: uint8(scope[1])}
	return q.addToken(asked, token)
}

func (q *question) addToken(asked risk.Asked, token []byte) error {
	if len(q.tokens) >= risk.MaxAsked {
		return fmt.Errorf("token: is one of more than %d; name fewer subjects in one check", risk.MaxAsked)
	}
	copy(asked.Token[:], token)
	q.tokens = append(q.tokens, asked)
	return nil
}

// kindPlaces finds most names of kinds at once; risk.ParseKind goes through all.
var kindPlaces = func() (places [256]struct {
	name string
	kind risk.Kind
}) {
	for _, kind := range risk.AllKinds() {
		if at := &places[kindPlace(kind.String())]; at.name == "" {
			at.name, at.kind = kind.String(), kind
		}
	}
	return places
}()

func kindPlace(name string) uint8 { return uint8(len(name)*37) ^ name[0] ^ name[len(name)-1]<<2 }

func kindNamed(name string) (risk.Kind, error) {
	if name != "" {
		if at := &kindPlaces[kindPlace(name)]; at.name == name {
			return at.kind, nil
		}
	}
	return risk.ParseKind(name)
}

func readScope(data []byte, into *[2]uint64) error {
	f := fields{message: "Scope", rest: data}
	for f.next() {
		switch f.number {
		case 1, 2:
			into[f.number-1] = uint64(uint32(f.varint()))
		default:
			f.unknown()
		}
	}
	return f.err
}

// fields walks over the fields of one message (the protobuf wire format).
type fields struct {
	message string
	rest    []byte
	err     error

	number  protowire.Number
	kind    protowire.Type
	integer uint64
	value   []byte
}

var errWire = errors.New("is not a whole protobuf message; send what the .proto files say")

// next comes to the next field, false at the end and behind an error. Nearly all that
// comes is a short value behind a tag of one byte, so that is looked at first.
func (f *fields) next() bool {
	rest := f.rest
	if len(rest) > 1 && f.err == nil && rest[0]&7 == byte(protowire.BytesType) && rest[0] < 0x80 && rest[0] > 7 && int(rest[1]) <= len(rest)-2 && rest[1] < 0x80 {
		end := 2 + int(rest[1])
		f.number, f.kind, f.value, f.rest = protowire.Number(rest[0]>>3), protowire.BytesType, rest[2:end], rest[end:]
		return true
	}
	return f.err == nil && len(rest) > 0 && f.any()
}

func (f *fields) any() bool {
	number, kind, n := protowire.ConsumeTag(f.rest)
	if n < 0 {
		return f.broken()
	}
	f.number, f.kind, f.rest = number, kind, f.rest[n:]
	switch kind {
	case protowire.VarintType:
		f.integer, n = protowire.ConsumeVarint(f.rest)
	case protowire.BytesType:
		f.value, n = protowire.ConsumeBytes(f.rest)
	default:
		f.unknown()
		return false
	}
	if n < 0 {
		return f.broken()
	}
	f.rest = f.rest[n:]
	return true
}

func (f *fields) broken() bool {
	f.err = fmt.Errorf("request: %s %w", f.message, errWire)
	return false
}

func (f *fields) unknown() {
	f.nested(fmt.Errorf("request: %s has field %d, which this node does not know; use the .proto files of its version", f.message, f.number))
}

// nested keeps the first error.
func (f *fields) nested(err error) {
	if f.err == nil {
		f.err = err
	}
}

func (f *fields) varint() uint64 {
	if f.kind != protowire.VarintType {
		f.unknown()
	}
	return f.integer
}

func (f *fields) bytes() []byte {
	if f.kind != protowire.BytesType {
		f.unknown()
		return nil
	}
	return f.value
}

// text gives a string that lies in the message.
func (f *fields) text() string { return textOf(f.bytes()) }

// textOf is bytes as a string that lies in them, for as long as they stay as they are.
func textOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
