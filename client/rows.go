package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/risknet/risknet/risk"
)

// Format says how an input file is laid out.
type Format string

// The formats. All are UTF-8 text; a byte order mark is passed over.
const (
	// FormatValues has one identifier a line; # begins a comment line.
	FormatValues Format = "values"
	// FormatCSV has a header; fields are comma-separated (RFC 4180).
	FormatCSV Format = "csv"
	// FormatNDJSON has one flat JSON object a line.
	FormatNDJSON Format = "ndjson"
	// FormatIPsum has an identifier, a tab and the number of feeds that it stands
	// in; # begins a comment line. The number is not an origin and is not used.
	FormatIPsum Format = "ipsum"
	// FormatUN is the consolidated list of the UN Security Council in XML.
	FormatUN Format = "un-xml"
	// FormatOFAC is sdn.csv, the US Treasury's list of specially designated nationals.
	FormatOFAC Format = "ofac-sdn"
)

// Source names the authority whose list a format is, or nothing. Such a file says
// itself of which kind each identifier is.
func (f Format) Source() string {
	switch f {
	case FormatUN:
		return "un-sc consolidated"
	case FormatOFAC:
		return "ofac sdn"
	}
	return ""
}

// ParseFormat reads a format's name.
func ParseFormat(name string) (Format, error) {
	switch f := Format(name); f {
	case FormatValues, FormatCSV, FormatNDJSON, FormatIPsum, FormatUN, FormatOFAC:
		return f, nil
	}
	return "", fmt.Errorf("format: %q is not known; use values, csv, ndjson, ipsum, un-xml or ofac-sdn", name)
}

// Column maps a column of a CSV header, or a key of a JSON object, to a field.
type Column struct {
	Name  string
	Field string
}

// ParseColumn reads NAME=FIELD.
func ParseColumn(text string) (Column, error) {
	at := strings.LastIndexByte(text, '=')
	if at < 1 || at == len(text)-1 {
		return Column{}, fmt.Errorf("column: %q is not NAME=FIELD; write for example ip_address=ip", text)
	}
	return Column{Name: text[:at], Field: text[at+1:]}, nil
}

// Row is one record of an input file. Cells stand in the order of the reader's
// columns; a column that the record lacks is empty.
type Row struct {
	Line  int    // physical line on which the record begins
	Text  string // the record as it stands in the file
	Cells []string
	Fault string // why there are no cells
}

// RowReader reads records one after the other. It is for one goroutine.
type RowReader struct {
	Columns []Column
	// Unused are columns of a CSV file that bear the name of a field and are not among
	// Columns, because others were named.
	Unused []string

	format Format
	lines  *lineReader
	at     []int // CSV: where each column stands in a record
	width  int   // CSV: number of fields in the header
	strict bool  // NDJSON: keys that are no column are refused
	// once is set where a source tells of a past: of several records that list one
	// identifier the first counts, so that the same file says the same again.
	once     bool
	identity string
	parties  partyReader // published lists, in place of lines
	queue    []Row       // what is left of the record before
	only     risk.Kind   // of published lists, the identifiers of this kind; 0 for all
	dated    string      // when the source made the file, if the file says so
}

// RowOptions say what the records are made of.
type RowOptions struct {
	Format Format
	// Columns are what is used of a CSV or NDJSON file. None means that its
	// columns bear the names of fields, and no others.
	Columns []Column
	// Fields are the names that a column may be mapped to.
	Fields []string
	// Identity is the field that the lines of the other formats are.
	Identity string
	// Repeat lets several columns be mapped to one field.
	Repeat bool
	// Only takes the identifiers of one kind from a published list; 0 takes all.
	Only risk.Kind
}

