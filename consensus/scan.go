package consensus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// Raft's transport decodes whatever comes, and makes room for it: two bytes of an
// entry that says nothing become a hundred in memory. So bytes pass a scanner before
// they are decoded. It knows the grammar of msgpack, where each message ends, and
// how much there may be of everything.
// Format: https://github.com/msgpack/msgpack/blob/master/spec.md
type scanner struct {
	limits
	begun bool    // a message is under way
	image bool    // it announces an image
	used  int64   // bytes of it
	left  []int64 // values still to come in each array and map that is open
	skip  int64   // bytes of a text still to come
	size  int64   // of the image that it announces
	rest  int64   // bytes of an image still to come

	head  []byte // of a value, as far as it has come
	text  []byte // what has come of a short text
	key   string // the key of the value that comes, in the outermost map
	inKey bool   // the text under way is one
}

// limits are what one side may send.
type limits struct {
	typed bool  // a byte before each message says its type, and an image may follow it
	bytes int64 // of a message
	text  int64 // bytes of one text
	items int64 // of one array or map
}

// maxMessage is what one message may have, in bytes: a full batch of the largest
// entries.
const maxMessage = maxAppendEntries * (MaxPayload + 4<<10)

var (
	ofRequests = limits{typed: true, bytes: maxMessage, text: MaxPayload + 4<<10, items: 2 * maxAppendEntries}
	ofAnswers  = limits{bytes: 256 << 10, text: 128 << 10, items: 32}
	ofServers  = limits{bytes: 256 << 10, text: maxID + 256, items: 1024} // a configuration
)

const (
	maxDepth = 8
	maxKey   = 32
)

var errMalformed = errors.New("is not what servers send")

// Types of messages, as raft's transport numbers them.
const (
	typeImage = 2
	typeLast  = 4
)

// scan follows the next bytes, and says what is wrong with them.
func (s *scanner) scan(p []byte) error {
	for len(p) > 0 {
		n := s.pass(p)
		if n == 0 {
			n = 1
			if err := s.one(p[0]); err != nil {
				return fmt.Errorf("message: %w", err)
			}
		}
		p = p[n:]
		if s.used > s.bytes {
			return fmt.Errorf("message: has more than %d bytes", s.bytes)
		}
	}
	return nil
}

// pass goes over bytes that say nothing about what follows them.
func (s *scanner) pass(p []byte) int {
	n := int(min(s.rest, int64(len(p))))
	if s.rest -= int64(n); n > 0 {
		return n
	}
	if n = int(min(s.skip, int64(len(p)))); n == 0 {
		return 0
	}
	if s.inKey {
		s.text = append(s.text, p[:n]...)
	}
	s.used += int64(n)
	if s.skip -= int64(n); s.skip == 0 {
		s.ended()
	}
	return n
}

// one takes a byte of a message's type or of the head of a value.
func (s *scanner) one(b byte) error {
	s.used++
	if !s.begun {
		s.begun = true
		if s.typed {
			s.image = b == typeImage
			if b > typeLast {
				return fmt.Errorf("type %d %w", b, errMalformed)
			}
			return nil
		}
	}
	s.head = append(s.head, b)
	if len(s.head) < 1+lengthOf(s.head[0]) {
		return nil
	}
	err := s.value(s.head[0], numberOf(s.head))
	s.head = s.head[:0]
	return err
}

// lengthOf is how many bytes follow the first one in the head of a value.
func lengthOf(first byte) int {
	switch first {
	case 0xc4, 0xc7, 0xcc, 0xd0, 0xd9:
		return 1
	case 0xc5, 0xc8, 0xcd, 0xd1, 0xda, 0xdc, 0xde:
		return 2
	case 0xc6, 0xc9, 0xca, 0xce, 0xd2, 0xdb, 0xdd, 0xdf:
		return 4
	case 0xcb, 0xcf, 0xd3:
		return 8
	}
	return 0
}

// numberOf reads what follows the first byte, with the sign that it has there.
func numberOf(head []byte) int64 {
	if len(head) == 1 {
		return int64(int8(head[0]))
	}
	signed := head[0] >= 0xd0 && head[0] <= 0xd3
	raw := make([]byte, 8)
	if signed && head[1] >= 0x80 {
		binary.BigEndian.PutUint64(raw, math.MaxUint64)
	}
	copy(raw[9-len(head):], head[1:])
	return int64(binary.BigEndian.Uint64(raw)) // an unsigned one above all signed ones is negative
}

// value is called with the whole head of a value.
func (s *scanner) value(first byte, number int64) error {
	isMap := first&0xf0 == 0x80 || first == 0xde || first == 0xdf
	if s.typed && len(s.left) == 0 && !isMap {
		return fmt.Errorf("a value of type %#x %w", first, errMalformed)
	}
	if s.image && len(s.left) == 1 && s.left[0]%2 == 1 && s.key == "Size" {
		if !isInteger(first) || number < 0 {
			return fmt.Errorf("the size of an image %w", errMalformed)
		}
		s.size = number
	}
	switch {
	case isMap && first < 0x90:
		return s.enter(2 * int64(first&0x0f))
	case isMap:
		return s.enter(2 * number)
	case first&0xf0 == 0x90:
		return s.enter(int64(first & 0x0f))
	case first == 0xdc || first == 0xdd:
		return s.enter(number)
	case first&0xe0 == 0xa0:
		return s.string(int64(first & 0x1f))
	case first >= 0xc4 && first <= 0xc6, first >= 0xd9 && first <= 0xdb:
		return s.string(number)
	case first >= 0xc7 && first <= 0xc9:
		return s.string(number + 1) // and a byte for the kind of extension
	case first >= 0xd4 && first <= 0xd8:
		return s.string(1<<(first-0xd4) + 1)
	case first == 0xc1:
		return fmt.Errorf("a value of type %#x %w", first, errMalformed)
	}
	s.ended()
	return nil
}

func isInteger(first byte) bool {
	return first < 0x80 || first >= 0xe0 || first >= 0xcc && first <= 0xd3
}

// enter begins an array or a map.
func (s *scanner) enter(items int64) error {
	if items > 2*s.items || len(s.left) >= maxDepth {
		return fmt.Errorf("a list of %d values, or in %d others, %w", items, len(s.left), errMalformed)
	}
	if items == 0 {
		s.ended()
		return nil
	}
	s.left = append(s.left, items)
	return nil
}

func (s *scanner) string(bytes int64) error {
	if bytes > s.limits.text {
		return fmt.Errorf("a text of %d bytes %w", bytes, errMalformed)
	}
	s.inKey = bytes <= maxKey && len(s.left) == 1 && s.left[0]%2 == 0
	if s.skip = bytes; bytes == 0 {
		s.ended()
	}
	return nil
}

// ended closes a value, and with it what it was the last of.
func (s *scanner) ended() {
	if len(s.left) == 1 {
		s.key = ""
		if s.inKey {
			s.key = string(s.text)
		}
	}
	s.inKey, s.text = false, s.text[:0]
	for len(s.left) > 0 {
		if s.left[len(s.left)-1]--; s.left[len(s.left)-1] > 0 {
			return
		}
		s.left = s.left[:len(s.left)-1]
	}
	s.begun, s.used, s.key = false, 0, ""
	if s.image {
		s.rest = s.size
	}
	s.image, s.size = false, 0
}

// wellFormed scans what is decoded as one piece.
func wellFormed(data []byte, of limits) error {
	s := scanner{limits: of}
	if err := s.scan(data); err != nil {
		return err
	}
	if s.begun || len(data) == 0 {
		return io.ErrUnexpectedEOF
	}
	return nil
}
