package client

import (
	"cmp"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/risknet/risknet/risk"
)

// A published list has a record for each person or company, and a record names
// several identifiers of several kinds. Each becomes a row of its own, which is
// accepted or rejected by itself.

// partyReader gives a list's records one after the other, and io.EOF after the
// last.
type partyReader interface{ next() (party, error) }

// party is one record of a list.
type party struct {
	line      int // the physical line on which it begins
	reference string
	listed    string
	ids       []identifier
}

// identifier is one of a party's. With a fault it cannot be listed.
type identifier struct {
	kind  risk.Kind
	value string
	text  string // as it stands in the source
	fault string
}

// partyColumns are what the rows of a list are made of.
var partyColumns = func() (columns []Column) {
	for _, kind := range []risk.Kind{risk.KindPerson, risk.KindCompany, risk.KindEmail, risk.KindDomain,
		risk.KindIP, risk.KindURL, risk.KindPhone, risk.KindWallet} {
		columns = append(columns, Column{Name: kind.String(), Field: kind.String()})
	}
	return append(columns, Column{Name: "reference", Field: "reference"}, Column{Name: "listed", Field: "listed"})
}()

func (p *party) rows() []Row {
	rows := make([]Row, len(p.ids))
	for i, id := range p.ids {
		row := Row{Line: p.line, Text: strings.TrimPrefix(p.reference+": "+id.text, ": "), Fault: id.fault}
		if row.Fault == "" {
			row.Cells = make([]string, len(partyColumns))
			row.Cells[slices.IndexFunc(partyColumns, func(c Column) bool { return c.Field == id.kind.String() })] = id.value
			row.Cells[len(row.Cells)-2], row.Cells[len(row.Cells)-1] = p.reference, p.listed
		}
		rows[i] = row
	}
	return rows
}

// nextParty gives the next row of the record, or the first of the next one.
func (r *RowReader) nextParty() (Row, error) {
	for len(r.queue) == 0 {
		p, err := r.parties.next()
		if err != nil {
			return Row{Line: p.line}, err
		}
		if r.only != 0 { // what cannot be read may be of any kind, and is said
			p.ids = slices.DeleteFunc(p.ids, func(id identifier) bool { return id.kind != 0 && id.kind != r.only })
		}
		r.queue = p.rows()
	}
	row := r.queue[0]
	r.queue = r.queue[1:]
	return row, nil
}

// names adds what a party is called. What stands in brackets explains a name, and
// a semicolon parts two.
func (p *party) names(kind risk.Kind, text string) {
	for _, name := range strings.Split(oneSpaced(text), ";") {
		name = strings.TrimSpace(name)
		bare := name
		if before, inside, found := strings.Cut(name, "("); found && strings.HasSuffix(inside, ")") && strings.TrimSpace(before) != "" {
			bare = strings.TrimSpace(before)
		}
		if name != "" && !strings.EqualFold(name, "na") {
			p.ids = append(p.ids, identifier{kind: kind, value: "name/" + bare, text: name})
		}
	}
}

// site adds a web site: its host with all below it, or one page of it.
func (p *party) site(text string) {
	id := identifier{kind: risk.KindURL, value: text, text: text}
	if !strings.Contains(text, "://") {
		id.value = "https://" + text
	}
	if u, err := url.Parse(id.value); err == nil && strings.Trim(u.Path, "/") == "" && u.RawQuery == "" {
		id.kind, id.value = risk.KindDomain, u.Hostname()
		if _, err := netip.ParseAddr(id.value); err == nil {
			id.kind = risk.KindIP
		} else if bare, www := strings.CutPrefix(strings.ToLower(id.value), "www."); www && strings.Contains(bare, ".") {
			id.value = bare
		}
	}
	p.ids = append(p.ids, id)
}

// phone adds a number. Lists write most without the leading +; what is long
// enough to have a country code is taken to have one.
func (p *party) phone(text string) {
	id := identifier{kind: risk.KindPhone, value: text, text: text}
	digits := strings.Map(func(c rune) rune {
		if '0' <= c && c <= '9' {
			return c
		}
		return -1
	}, text)
	switch {
	case strings.HasPrefix(text, "+") || strings.HasPrefix(digits, "00"):
	case strings.HasPrefix(text, "(") || len(digits) >= 11 && digits[0] != '0':
		id.value = "+" + text
	default:
		id.fault = "phone: has no country code; list it by hand like +86 138 0013 8000"
	}
	p.ids = append(p.ids, id)
}

