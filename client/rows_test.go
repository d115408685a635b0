package client_test

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/risknet/risknet/client"
)

var testFields = []string{"value", "note", "level"}

func readRows(text string, o client.RowOptions) (rows []string, err error) {
	if o.Fields == nil {
		o.Fields = testFields
	}
	if o.Identity == "" {
		o.Identity = "value"
	}
	r, err := client.NewRowReader(strings.NewReader(text), o)
	if err != nil {
		return nil, err
	}
	for {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return rows, err
		}
		if row.Fault != "" {
			rows = append(rows, fmt.Sprintf("%d fault", row.Line))
			continue
		}
		rows = append(rows, fmt.Sprintf("%d %s", row.Line, strings.Join(row.Cells, "|")))
	}
}

func TestRowsAndTheirPhysicalLines(t *testing.T) {
	csv := client.RowOptions{Format: client.FormatCSV, Columns: columns("v=value", "n=note")}
	values := client.RowOptions{Format: client.FormatValues}
	ndjson := client.RowOptions{Format: client.FormatNDJSON, Columns: columns("v=value", "n=note")}
	for _, c := range []struct {
		name, text string
		options    client.RowOptions
		want       []string
	}{
		{"values", "a\n# c\n\n b \nlast", values, []string{"1 a", "4 b", "5 last"}},
		{"carriage returns and a byte order mark", "\xef\xbb\xbfa\r\nb\r\n", values, []string{"1 a", "2 b"}},
		{"not UTF-8", "a\n\xffb\nc", values, []string{"1 a", "2 fault", "3 c"}},
		{"an overlong line", "a\n" + strings.Repeat("x", 70_000) + "\nb", values, []string{"1 a", "2 fault", "3 b"}},
		{"an overlong last line", "a\n" + strings.Repeat("x", 200_000), values, []string{"1 a", "2 fault"}},
		{"csv in another order", "x,n,v\n1,two,three\n", csv, []string{"2 three|two"}},
		{"csv: a record over three lines", "v,n\na,\"1\n2\n3\"\nb,x\n", csv, []string{"2 a|1\n2\n3", "5 b|x"}},
		{"csv: quotes and commas", "v,n\n\"a\"\"b\",\"c,d\"\n", csv, []string{"2 a\"b|c,d"}},
		{"csv: blank lines", "v,n\n\na,b\n\n\nc,d\n", csv, []string{"3 a|b", "6 c|d"}},
		{"csv: too few and too many fields", "v,n\na\nb,c\nd,e,f\n", csv, []string{"2 fault", "3 b|c", "4 fault"}},
		{"csv: a bare quote", "v,n\na,b\"c\nd,e\n", csv, []string{"2 fault", "3 d|e"}},
		{"csv: a quote that never closes", "v,n\n\"a,b\nc,d\ne,f\n", csv, []string{"2 fault", "3 c|d", "4 e|f"}},
		{"csv: a stray quote that the next one closes", "v,n\n\"a,b\n\"c\",d\ne,f\n", csv, []string{"2 fault", "3 c|d", "4 e|f"}},
		{"csv: a quote that stands open for a hundred lines", "v,n\n\"a,b\n" + strings.Repeat("c,d\n", 100), csv,
			append([]string{"2 fault"}, numbered(3, 100, "c|d")...)},
		{"ndjson", `{"v":"a","n":1.50,"z":[1]}` + "\n\n" + `{"n":null,"v":true}`, ndjson, []string{"1 a|1.50", "3 true|"}},
		{"ndjson: what is no flat object", "[]\nnull\n{\"v\":{}}\n{\"v\":1}{\"v\":2}\n{\"v\":\n{\"v\":3}", ndjson,
			[]string{"1 fault", "2 fault", "3 fault", "4 fault", "5 fault", "6 3|"}},
		{"ndjson without columns refuses unknown keys", `{"value":"a"}` + "\n" + `{"value":"b","colour":"red"}`,
			client.RowOptions{Format: client.FormatNDJSON}, []string{"1 a||", "2 fault"}},
		{"csv without columns", "note,value\nx,a\n", client.RowOptions{Format: client.FormatCSV}, []string{"2 x|a"}},
		{"ipsum", "#\n1.2.3.4\t7\n5.6.7.8\na b c\nd x\n", client.RowOptions{Format: client.FormatIPsum},
			[]string{"2 1.2.3.4", "3 5.6.7.8", "4 fault", "5 fault"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := readRows(c.text, c.options)
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("got  %q (%v)\nwant %q", got, err, c.want)
			}
		})
	}
}

