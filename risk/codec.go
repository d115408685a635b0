package risk

import (
	"encoding/binary"
	"unicode/utf8"
)

// The codec: fixed-width integers, big-endian; booleans as 0 or 1; byte strings
// and UTF-8 text behind a 16-bit length; lists behind a 16-bit count. Nothing is
// optional and nothing is padded, so a value has one encoding.

func putU16(dst []byte, v uint16) []byte { return binary.BigEndian.AppendUint16(dst, v) }
func putU32(dst []byte, v uint32) []byte { return binary.BigEndian.AppendUint32(dst, v) }
func putU64(dst []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(dst, v) }
func putI64(dst []byte, v int64) []byte  { return binary.BigEndian.AppendUint64(dst, uint64(v)) }

func putBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

func putText(dst []byte, v string) []byte {
	return append(putU16(dst, uint16(len(v))), v...)
}

// putLong writes bytes behind a 32-bit length: rule sets and whole commands.
func putLong(dst []byte, v []byte) []byte {
	return append(putU32(dst, uint32(len(v))), v...)
}

// reader takes a value apart. The first fault sticks; later reads give zeros,
// so a decoder reads all fields and asks once, in done.
type reader struct {
	rest []byte
	what string
	err  *Error
}

func readerOf(what string, data []byte) *reader { return &reader{rest: data, what: what} }

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = refuse(Malformed, r.what, format, args...)
		r.rest = nil
	}
}

func (r *reader) take(n int) []byte {
	if r.err != nil || n > len(r.rest) {
		r.fail("is cut short; send the bytes that were signed")
		return nil
	}
	part := r.rest[:n:n]
	r.rest = r.rest[n:]
	return part
}

func (r *reader) fill(into []byte) { copy(into, r.take(len(into))) }

func (r *reader) u8() uint8 {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) u16() uint16 {
	if b := r.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) u32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) u64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) i64() int64 { return int64(r.u64()) }

func (r *reader) bool() bool {
	v := r.u8()
	if v > 1 {
		r.fail("has a truth value that is neither 0 nor 1")
	}
	return v == 1
}

func (r *reader) text(limit int) string {
	n := int(r.u16())
	if n == 0 { // as most are
		return ""
	}
	if n > limit {
		r.fail("has a text of %d bytes; at most %d are allowed", n, limit)
		return ""
	}
	b := r.take(n)
	if !utf8.Valid(b) {
		r.fail("has a text that is not UTF-8")
		return ""
	}
	return string(b)
}

func (r *reader) long(limit int) []byte {
	n := int(r.u32())
	if n > limit {
		r.fail("has a part of %d bytes; at most %d are allowed", n, limit)
		return nil
	}
	return r.take(n)
}

// count reads a list's length, refusing what could not fit in the bytes left.
func (r *reader) count(limit, least int) int {
	n := int(r.u16())
	if n > limit || n*least > len(r.rest) {
		r.fail("has a list of %d; at most %d fit", n, min(limit, len(r.rest)/max(least, 1)))
		return 0
	}
	return n
}

func (r *reader) id() (id ID)            { r.fill(id[:]); return id }
func (r *reader) hash() (h Hash)         { r.fill(h[:]); return h }
func (r *reader) listing() (l ListingID) { l.Leaf, l.Item = r.u64(), r.u16(); return l }
func (r *reader) scope() (s Scope)       { s.Family, s.Length = Family(r.u8()), r.u8(); return s }

func (r *reader) version() {
	if v := r.u8(); r.err == nil && v != codecVersion {
		r.fail("has format version %d; this node reads version %d", v, codecVersion)
	}
}

// done ends the reading: all bytes must have been used.
func (r *reader) done() error {
	if r.err == nil && len(r.rest) > 0 {
		r.fail("has %d bytes that no field owns; unknown fields are refused", len(r.rest))
	}
	if r.err != nil {
		return r.err
	}
	return nil
}

// codecVersion is the first byte of each encoded thing that stands alone.
const codecVersion = 1
