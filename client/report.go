package client

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/token"
)

// Report is what one listing will say about an identifier, before it has a
// token. [NewReport] gives the defaults, [Report.Set] changes a field.
type Report struct {
	Kind  risk.Kind
	Value string // the raw identifier; it never leaves this process
	Item  risk.Item
	Body  risk.ListingBody
	// Delisted is when the source took it back, or will; zero if it has not. What
	// is taken back already is not listed.
	Delisted int64

	chain string // of a wallet whose address stands alone
	now   time.Time
}

// NewReport gives the defaults: code 99, level 2, the black list, the reporter's
// own case, proof tier 2, every purpose, thirty days. The advice follows from
// list and level unless it is set. Durations count from now.
func NewReport(kind risk.Kind, now time.Time) Report {
	return Report{
		Kind: kind,
		Item: risk.Item{Op: risk.ItemPublish, Code: 99, Level: 2, List: risk.ListBlack,
			Origin: risk.Origin{Kind: risk.OriginOwn}, Expiry: now.Add(720 * time.Hour).UnixMilli()},
		Body: risk.ListingBody{Part: risk.PartSuspect, Purposes: risk.AllPurposes, Tier: 2, Exit: risk.Exit{
			How:    "Ask for the report to be looked at again, and say what is wrong with it.",
			Papers: "A document of identity, and what shows that the report is wrong.",
			Whom:   "The institution that showed you this notice; it passes the request on to the one that reported.",
			Days:   7}},
		now: now,
	}
}

// Set reads a field by its name. An empty text changes nothing.
func (r *Report) Set(field, text string) error {
	if text == "" {
		return nil
	}
	set := reportFields[field]
	if set == nil {
		return fmt.Errorf("%s: is not a field of a listing", field)
	}
	if err := set(r, text); err != nil {
		if message := err.Error(); strings.HasPrefix(message, field+": ") {
			return err
		}
		return fmt.Errorf("%s: %w", field, err)
	}
	return nil
}

// ReportFields lists the fields of a listing that a column may be mapped to.
// Value, or the name of a kind, is the identifier.
func ReportFields() []string {
	fields := []string{"value"}
	for _, kind := range risk.AllKinds() {
		fields = append(fields, kind.String())
	}
	var others []string
	for field := range reportFields {
		if !slices.Contains(fields, field) {
			others = append(others, field)
		}
	}
	slices.Sort(others)
	return append(fields, others...)
}

var reportFields = func() map[string]func(*Report, string) error {
	fields := map[string]func(*Report, string) error{
		"value":         func(r *Report, v string) error { return r.identify(r.Kind, v) },
		"code":          func(r *Report, v string) error { return number(&r.Item.Code, v, 0, risk.MaxCode) },
		"level":         func(r *Report, v string) error { return number(&r.Item.Level, v, 1, 3) },
		"list":          func(r *Report, v string) error { return named(&r.Item.List, v, risk.ParseList) },
		"expires":       func(r *Report, v string) (err error) { r.Item.Expiry, err = parseUntil(v, r.now); return err },
		"source_date":   func(r *Report, v string) error { return named(&r.Item.SourceDate, v, ParseTime) },
		"origin":        func(r *Report, v string) error { return named(&r.Item.Origin, v, parseOrigin) },
		"advice":        func(r *Report, v string) error { return named(&r.Body.Action, v, risk.ParseAdvice) },
		"tier":          func(r *Report, v string) error { return number(&r.Body.Tier, v, 0, int(risk.MaxTier)) },
		"role":          func(r *Report, v string) error { return named(&r.Body.Part, v, risk.ParsePart) },
		"phases":        func(r *Report, v string) error { return named(&r.Body.Phases, v, parsePhases) },
		"purposes":      func(r *Report, v string) error { return named(&r.Body.Purposes, v, parsePurposes) },
		"handling":      func(r *Report, v string) error { return number(&r.Body.Handling, v, 0, 65535) },
		"exit_days":     func(r *Report, v string) error { return number(&r.Body.Exit.Days, v, 0, 65535) },
		"effective":     func(r *Report, v string) error { return named(&r.Body.Effective, v, ParseTime) },
		"found":         func(r *Report, v string) error { return named(&r.Body.Found, v, ParseTime) },
		"occurred_to":   func(r *Report, v string) error { return named(&r.Body.OccurredTo, v, ParseTime) },
		"review":        func(r *Report, v string) error { return named(&r.Body.Review, v, ParseTime) },
		"category":      func(r *Report, v string) error { return words(&r.Body.Category, v, risk.MaxNameBytes) },
		"channel":       func(r *Report, v string) error { return words(&r.Body.Channel, v, risk.MaxNameBytes) },
		"reference":     func(r *Report, v string) error { return words(&r.Body.Reference, v, risk.MaxNameBytes) },
		"legal_basis":   func(r *Report, v string) error { return words(&r.Body.LegalBasis, v, risk.MaxTextBytes) },
		"note":          func(r *Report, v string) error { return words(&r.Body.Note, v, risk.MaxTextBytes) },
		"note_zh":       func(r *Report, v string) error { return words(&r.Body.NoteZH, v, risk.MaxTextBytes) },
		"exit_how":      func(r *Report, v string) error { return words(&r.Body.Exit.How, v, risk.MaxTextBytes) },
		"exit_papers":   func(r *Report, v string) error { return words(&r.Body.Exit.Papers, v, risk.MaxTextBytes) },
		"exit_whom":     func(r *Report, v string) error { return words(&r.Body.Exit.Whom, v, risk.MaxTextBytes) },
		"occurred_from": func(r *Report, v string) error { return named(&r.Body.OccurredFrom, v, ParseTime) },
		"listed":        (*Report).listed,
		"delisted":      func(r *Report, v string) error { return named(&r.Delisted, v, parseDelisted) },
		"chain":         func(r *Report, v string) error { return words(&r.chain, v, risk.MaxNameBytes) },
	}
	for _, kind := range risk.AllKinds() {
		fields[kind.String()] = func(r *Report, v string) error { return r.identify(kind, v) }
	}
	return fields
}()

