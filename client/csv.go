package client

import (
	"encoding/csv"
	"errors"
	"fmt"
	"strings"
)

// A quoted field may hold line ends, so a record may span lines. A quote that is
// opened by mistake must not swallow the rest of the file: after so many lines
// the first one is rejected and the reading goes on with the second.
const maxRecordLines = 64

// record is one CSV record, or one line that is none.
type record struct {
	line   int // the physical line on which it begins
	text   string
	fields []string
	fault  string
}

// nextRecord reads RFC 4180 as far as encoding/csv does; blank lines are passed
// over.
func nextRecord(r *lineReader) (record, error) {
	first, err := r.next()
	for err == nil && first.text == "" && first.fault == "" {
		first, err = r.next()
	}
	if err != nil || first.fault != "" {
		return record{line: first.number, text: first.text, fault: first.fault}, err
	}
	rec := record{line: first.number, text: first.text}
	if !strings.Contains(first.text, `"`) {
		rec.fields = strings.Split(first.text, ",")
		return rec, nil
	}
	more, err := completeRecord(r, &rec)
	if err != nil {
		return rec, err
	}
	if rec.fault == "" {
		rec.parse()
	}
	if rec.fault != "" && len(more) > 0 {
		r.putBack(more)
		rec.text = first.text
	}
	return rec, nil
}

// completeRecord appends lines while a quote stands open.
func completeRecord(r *lineReader, rec *record) (more []line, err error) {
	open := quoteOpen(rec.text, false)
	var text strings.Builder
	text.WriteString(rec.text)
	for open {
		next, err := r.next()
		if err != nil && !isEnd(err) {
			return more, err
		}
		if err == nil {
			more = append(more, next)
		}
		if err != nil || next.fault != "" || len(more) >= maxRecordLines {
			rec.fault = "a quote is opened and not closed; close it, or write two for one inside"
			return more, nil
		}
		text.WriteString("\n")
		text.WriteString(next.text)
		open = quoteOpen(next.text, true)
	}
	rec.text = text.String()
	return more, nil
}

// quoteOpen reports whether the text ends inside a quoted field. A quote opens a
// field only as its first character.
func quoteOpen(text string, inside bool) bool {
	start := !inside
	for i := 0; i < len(text); i++ {
		switch {
		case inside && text[i] == '"':
			if i+1 < len(text) && text[i+1] == '"' {
				i++
			} else {
				inside = false
			}
		case inside:
		case start && text[i] == '"':
			inside, start = true, false
		default:
			start = text[i] == ','
		}
	}
	return inside
}

func (rec *record) parse() {
	reader := csv.NewReader(strings.NewReader(rec.text))
	reader.FieldsPerRecord = -1
	fields, err := reader.Read()
	if err != nil {
		rec.fault = "not CSV: " + oneLine(err)
		if parse, ok := errors.AsType[*csv.ParseError](err); ok {
			rec.fault = fmt.Sprintf("not CSV: %s at column %d; put the field in quotes and write two quotes for one inside", oneLine(parse.Err), parse.Column)
		}
		return
	}
	rec.fields = fields
}
