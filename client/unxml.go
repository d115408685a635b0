package client

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/risknet/risknet/risk"
)

// unReader reads the consolidated list of the UN Security Council, whose schema
// is at https://www.un.org/sc/resources/sc-sanctions.xsd: an INDIVIDUAL or an
// ENTITY after the other, of which one is in memory at a time.
type unReader struct {
	in   *bounded
	xml  *xml.Decoder
	made string // when the list was generated
}

// maxPartyBytes bounds what is read for one record; the longest have 10 KiB.
const maxPartyBytes = 1 << 20

// bounded gives an error after so many bytes.
type bounded struct {
	in   io.Reader
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("a record is longer than %d bytes", maxPartyBytes)
	}
	n, err := b.in.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

type unParty struct {
	DataID      string       `xml:"DATAID"`
	First       string       `xml:"FIRST_NAME"`
	Second      string       `xml:"SECOND_NAME"`
	Third       string       `xml:"THIRD_NAME"`
	Fourth      string       `xml:"FOURTH_NAME"`
	Script      string       `xml:"NAME_ORIGINAL_SCRIPT"`
	Reference   string       `xml:"REFERENCE_NUMBER"`
	Listed      string       `xml:"LISTED_ON"`
	Nationality []string     `xml:"NATIONALITY>VALUE"`
	Aliases     []string     `xml:"INDIVIDUAL_ALIAS>ALIAS_NAME"`
	Others      []string     `xml:"ENTITY_ALIAS>ALIAS_NAME"`
	Documents   []unDocument `xml:"INDIVIDUAL_DOCUMENT"`
}

type unDocument struct {
	Type   string `xml:"TYPE_OF_DOCUMENT"`
	Exact  string `xml:"TYPE_OF_DOCUMENT2"`
	Number string `xml:"NUMBER"`
	Issuer string `xml:"ISSUING_COUNTRY"`
	At     string `xml:"COUNTRY_OF_ISSUE"`
}

// newUNReader reads up to the root element.
func newUNReader(in io.Reader) (*unReader, error) {
	r := &unReader{in: &bounded{in, maxPartyBytes}}
	r.xml = xml.NewDecoder(r.in)
	for {
		token, err := r.xml.Token()
		if isEnd(err) {
			return nil, errors.New("file: is empty; a file of format un-xml is the UN consolidated list in XML")
		}
		if err != nil {
			return nil, fmt.Errorf("file: is not XML: %w", err)
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		if start.Name.Local != "CONSOLIDATED_LIST" {
			return nil, fmt.Errorf("file: begins with <%s>; a file of format un-xml begins with <CONSOLIDATED_LIST>", start.Name.Local)
		}
		for _, a := range start.Attr {
			if a.Name.Local == "dateGenerated" {
				r.made = a.Value
			}
		}
		return r, nil
	}
}

func (r *unReader) next() (party, error) {
	r.in.left = maxPartyBytes
	for {
		line, _ := r.xml.InputPos()
		token, err := r.xml.Token()
		if err != nil {
			return party{line: line}, err
		}
		start, ok := token.(xml.StartElement)
		if !ok || start.Name.Local != "INDIVIDUAL" && start.Name.Local != "ENTITY" {
			continue
		}
		var un unParty
		if err := r.xml.DecodeElement(&un, &start); err != nil {
			return party{line: line}, err
		}
		return un.party(line, start.Name.Local == "INDIVIDUAL"), nil
	}
}

func (un *unParty) party(line int, person bool) party {
	p := party{line: line, reference: oneSpaced(un.Reference), listed: oneSpaced(un.Listed)}
	if p.reference == "" {
		p.reference = oneSpaced(un.DataID)
	}
	if len(p.listed) > len("2026-01-31") {
		p.listed = p.listed[:len("2026-01-31")] // some have a time zone, and no time
	}
	kind := risk.KindCompany
	if person {
		kind = risk.KindPerson
	}
	p.names(kind, strings.Join([]string{un.First, un.Second, un.Third, un.Fourth}, " "))
	for _, name := range append(append([]string{un.Script}, un.Aliases...), un.Others...) {
		p.names(kind, name)
	}
	for _, d := range un.Documents {
		if oneSpaced(d.Number) == "" {
			continue // the schema has an empty element where there is no document
		}
		country := d.Issuer
		if oneSpaced(country) == "" {
			country = d.At
		}
		p.document(paper{called: []string{d.Exact, d.Type}, number: d.Number, country: country, nations: un.Nationality})
	}
	return p
}
