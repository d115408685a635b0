package risk

import (
	"crypto/ed25519"
	"crypto/rand"
)

// Signed is a command as it travels: the signed bytes, one signature for each
// signer that they name, and the bodies of the items beside them. Its encoding:
//
//	u8 version=1 | u32 header | u8 signatures { 64 } | u16 bodies { u32 body }
//
// where each body is as [Body.AppendTo] writes it, of no bytes if it was erased.
type Signed struct {
	Header     []byte
	Signatures [][]byte
	Bodies     []Body
}

// ID names the command.
func (s *Signed) ID() Hash { return CommandID(s.Header) }

// SigningBytes are what a key signs: the domain and the header.
func SigningBytes(header []byte) []byte {
	return append([]byte(domainCommand), header...)
}

// Sign encodes the command and signs it with each key, in the order of the
// command's signers.
func Sign(c *Command, bodies []Body, keys ...ed25519.PrivateKey) (*Signed, error) {
	header, err := c.Encode()
	if err != nil {
		return nil, err
	}
	if len(keys) != len(c.Signers) {
		return nil, refuse(BadSignature, "signers", "the command names %d signers and %d keys were given", len(c.Signers), len(keys))
	}
	s := &Signed{Header: header, Bodies: bodies}
	for _, key := range keys {
		s.Signatures = append(s.Signatures, ed25519.Sign(key, SigningBytes(header)))
	}
	return s, nil
}

// NewBody salts the data of an item. The salt is what makes the commitment say
// nothing once the body is gone. Nil is a body that says nothing.
func NewBody(data []byte) Body {
	if data == nil {
		data = []byte{}
	}
	b := Body{Data: data}
	_, _ = rand.Read(b.Salt[:]) // never fails since Go 1.24
	return b
}

// Encode gives the bytes that travel.
func (s *Signed) Encode() []byte { return s.appendTo(make([]byte, 0, s.size())) }

func (s *Signed) size() int {
	n := 8 + len(s.Header) + ed25519.SignatureSize*len(s.Signatures)
	for i := range s.Bodies {
		n += 20 + len(s.Bodies[i].Data)
	}
	return n
}

func (s *Signed) appendTo(dst []byte) []byte {
	return s.appendRest(append(dst, codecVersion))
}

// appendRest writes all but the version.
func (s *Signed) appendRest(dst []byte) []byte {
	return appendBodies(appendSignedHeader(dst, s.Header, s.Signatures), s.Bodies)
}

func appendSignedHeader(dst, header []byte, signatures [][]byte) []byte {
	dst = append(putLong(dst, header), uint8(len(signatures)))
	for _, sig := range signatures {
		dst = append(dst, sig...)
	}
	return dst
}

// entryExtra is what an entry adds to the signed command in it.
const entryExtra = 24

// DecodeSigned reads what [Signed.Encode] writes. The header is left as bytes.
func DecodeSigned(data []byte) (*Signed, error) {
	if limit := MaxEntryBytes - entryExtra; len(data) > limit {
		return nil, refuse(Malformed, "command", "has %d bytes with its bodies; at most %d are allowed, so send fewer items", len(data), limit)
	}
	r := readerOf("command", data)
	r.version()
	s := readSigned(r)
	if err := r.done(); err != nil {
		return nil, err
	}
	return s, nil
}

func readSigned(r *reader) *Signed {
	s := &Signed{}
	s.Header, s.Signatures = readSignedHeader(r)
	s.Bodies = readBodies(r)
	return s
}

func readSignedHeader(r *reader) ([]byte, [][]byte) {
	header := r.long(MaxHeaderBytes)
	count := int(r.u8())
	if count > MaxSigners {
		r.fail("has %d signatures; at most %d are allowed", count, MaxSigners)
		return nil, nil
	}
	signatures := make([][]byte, count)
	for i := range signatures {
		signatures[i] = r.take(ed25519.SignatureSize)
	}
	return header, signatures
}

// Entry is what stands in the raft log: a signed command, the time that the
// leader gave it, and which node proposed it. Its encoding:
//
//	u8 version=1 | i64 at | proposer 16 | signed, without its version byte
type Entry struct {
	At       int64
	Proposer ID
	Signed   *Signed
}

// Encode gives the bytes that stand in the log.
func (e *Entry) Encode() []byte {
	dst := append(make([]byte, 0, 32+e.Signed.size()), codecVersion)
	dst = append(putI64(dst, e.At), e.Proposer[:]...)
	return e.Signed.appendRest(dst)
}

// DecodeEntry reads an entry of the log strictly.
func DecodeEntry(data []byte) (*Entry, error) {
	if len(data) > MaxEntryBytes {
		return nil, refuse(Malformed, "entry", "has %d bytes; at most %d are allowed", len(data), MaxEntryBytes)
	}
	r := readerOf("entry", data)
	r.version()
	e := &Entry{At: r.i64(), Proposer: r.id(), Signed: readSigned(r)}
	if err := r.done(); err != nil {
		return nil, err
	}
	return e, nil
}

// EntryStamp reads the time that a leader gave an entry, and nothing else.
func EntryStamp(data []byte) (int64, error) {
	r := readerOf("entry", data)
	r.version()
	at := r.i64()
	if r.err != nil {
		return 0, r.err
	}
	return at, nil
}