// identify takes the identifier; a record has one.
func (r *Report) identify(kind risk.Kind, value string) error {
	if r.Value != "" {
		return errors.New("the record names two identifiers; give one")
	}
	r.Kind, r.Value = kind, value
	return nil
}

// listed is the day on which the source listed it: what is reported happened no
// later, and it counts from then on.
func (r *Report) listed(text string) error {
	at, err := ParseTime(text)
	switch {
	case err != nil:
		return err
	case at > r.now.Add(24*time.Hour).UnixMilli(): // it is tomorrow somewhere already
		return fmt.Errorf("%s is still to come; see that the column holds the date of listing", text)
	}
	r.Body.OccurredFrom, r.Body.Effective = at, at
	return nil
}

// parseDelisted reads a time, or "after" the last one at which it was still listed.
func parseDelisted(text string) (int64, error) {
	return ParseTime(strings.TrimPrefix(text, "after "))
}

// ended reports whether the source has taken it back.
func (r *Report) ended() bool { return r.Delisted != 0 && r.Delisted <= r.now.UnixMilli() }

func number[N ~uint8 | ~uint16](into *N, text string, low, high int) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high {
		return fmt.Errorf("%q is not a whole number from %d to %d", text, low, high)
	}
	*into = N(n)
	return nil
}

func named[V any](into *V, text string, parse func(string) (V, error)) error {
	v, err := parse(text)
	if err == nil {
		*into = v
	}
	return err
}

func words(into *string, text string, limit int) error {
	if len(text) > limit {
		return fmt.Errorf("has %d bytes; at most %d are allowed", len(text), limit)
	}
	*into = text
	return nil
}

// parseOrigin reads own, authority:NAME or copy:NAME.
func parseOrigin(text string) (risk.Origin, error) {
	name, source, _ := strings.Cut(text, ":")
	kind, err := risk.ParseOriginKind(name)
	switch {
	case err != nil:
		return risk.Origin{}, fmt.Errorf("%q is not known; use own, authority:NAME or copy:NAME", text)
	case kind == risk.OriginOwn && source != "":
		return risk.Origin{}, errors.New("own is the reporter's own case and has no name; use own alone")
	case kind == risk.OriginOwn:
		return risk.Origin{Kind: kind}, nil
	case strings.TrimSpace(source) == "":
		return risk.Origin{}, fmt.Errorf("%s needs the name of the source; write %s:NAME", name, name)
	}
	return risk.OriginNamed(kind, strings.TrimSpace(source)), nil
}

func parsePhases(text string) (set uint8, err error) {
	for _, name := range splitList(text) {
		phase, err := risk.ParsePhase(name)
		if err != nil {
			return 0, err
		}
		set |= 1 << phase
	}
	return set, nil
}

func parsePurposes(text string) (set risk.Purpose, err error) {
	if text == "all" {
		return risk.AllPurposes, nil
	}
	for _, name := range splitList(text) {
		purpose, err := risk.ParsePurpose(name)
		if err != nil {
			return 0, err
		}
		set |= purpose
	}
	return set, nil
}

// splitList takes apart what is joined by +, spaces or semicolons.
func splitList(text string) []string {
	return strings.FieldsFunc(text, func(c rune) bool { return c == '+' || c == ' ' || c == ';' || c == ',' })
}

// subject brings the identifier into normal form.
func (r *Report) subject() (token.Subject, error) {
	switch {
	case r.Kind == 0:
		return token.Subject{}, errors.New("kind: is not given; name it with --kind, or map a column to a kind")
	case r.Value == "":
		return token.Subject{}, fmt.Errorf("%s: is empty; give a value", r.Kind)
	}
	value := r.Value
	if r.chain != "" {
		if r.Kind != risk.KindWallet {
			return token.Subject{}, fmt.Errorf("chain: belongs to a wallet and not to a %s; leave it out", r.Kind)
		}
		value = r.chain + ":" + value
	}
	s, err := token.Normalise(r.Kind, value)
	return s, plain(err)
}

// finish gives the item and its body for an identifier's token. Many bear one
// name: a listing of it says that it is one, and asks for no more than step_up.
func (r *Report) finish(s token.Subject, asked risk.Asked) (risk.Item, risk.Body, error) {
	it, content := r.Item, r.Body
	if r.Delisted != 0 {
		it.Expiry = min(it.Expiry, r.Delisted)
	}
	it.Kind, it.Scope = asked.Kind, asked.Scope
	content.Token, content.Epoch = asked.Token, asked.Epoch
	if content.Action == 0 {
		content.Action = defaultAdvice(it.List, it.Level)
	}
	if s.Weak() {
		content.Category, content.Action = risk.CategoryName, min(content.Action, risk.StepUp)
	}
	if err := risk.CheckPublish(&it, r.now.UnixMilli()); err != nil {
		return it, risk.Body{}, plain(err)
	}
	data, err := content.Encode()
	if err != nil {
		return it, risk.Body{}, plain(err)
	}
	body := risk.NewBody(data)
	it.Commitment = body.Commit()
	return it, body, nil
}

// defaultAdvice is what a listing advises unless its reporter says otherwise.
func defaultAdvice(list risk.List, level risk.Level) risk.Advice {
	switch {
	case list == risk.ListWatch:
		return risk.Observe
	case list == risk.ListHint || level >= 3:
		return risk.StepUp
	default:
		return risk.Deny
	}
}