func numbered(from, count int, cells string) (rows []string) {
	for i := range count {
		rows = append(rows, fmt.Sprintf("%d %s", from+i, cells))
	}
	return rows
}

func TestColumnsThatCannotBe(t *testing.T) {
	for _, c := range []struct {
		name, text string
		options    client.RowOptions
		says       string
	}{
		{"no such column", "a,b\n", client.RowOptions{Format: client.FormatCSV, Columns: columns("c=value")}, `"c" is not in the header`},
		{"no such field", "a,b\n", client.RowOptions{Format: client.FormatCSV, Columns: columns("a=colour")}, `"colour" is not a field`},
		{"a field twice", "a,b\n", client.RowOptions{Format: client.FormatCSV, Columns: columns("a=note", "b=note")}, "mapped twice"},
		{"a header of other names", "a,b\n", client.RowOptions{Format: client.FormatCSV}, `"a" is not a field`},
		{"an empty file", "", client.RowOptions{Format: client.FormatCSV}, "empty"},
		{"columns of values", "a", client.RowOptions{Format: client.FormatValues, Columns: columns("a=note")}, "no columns"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := readRows(c.text, c.options); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
	for _, text := range []string{"", "=", "a=", "=b", "a"} {
		if _, err := client.ParseColumn(text); err == nil {
			t.Errorf("column %q was taken", text)
		}
	}
	if c, err := client.ParseColumn("a=b=ip"); err != nil || c != (client.Column{Name: "a=b", Field: "ip"}) {
		t.Errorf("a name with an equals sign: %v %v", c, err)
	}
}

func TestAFileThatCannotBeReadIsNoEnd(t *testing.T) {
	broken := errors.New("disk")
	in := io.MultiReader(strings.NewReader("a\nb\n"), iotest.ErrReader(broken))
	r, err := client.NewRowReader(in, client.RowOptions{Format: client.FormatValues, Identity: "value"})
	for err == nil {
		_, err = r.Next()
	}
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

// FuzzRows: whatever the file, reading ends, line numbers rise, and a record has
// a cell for each column or a fault.
func FuzzRows(f *testing.F) {
	for _, seed := range []string{"v,n\na,\"b\nc\"\n", "\"", "v,n\n\"\"\"\n,\n", `{"v":1}`, "1.2.3.4\t5\n", "\xef\xbb\xbf#\n\r\n"} {
		f.Add(seed)
	}
	formats := []client.Format{client.FormatValues, client.FormatCSV, client.FormatNDJSON, client.FormatIPsum}
	f.Fuzz(func(t *testing.T, text string) {
		for _, format := range formats {
			r, err := client.NewRowReader(strings.NewReader(text), client.RowOptions{Format: format, Fields: testFields, Identity: "value"})
			if err != nil {
				continue
			}
			last, lines := 0, strings.Count(text, "\n")+1
			for {
				row, err := r.Next()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if row.Line <= last || row.Line > lines {
					t.Fatalf("%s: line %d after %d of %d", format, row.Line, last, lines)
				}
				if last = row.Line; row.Fault == "" && len(row.Cells) != len(r.Columns) {
					t.Fatalf("%s: %d cells for %d columns", format, len(row.Cells), len(r.Columns))
				}
			}
		}
	})
}
