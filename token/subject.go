package token

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/risknet/risknet/risk"
)

// Version numbers the normal forms of this package. It is hashed into every
// token, so that tokens made under other forms can never be taken for ours.
const Version byte = 1

// The lengths of identifiers, in bytes.
const (
	// MaxRawBytes bounds an identifier as it is typed, MaxRawURLBytes a url: the
	// worst that can be written costs about a millisecond to normalise.
	MaxRawBytes    = 1_024
	MaxRawURLBytes = 4_096
	// MaxValueBytes bounds a normal value, MaxURLBytes that of a url.
	MaxValueBytes = 255
	MaxURLBytes   = 2_048
)

// Subject is one identifier in normal form: the single thing that a listing
// names. It prints its kind and scope only.
type Subject struct {
	Kind  risk.Kind
	Value string     // the normal form; as confidential as the raw value
	Scope risk.Scope // how much a listing of it covers; zero but for ip and domain
}

// Weak reports whether the subject may be shared by several parties.
func (s Subject) Weak() bool { return Weak(s.Kind, s.Value) }

func (s Subject) String() string { return fmt.Sprintf("%s (%s, withheld)", s.Kind, s.Scope) }

// Format prints the subject without its value, whatever the verb.
func (s Subject) Format(f fmt.State, _ rune) { io.WriteString(f, s.String()) }

// LogValue keeps the value out of logs.
func (s Subject) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Weak reports whether a normal value may be shared by several parties, so that
// one report of it is not enough to act on: the name of a person or a company is.
func Weak(kind risk.Kind, value string) bool {
	switch kind {
	case risk.KindPerson, risk.KindCompany, risk.KindAgent:
		return strings.HasPrefix(value, namePrefix)
	}
	return false
}

// A normaliser gets trimmed UTF-8 without control characters, never empty, and
// gives the normal form or a *fault.
type normaliser func(raw string) (value string, scope risk.Scope, err error)

var normalisers = [risk.Kinds]normaliser{
	risk.KindMerchant:    exact(acquired),
	risk.KindPerson:      exact(person),
	risk.KindCompany:     exact(company),
	risk.KindAccount:     exact(account),
	risk.KindCard:        exact(card),
	risk.KindPhone:       exact(phone),
	risk.KindEmail:       exact(email),
	risk.KindDevice:      exact(opaque),
	risk.KindTerminal:    exact(acquired),
	risk.KindIP:          ip,
	risk.KindDomain:      domain,
	risk.KindURL:         exact(address),
	risk.KindWallet:      exact(wallet),
	risk.KindMiniProgram: exact(opaque),
	risk.KindAgent:       exact(company),
	risk.KindStore:       exact(acquired),
}

// exact is for the kinds whose listings cover nothing but the value itself.
func exact(normal func(string) (string, error)) normaliser {
	return func(raw string) (string, risk.Scope, error) {
		value, err := normal(raw)
		return value, risk.Scope{}, err
	}
}

// Normalise brings an identifier into normal form. White space around it does
// not count. The error is a [*risk.Error] of kind [risk.BadField] whose field is
// the kind's name.
func Normalise(kind risk.Kind, raw string) (Subject, error) {
	if !kind.Valid() {
		return Subject{}, &risk.Error{Kind: risk.BadField, Field: "kind",
			Text: "is not one that this version knows; use a kind such as card, phone or ip"}
	}
	limits := limitsOf(kind)
	raw, err := readable(raw, limits)
	if err != nil {
		return Subject{}, about(kind, err)
	}
	value, scope, err := normalisers[kind](raw)
	if err != nil {
		return Subject{}, about(kind, err)
	}
	if len(value) > limits.value {
		return Subject{}, about(kind, limits.errValue)
	}
	if !isASCII(value) && strings.ContainsFunc(value, invisible) {
		return Subject{}, about(kind, errInvisible)
	}
	return Subject{Kind: kind, Value: value, Scope: scope}, nil
}

// fault is what is wrong with an identifier, and the cure. Both are constant
// texts: there is no way for a part of the identifier to get into them.
type fault struct{ wrong, cure string }

func (f *fault) Error() string { return f.wrong + "; " + f.cure }

func about(kind risk.Kind, err error) error {
	return &risk.Error{Kind: risk.BadField, Field: kind.String(), Text: err.Error()}
}

var (
	errEmpty      = &fault{"is empty", "give a value"}
	errRawLong    = &fault{"is longer than 1024 bytes", "give one identifier"}
	errRawURLLong = &fault{"is longer than 4096 bytes", "give one url"}
	errNotUTF8    = &fault{"is not UTF-8 text", "convert the input to UTF-8"}
	errControl    = &fault{"contains a control character", "give one identifier, without tabs or line breaks"}
	errInvisible  = &fault{"contains a character that nobody sees", "write it without, by hand if it was copied from a text"}
	errLong       = &fault{"is longer than 255 bytes in normal form", "check that it is one identifier"}
	errURLLong    = &fault{"is longer than 2048 bytes in normal form", "list its domain instead"}
	errSlashTwo   = &fault{"is not of two parts", "write acquirer/number"}
)

// limits bound an identifier's length before and after normalising.
type limits struct {
	raw, value       int
	errRaw, errValue *fault
}

func limitsOf(kind risk.Kind) limits {
	if kind == risk.KindURL {
		return limits{MaxRawURLBytes, MaxURLBytes, errRawURLLong, errURLLong}
	}
	return limits{MaxRawBytes, MaxValueBytes, errRawLong, errLong}
}

// readable trims, and refuses what no kind takes.
func readable(raw string, limits limits) (string, error) {
	if len(raw) > limits.raw {
		return "", limits.errRaw
	}
	raw = strings.TrimSpace(raw)
	if raw == "" {
		return "", errEmpty
	}
	for i := 0; i < len(raw); i++ {
		if c := raw[i]; c < ' ' || c == 0x7f {
			return "", errControl
		} else if c >= utf8.RuneSelf {
			return raw, readableRunes(raw[i:])
		}
	}
	return raw, nil
}

func readableRunes(raw string) error {
	if !utf8.ValidString(raw) {
		return errNotUTF8
	}
	if strings.ContainsFunc(raw, unicode.IsControl) {
		return errControl
	}
	return nil
}