// NewRowReader begins to read; for CSV that is the header.
func NewRowReader(in io.Reader, o RowOptions) (*RowReader, error) {
	r := &RowReader{format: o.Format, Columns: o.Columns, identity: o.Identity, only: o.Only}
	if o.Format.Source() == "" {
		r.lines = newLineReader(in)
	}
	seen := map[string]bool{}
	for _, c := range o.Columns {
		if !slices.Contains(o.Fields, c.Field) {
			return nil, fmt.Errorf("column: %s=%s: %q is not a field; use one of %s", c.Name, c.Field, c.Field, strings.Join(o.Fields, ", "))
		}
		if seen[c.Field] && !o.Repeat {
			return nil, fmt.Errorf("column: the field %s is mapped twice; map it once", c.Field)
		}
		seen[c.Field] = true
	}
	if o.Format != FormatCSV && o.Format != FormatNDJSON && len(o.Columns) > 0 {
		return nil, fmt.Errorf("column: a file of format %s has no columns; use --format csv or ndjson", o.Format)
	}
	if o.Format.Source() != "" && !slices.Contains(o.Fields, "reference") {
		return nil, fmt.Errorf("format: %s is of lists that are imported; use values, csv, ndjson or ipsum", o.Format)
	}
	switch o.Format {
	case FormatValues, FormatIPsum:
		r.Columns = []Column{{Name: o.Identity, Field: o.Identity}}
	case FormatUN:
		un, err := newUNReader(in)
		if err != nil {
			return nil, err
		}
		r.parties, r.Columns, r.once, r.dated = un, partyColumns, true, un.made
	case FormatOFAC:
		r.parties, r.Columns, r.once = newSDNReader(in), partyColumns, true
	case FormatCSV:
		if err := r.header(o.Fields); err != nil {
			return nil, err
		}
	case FormatNDJSON:
		if len(o.Columns) == 0 {
			r.strict = true
			for _, field := range o.Fields {
				r.Columns = append(r.Columns, Column{Name: field, Field: field})
			}
		}
	}
	r.once = r.once || !r.strict && (r.has("listed") || r.has("delisted"))
	return r, nil
}

// lineOf is the line of a row that could not be read.
func (r *RowReader) lineOf(row Row) int {
	if r.lines == nil {
		return row.Line
	}
	return r.lines.number + 1
}

// Delists reports whether records say when the source took them back.
func (r *RowReader) Delists() bool { return r.has("delisted") }

func (r *RowReader) has(field string) bool {
	return slices.ContainsFunc(r.Columns, func(c Column) bool { return c.Field == field })
}

// kinds are those that the layout says its identifiers are of. A record of an
// NDJSON file without columns names its own.
func (r *RowReader) kinds(value risk.Kind) (kinds []risk.Kind) {
	for _, c := range r.Columns {
		if kind, err := risk.ParseKind(c.Field); err == nil && r.only != 0 && kind != r.only {
			continue
		} else if err == nil && !r.strict {
			kinds = append(kinds, kind)
		} else if c.Field == "value" && value != 0 {
			kinds = append(kinds, value)
		}
	}
	return kinds
}

func (r *RowReader) header(fields []string) error {
	rec, err := nextRecord(r.lines)
	switch {
	case isEnd(err):
		return errors.New("file: is empty; a CSV file begins with a header")
	case err != nil:
		return err
	case rec.fault != "":
		return fmt.Errorf("line %d: header: %s", rec.line, rec.fault)
	}
	r.width = len(rec.fields)
	if len(r.Columns) == 0 {
		for _, name := range rec.fields {
			if !slices.Contains(fields, name) {
				return fmt.Errorf("line %d: header: %q is not a field; say which columns to use with --column NAME=FIELD", rec.line, name)
			}
			r.Columns = append(r.Columns, Column{Name: name, Field: name})
		}
	}
	for _, name := range rec.fields {
		named := func(c Column) bool { return c.Name == name || c.Field == name }
		if slices.Contains(fields, name) && !slices.ContainsFunc(r.Columns, named) {
			r.Unused = append(r.Unused, name)
		}
	}
	for _, c := range r.Columns {
		at := slices.Index(rec.fields, c.Name)
		if at < 0 {
			return fmt.Errorf("column: %q is not in the header; it has %s", c.Name, strings.Join(rec.fields, ", "))
		}
		r.at = append(r.at, at)
	}
	return nil
}