// documents maps a word of what a document is called to the name under which it
// is listed. The first that stands in the text decides.
var documents = []struct{ word, name string }{
	{"driv", "DRIVING-LICENCE"}, {"travel doc", "TRAVEL-DOCUMENT"}, {"laissez", "TRAVEL-DOCUMENT"},
	{"passport", "PASSPORT"}, {"passeport", "PASSPORT"}, {"pasaporte", "PASSPORT"},
	{"social security", "SOCIAL-SECURITY"}, {"ssn", "SOCIAL-SECURITY"}, {"birth", "BIRTH-CERTIFICATE"},
	{"ration card", "RATION-CARD"}, {"military", "MILITARY-ID"}, {"servicem", "MILITARY-ID"}, {"fardc", "MILITARY-ID"},
	{"voter", "VOTER-ID"}, {"student", "STUDENT-ID"}, {"fiscal", "TAX-ID"}, {"alien", "RESIDENCE"}, {"resid", "RESIDENCE"},
	{"of nationality", "NATIONALITY"}, {"iraqi nationality", "NATIONALITY"},
	{"identi", "ID"}, {"national", "ID"}, {"cedula", "ID"}, {"d.n.i.", "ID"}, {"c.u.r.p.", "ID"}, {"personal id", "ID"}, {"citizen", "ID"},
}

// documentOf gives the name of what the most exact of some texts calls a document.
func documentOf(texts ...string) string {
	for _, text := range texts {
		text = strings.ToLower(oneSpaced(text))
		for _, d := range documents {
			if strings.Contains(text, d.word) {
				return d.name
			}
		}
	}
	return ""
}

// paper is a document as a list describes it.
type paper struct {
	called  []string // what it is called, the most exact first
	number  string   // the number, perhaps among words
	country string   // who issued it, by an English name
	nations []string // of which the party is a national
}

// The words that may stand before a number without saying who issued it.
const paperWords = " diplomatic service provisional passport national identity identification card personal social security number no "

// document adds an identity document as country/document/number. A passport that
// says nothing of its issuer is of the one country whose national the party is.
func (p *party) document(d paper) {
	text := oneSpaced(strings.Join([]string{d.called[len(d.called)-1], d.number}, " "))
	if d.country != "" {
		text += " (" + oneSpaced(d.country) + ")"
	}
	id := identifier{kind: risk.KindPerson, text: text}
	words, number, inside := splitNumber(d.number)
	country := countryOf(d.country)
	for _, name := range []string{inside, words} {
		if country == "" && d.country == "" {
			country = countryBefore(name)
		}
	}
	told := d.country == "" && slices.ContainsFunc(strings.Fields(words), func(word string) bool {
		return !strings.Contains(paperWords, " "+strings.ToLower(strings.Trim(word, ".:"))+" ")
	})
	if country == "" && d.country == "" && !told && len(d.nations) == 1 {
		country = countryOf(d.nations[0])
	}
	kind := documentOf(append([]string{words}, d.called...)...)
	switch {
	case kind == "":
		id.fault = "person: it is not clear what document this is; list it by hand as country/document/number"
	case country == "":
		id.fault = "person: it is not clear which country issued this; list it by hand as country/document/number"
	case number == "":
		id.fault = "person: the number stands among words; list it by hand as country/document/number"
	}
	id.value = country + "/" + kind + "/" + number
	p.ids = append(p.ids, id)
}

// splitNumber parts words from the number that they introduce, and from what
// stands in brackets or behind a comma. The number is empty where that is not
// certain.
func splitNumber(text string) (words, number, inside string) {
	text = oneSpaced(text)
	if at := strings.LastIndexByte(text, '('); at > 0 && strings.HasSuffix(text, ")") {
		text, inside = strings.TrimSpace(text[:at]), text[at+1:len(text)-1]
	}
	if before, after, found := strings.Cut(text, ", "); found {
		text, inside = before, cmp.Or(inside, after)
	}
	fields := strings.Fields(strings.ReplaceAll(text, "#", " "))
	first := slices.IndexFunc(fields, hasDigit)
	if first < 0 {
		return text, "", inside
	}
	// Letters before the digits belong to the number, as in PS 472330208.
	for first > 0 && letters(fields[first-1]) <= 3 && !strings.EqualFold(strings.Trim(fields[first-1], ".:"), "no") {
		first--
	}
	number = strings.ReplaceAll(strings.Join(fields[first:], " "), "/", "-")
	for _, field := range fields[first:] {
		if strings.ContainsFunc(field, oddInNumber) || !hasDigit(field) && letters(field) > 3 || strings.EqualFold(strings.Trim(field, ".:"), "no") {
			number = ""
		}
	}
	return strings.Join(fields[:first], " "), number, inside
}

// countryBefore finds a country at the beginning of a text.
func countryBefore(text string) string {
	fields := strings.Fields(text)
	for n := len(fields); n > 0; n-- {
		if code := countryOf(strings.Join(fields[:n], " ")); code != "" {
			return code
		}
	}
	return ""
}

func hasDigit(text string) bool { return strings.ContainsFunc(text, unicode.IsDigit) }

func letters(text string) (n int) {
	for _, c := range text {
		if unicode.IsLetter(c) {
			n++
		}
	}
	return n
}

func oddInNumber(c rune) bool {
	return !unicode.IsLetter(c) && !unicode.IsDigit(c) && !strings.ContainsRune("-/.", c)
}

func oneSpaced(text string) string { return strings.Join(strings.Fields(text), " ") }
