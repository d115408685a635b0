package client_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/risk"
)

func fixture(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// partyRows prints what a published list names, one identifier a line: its place,
// kind, value, reference and day, or its place and what is wrong with it.
func partyRows(t testing.TB, format client.Format, text string) (rows []string, err error) {
	t.Helper()
	report := client.NewReport(0, time.Now())
	r, err := report.OpenRows(strings.NewReader(text), time.Time{}, client.RowOptions{Format: format})
	for err == nil {
		var row client.Row
		if row, err = r.Next(); err != nil {
			break
		}
		if row.Fault != "" {
			rows = append(rows, fmt.Sprintf("%d %s! %s", row.Line, row.Text, row.Fault))
			continue
		}
		line := fmt.Sprint(row.Line)
		for i, c := range r.Columns {
			if row.Cells[i] != "" {
				line += fmt.Sprintf(" %s=%s", c.Field, row.Cells[i])
			}
		}
		rows = append(rows, line)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return rows, err
}

func TestWhatAUNListNames(t *testing.T) {
	got, err := partyRows(t, client.FormatUN, fixture(t, "consolidated.xml"))
	want := []string{
		"5 person=name/Testa de Exemplo reference=XXi.001 listed=2012-12-31",
		"5 person=name/测试 甲 reference=XXi.001 listed=2012-12-31",
		"5 person=name/T. Exemplo reference=XXi.001 listed=2012-12-31",
		"5 person=name/Testa Example reference=XXi.001 listed=2012-12-31",
		"5 person=GW/PASSPORT/TX 000-123 reference=XXi.001 listed=2012-12-31",
		"5 person=TR/PASSPORT/TX000777 reference=XXi.001 listed=2012-12-31",
		"5 person=TT/DRIVING-LICENCE/892B reference=XXi.001 listed=2012-12-31",
		"5 XXi.001: Passport Ruritanian passport number RX1! person: it is not clear which country issued this; list it by hand as country/document/number",
		"5 person=LY/PASSPORT/B-00 reference=XXi.001 listed=2012-12-31",
		"5 XXi.001: Passport 12 (Ruritania)! person: it is not clear which country issued this; list it by hand as country/document/number",
		"25 person=name/T. EXEMPLO reference=1000002 listed=2011-03-22",
		"32 company=name/EXAMPLE TRADING CO. reference=XXe.001 listed=2014-06-30",
		"32 company=name/Sample & Sons reference=XXe.001 listed=2014-06-30",
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s\n(%v), want\n%s", strings.Join(got, "\n"), err, strings.Join(want, "\n"))
	}
}

func TestWhatTheTreasurysListNames(t *testing.T) {
	got, err := partyRows(t, client.FormatOFAC, fixture(t, "sdn.csv"))
	want := []string{
		"1 company=name/EXAMPLE LINES reference=1",
		"2 person=name/Testa de EXAMPLE reference=2",
		"2 person=KP/PASSPORT/TX1 reference=2",
		"2 person=CU/PASSPORT/TX2 reference=2",
		"2 person=IR/PASSPORT/TX3 reference=2",
		"2 person=CO/ID/1.234 reference=2",
		"2 email=testa@example.com reference=2",
		"2 email=testa@EXAMPLE.com reference=2",
		"2 phone=+(357)(22660766) reference=2",
		"2 2: 03669! phone: has no country code; list it by hand like +86 138 0013 8000",
		"2 person=name/THE SAMPLE reference=2",
		"3 company=name/EXAMPLE WEB reference=3",
		"3 domain=example.com reference=3",
		"3 url=https://www.example.net/about reference=3",
		"3 ip=192.0.2.7 reference=3",
		"3 wallet=ETC:0x52908400098527886E0F7030069857D2E4169EE7 reference=3",
		"3 wallet=XBT:1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2 reference=3",
		"3 wallet=XBT:1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN3 reference=3",
		"4 4: SAMPLE SHIP! no kind of identifier is for the name of something of type vessel; list what is known of its owner",
		"5 person=name/Tale LONG reference=5",
		"5 5: Passport TX9! the remarks end here after 1000 characters, within a word; list it by hand",
		"5 email=long@example.com reference=5",
		`6 6,"SHORT"! the record has 2 columns; one of sdn.csv has 12`,
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s\n(%v), want\n%s", strings.Join(got, "\n"), err, strings.Join(want, "\n"))
	}
}

func TestImportingAPublishedListCountsItsIdentifiers(t *testing.T) {
	for _, c := range []struct {
		format     client.Format
		file       string
		want, then string
	}{
		{client.FormatUN, "consolidated.xml", "read 13 accepted 10 unchanged 1 revised 0 extended 0 rejected 2",
			"read 13 accepted 0 unchanged 11 revised 0 extended 0 rejected 2"},
		{client.FormatOFAC, "sdn.csv", "read 23 accepted 17 unchanged 1 revised 0 extended 0 rejected 5",
			"read 23 accepted 0 unchanged 18 revised 0 extended 0 rejected 5"},
	} {
		n := newNetwork(t)
		text, o := fixture(t, c.file), client.RowOptions{Format: c.format}
		if got := importText(t, nil, 0, text, o); got.counts() != c.want || got.err != nil {
			t.Errorf("%s, dry: %s (%v)\nwant %s", c.format, got.counts(), got.err, c.want)
		}
		if got := importText(t, n, 0, text, o); got.counts() != c.want || got.err != nil {
			t.Errorf("%s: %s (%v)\nwant %s\n%v", c.format, got.counts(), got.err, c.want, got.rejects)
		}
		if got := importText(t, n, 0, text, o); got.counts() != c.then || got.err != nil {
			t.Errorf("%s again: %s (%v)\nwant %s", c.format, got.counts(), got.err, c.then)
		}
	}
}

func TestANameIsAWeakIdentifierWhateverIsAsked(t *testing.T) {
	for _, c := range []struct {
		kind     risk.Kind
		value    string
		set      []string
		category string
		advice   risk.Advice
	}{
		{risk.KindPerson, "name/Testa Example", nil, risk.CategoryName, risk.StepUp},
		{risk.KindCompany, "name/Example Trading", []string{"advice", "deny", "category", "fraud"}, risk.CategoryName, risk.StepUp},
		{risk.KindPerson, "name/Testa Example", []string{"list", "watch"}, risk.CategoryName, risk.Observe},
		{risk.KindPerson, "FR/PASSPORT/TX1", []string{"category", "fraud"}, "fraud", risk.Deny},
	} {
		n := newNetwork(t)
		got := importText(t, n, c.kind, c.value, client.RowOptions{Format: client.FormatValues}, c.set...)
		if got.Accepted != 1 {
			t.Fatalf("%s: %s %v", c.value, got.counts(), got.rejects)
		}
		for _, body := range n.bodies {
			content, err := risk.DecodeListingBody(body.Data)
			if err != nil || content.Category != c.category || content.Action != c.advice {
				t.Errorf("%s %v: category %q, advice %v (%v)", c.value, c.set, content.Category, content.Action, err)
			}
		}
	}
}

func TestAListSaysWhenItWasMadeAndWhen(t *testing.T) {
	changed := time.UnixMilli(1000)
	report := client.NewReport(0, time.Now())
	text := fixture(t, "consolidated.xml")
	if _, err := report.OpenRows(strings.NewReader(text), changed, client.RowOptions{Format: client.FormatUN}); err != nil {
		t.Fatal(err)
	}
	if made := time.Date(2026, 2, 27, 0, 0, 9, 554e6, time.UTC); report.Item.SourceDate != made.UnixMilli() {
		t.Errorf("source date %d, want %s", report.Item.SourceDate, made)
	}
	report = client.NewReport(0, time.Now())
	if _, err := report.OpenRows(strings.NewReader(fixture(t, "sdn.csv")), changed, client.RowOptions{Format: client.FormatOFAC}); err != nil || report.Item.SourceDate != 1000 {
		t.Errorf("source date %d (%v), want when the file was changed", report.Item.SourceDate, err)
	}
}

func TestFilesThatAreNoPublishedList(t *testing.T) {
	un := fixture(t, "consolidated.xml")
	for _, c := range []struct{ name, text, says string }{
		{"empty", "", "empty"},
		{"a page", "<html><body>404</body></html>", "begins with <html>"},
		{"not XML", "domain,listed_on\n<", "not XML"},
		{"cut off", un[:len(un)-700], "unexpected EOF"},
		{"one record without end", "<CONSOLIDATED_LIST><INDIVIDUAL><COMMENTS1>" + strings.Repeat("x", 1<<21), "longer than 1048576 bytes"},
		{"in another encoding", `<?xml version="1.0" encoding="ISO-8859-1"?><CONSOLIDATED_LIST/>`, "encoding"},
	} {
		if _, err := partyRows(t, client.FormatUN, c.text); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", c.name, err, c.says)
		}
	}
	_, err := client.NewRowReader(strings.NewReader(un), client.RowOptions{Format: client.FormatUN, Fields: client.QuestionFields()})
	if err == nil || !strings.Contains(err.Error(), "lists that are imported") {
		t.Errorf("as checks: %v", err)
	}
}

func TestAListMayBeLongerThanItsRecordsMayBe(t *testing.T) {
	record := "<ENTITY><FIRST_NAME>Sample</FIRST_NAME><COMMENTS1>" + strings.Repeat("x", 600_000) + "</COMMENTS1></ENTITY>"
	rows, err := partyRows(t, client.FormatUN, "<CONSOLIDATED_LIST>"+strings.Repeat(record, 4)+"</CONSOLIDATED_LIST>")
	if err != nil || len(rows) != 4 {
		t.Errorf("%d rows (%v)", len(rows), err)
	}
}

// FuzzParties: whatever the file, reading ends, and each row has its cells or a
// fault.
func FuzzParties(f *testing.F) {
	f.Add([]byte(fixture(f, "consolidated.xml")))
	f.Add([]byte(fixture(f, "sdn.csv")))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, format := range []client.Format{client.FormatUN, client.FormatOFAC} {
			r, err := client.NewRowReader(bytes.NewReader(data), client.RowOptions{Format: format, Fields: client.ReportFields()})
			for rows := 0; err == nil; rows++ {
				var row client.Row
				if row, err = r.Next(); err == nil && row.Fault == "" && len(row.Cells) != len(r.Columns) {
					t.Fatalf("%s: %d cells", format, len(row.Cells))
				}
				if rows > len(data) {
					t.Fatalf("%s: more rows than bytes", format)
				}
			}
		}
	})
}