// Next gives io.EOF after the last record; any other error is of the file. A
// record that is not well-formed has a Fault instead.
func (r *RowReader) Next() (Row, error) {
	switch {
	case r.parties != nil:
		return r.nextParty()
	case r.format == FormatCSV:
		return r.nextCSV()
	}
	for {
		l, err := r.lines.next()
		if err != nil {
			return Row{}, err
		}
		row := Row{Line: l.number, Text: l.text, Fault: l.fault}
		text := strings.TrimSpace(l.text)
		if row.Fault != "" {
			return row, nil
		}
		if text == "" || text[0] == '#' && r.format != FormatNDJSON {
			continue
		}
		switch r.format {
		case FormatNDJSON:
			r.object(&row, text)
		case FormatIPsum:
			ipsum(&row, text)
		default:
			row.Cells = []string{text}
		}
		return row, nil
	}
}

func (r *RowReader) nextCSV() (Row, error) {
	rec, err := nextRecord(r.lines)
	row := Row{Line: rec.line, Text: rec.text, Fault: rec.fault}
	if err != nil || rec.fault != "" {
		return row, err
	}
	if len(rec.fields) != r.width {
		row.Fault = fmt.Sprintf("the record has %d fields and the header %d; give each column a value or nothing", len(rec.fields), r.width)
		return row, nil
	}
	row.Cells = make([]string, len(r.at))
	for i, at := range r.at {
		row.Cells[i] = strings.TrimSpace(rec.fields[at])
	}
	return row, nil
}

func ipsum(row *Row, text string) {
	parts := strings.Fields(text)
	if len(parts) > 2 {
		row.Fault = "more than an identifier and a count stand on the line; write IDENTIFIER<TAB>COUNT"
		return
	}
	if len(parts) == 2 {
		if _, err := strconv.ParseUint(parts[1], 10, 32); err != nil {
			row.Fault = "the second column is not a count; write IDENTIFIER<TAB>COUNT"
			return
		}
	}
	row.Cells = parts[:1]
}

// object reads a flat JSON object: texts, numbers, truth values and null.
func (r *RowReader) object(row *Row, text string) {
	var object map[string]any
	decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
	decoder.UseNumber()
	if err := decoder.Decode(&object); err != nil || object == nil {
		row.Fault = "not a JSON object; write one object a line"
		return
	}
	if _, err := decoder.Token(); !isEnd(err) {
		row.Fault = "more than one JSON object stands on the line; write one object a line"
		return
	}
	cells := make([]string, len(r.Columns))
	found := 0
	for i, c := range r.Columns {
		value, ok := object[c.Name]
		if !ok {
			continue
		}
		found++
		if cells[i], ok = scalar(value); !ok {
			row.Fault = c.Name + ": must be a text or a number"
			return
		}
	}
	if r.strict && found < len(object) {
		row.Fault = r.unknownKey(object) + ": is not a field; say which keys to use with --column NAME=FIELD"
		return
	}
	row.Cells = cells
}

func (r *RowReader) unknownKey(object map[string]any) string {
	var unknown []string
	for key := range object {
		if !slices.ContainsFunc(r.Columns, func(c Column) bool { return c.Name == key }) {
			unknown = append(unknown, key)
		}
	}
	return strconv.Quote(slices.Min(unknown))
}

func scalar(value any) (string, bool) {
	switch v := value.(type) {
	case nil:
		return "", true
	case string:
		return strings.TrimSpace(v), true
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	default:
		return "", false
	}
}

func isEnd(err error) bool { return errors.Is(err, io.EOF) }
