package client

import (
	"fmt"
	"io"
	"strings"

	"github.com/risknet/risknet/risk"
)

// sdnReader reads sdn.csv of the US Treasury's list of specially designated
// nationals: twelve columns without a header, -0- where there is nothing. All
// identifiers but the name stand in the remarks, which
// https://ofac.treasury.gov/specially-designated-nationals-list-data-formats-data-schemas
// leaves to words.
type sdnReader struct{ lines *lineReader }

const (
	sdnColumns = 12
	// sdnRemarks is the longest remark; what was longer is cut off there.
	sdnRemarks = 1000
	sdnNothing = "-0-"
	sdnEnd     = "\x1a" // closes the file, as under DOS
)

func newSDNReader(in io.Reader) *sdnReader { return &sdnReader{newLineReader(in)} }

func (r *sdnReader) next() (party, error) {
	rec, err := nextRecord(r.lines)
	for err == nil && rec.text == sdnEnd {
		rec, err = nextRecord(r.lines)
	}
	p := party{line: rec.line}
	if err == nil && rec.fault == "" && len(rec.fields) != sdnColumns {
		rec.fault = fmt.Sprintf("the record has %d columns; one of sdn.csv has %d", len(rec.fields), sdnColumns)
	}
	if err != nil {
		return party{line: r.lines.number + 1}, err
	}
	if rec.fault != "" {
		p.ids = []identifier{{text: rec.text, fault: rec.fault}}
		return p, nil
	}
	for i, field := range rec.fields {
		if rec.fields[i] = strings.TrimSpace(field); rec.fields[i] == sdnNothing {
			rec.fields[i] = ""
		}
	}
	p.reference = rec.fields[0]
	p.designated(rec.fields[1], rec.fields[2], rec.fields[11])
	return p, nil
}

// designated adds what one record names.
func (p *party) designated(name, what, remarks string) {
	kind := risk.KindCompany
	switch what {
	case "individual":
		kind = risk.KindPerson
		if last, first, found := strings.Cut(name, ", "); found {
			name = first + " " + last
		}
		p.names(kind, name)
	case "":
		p.names(kind, name)
	default:
		p.ids = append(p.ids, identifier{text: name, fault: fmt.Sprintf("no kind of identifier is for the name of something of type %s; list what is known of its owner", what)})
	}
	items := strings.Split(remarks, "; ")
	if n := len(items) - 1; len(remarks) >= sdnRemarks && !strings.HasSuffix(remarks, ".") {
		p.ids = append(p.ids, identifier{text: items[n], fault: fmt.Sprintf("the remarks end here after %d characters, within a word; list it by hand", sdnRemarks)})
		items = items[:n]
	}
	nations := sdnNations(items)
	for _, item := range items {
		p.remark(kind, what == "individual", strings.TrimSuffix(strings.TrimSpace(item), "."), nations)
	}
}

// sdnNations are the countries whose national a person is said to be.
func sdnNations(items []string) (nations []string) {
	seen := map[string]bool{}
	for _, item := range items {
		item = strings.TrimPrefix(strings.TrimSuffix(strings.TrimSpace(item), "."), "alt. ")
		for _, label := range []string{"nationality ", "citizen "} {
			if name, found := strings.CutPrefix(item, label); found && !seen[name] {
				seen[name] = true
				nations = append(nations, name)
			}
		}
	}
	return nations
}

// The labels of remarks that name an identifier. Those behind the first in a row
// are other spellings.
var (
	sdnNames  = []string{"a.k.a. ", "f.k.a. ", "n.k.a. "}
	sdnMails  = []string{"Email Address ", "Email:", "Email "}
	sdnSites  = []string{"Website ", "Website: "}
	sdnPhones = []string{"Telephone No. ", "Telephone Number ", "Telephone Number: ", "Telephone: ", "Telephone ",
		"Phone No. ", "Phone Number ", "Phone: "}
	sdnCoins  = []string{"Digital Currency Address - "}
	sdnPapers = []string{"Passport ", "Diplomatic Passport ", "National ID No. ", "Cedula No. ", "D.N.I. ", "C.U.R.P. ",
		"Personal ID Card ", "National Foreign ID Number ", "Identification Number ", "Turkish Identification Number ",
		"Citizen's Card Number ", "Driver's License No. ", "SSN ", "Travel Document Number ", "Residency Number "}
)

// remark adds what one of the remarks names; most name nothing.
func (p *party) remark(kind risk.Kind, person bool, item string, nations []string) {
	if rest, found := strings.CutPrefix(strings.ToLower(item), "alt. "); found {
		item = item[len(item)-len(rest):]
	}
	if name, found := labelled(item, sdnNames); found {
		p.names(kind, strings.Trim(name, "'"))
	} else if address, found := labelled(item, sdnMails); found {
		p.ids = append(p.ids, identifier{kind: risk.KindEmail, value: address, text: item})
	} else if site, found := labelled(item, sdnSites); found {
		p.site(site)
	} else if number, found := labelled(item, sdnPhones); found {
		p.phone(number)
	} else if coin, found := labelled(item, sdnCoins); found {
		p.ids = append(p.ids, identifier{kind: risk.KindWallet, value: strings.Replace(coin, " ", ":", 1), text: item})
	} else if number, found := labelled(item, sdnPapers); found && person {
		called := strings.TrimSpace(strings.TrimSuffix(item, number))
		for _, date := range []string{" issued ", " Issued ", " expires ", " Expires "} {
			number, _, _ = strings.Cut(number, date)
		}
		p.document(paper{called: []string{called}, number: number, nations: nations})
	}
}

func labelled(item string, labels []string) (string, bool) {
	for _, label := range labels {
		if rest, found := strings.CutPrefix(item, label); found {
			return strings.TrimSpace(rest), true
		}
	}
	return "", false
}
