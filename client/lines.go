package client

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// maxLineBytes bounds one line of an input file; a longer one is rejected, and
// the reading goes on behind it.
const maxLineBytes = 64 << 10

// line is one physical line, without its end.
type line struct {
	number int
	text   string
	fault  string // why the line cannot be used; its text may be cut
}

// lineReader splits a file into physical lines. Lines can be put back, so that a
// record that turns out not to be one is read again from its second line.
type lineReader struct {
	in     *bufio.Reader
	number int
	back   []line // last first
}

func newLineReader(r io.Reader) *lineReader {
	in := bufio.NewReaderSize(r, maxLineBytes)
	if mark, _ := in.Peek(3); string(mark) == "\xef\xbb\xbf" {
		_, _ = in.Discard(3)
	}
	return &lineReader{in: in}
}

// next gives io.EOF after the last line; any other error is of the file.
func (r *lineReader) next() (line, error) {
	if n := len(r.back); n > 0 {
		l := r.back[n-1]
		r.back = r.back[:n-1]
		return l, nil
	}
	raw, err := r.in.ReadSlice('\n')
	if len(raw) == 0 && err != nil {
		return line{}, err
	}
	r.number++
	l := line{number: r.number, text: strings.TrimSuffix(strings.TrimSuffix(string(raw), "\n"), "\r")}
	if errors.Is(err, bufio.ErrBufferFull) {
		l.text, l.fault = l.text[:128], fmt.Sprintf("the line is longer than %d bytes; give one record a line", maxLineBytes)
		err = r.skip()
	}
	if !utf8.ValidString(l.text) && l.fault == "" {
		l.fault = "the line is not UTF-8 text; convert the file to UTF-8"
	}
	if errors.Is(err, io.EOF) {
		err = nil // the last line has no end; the next call says so
	}
	return l, err
}

// skip goes behind the end of an overlong line.
func (r *lineReader) skip() error {
	for {
		_, err := r.in.ReadSlice('\n')
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}

func (r *lineReader) putBack(lines []line) {
	for i := len(lines) - 1; i >= 0; i-- {
		r.back = append(r.back, lines[i])
	}
}
