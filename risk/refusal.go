package risk

import "fmt"

// Refusal is the closed list of reasons for which the network refuses a command
// or one of its items. The numbers stand in leaves and never change.
type Refusal uint8

// The refusals. Accepted is the zero value.
const (
	Accepted      Refusal = 0
	Malformed     Refusal = 1  // the bytes are not a command in this protocol
	UnknownKey    Refusal = 2  // no such author, or no such key of that author
	BadSignature  Refusal = 3  // a signature is missing or does not verify
	WrongNetwork  Refusal = 4  // signed for another network
	KeyRetired    Refusal = 5  // the key was valid once, and is not any more
	TooNew        Refusal = 6  // the author's time is ahead of the network's
	TooOld        Refusal = 7  // the not-after time has passed
	BadLifetime   Refusal = 8  // not-after is before the author's time or too far from it
	NotPermitted  Refusal = 9  // the author's role may not do this
	NeedsCosigner Refusal = 10 // more hub keys must sign this
	AlreadyExists Refusal = 11
	NotFound      Refusal = 12
	Ended         Refusal = 13 // the listing is in a terminal state
	BadField      Refusal = 14 // a field has a value that the law does not allow
	BadExpiry     Refusal = 15 // no expiry, one in the past, or one too far away
	EpochClosed   Refusal = 16 // the token was made under a key that is not in use
	TooMany       Refusal = 17 // a limit on the number of things is reached
	BodyMismatch  Refusal = 18 // an item's body does not match its commitment
	Unsupported   Refusal = 19 // needs a protocol version that is not in force
	NothingToDo   Refusal = 20
	refusals      Refusal = 21
)

var refusalNames = [refusals]string{
	Accepted: "accepted", Malformed: "malformed", UnknownKey: "unknown_key",
	BadSignature: "bad_signature", WrongNetwork: "wrong_network", KeyRetired: "key_retired",
	TooNew: "too_new", TooOld: "too_old", BadLifetime: "bad_lifetime",
	NotPermitted: "not_permitted", NeedsCosigner: "needs_cosigner",
	AlreadyExists: "already_exists", NotFound: "not_found", Ended: "ended",
	BadField: "bad_field", BadExpiry: "bad_expiry", EpochClosed: "epoch_closed",
	TooMany: "too_many", BodyMismatch: "body_mismatch", Unsupported: "unsupported",
	NothingToDo: "nothing_to_do",
}

func (r Refusal) String() string { return nameOf(refusalNames[:], uint8(r), "refusal") }

// Valid reports whether this protocol knows the refusal.
func (r Refusal) Valid() bool { return r < refusals }

// ParseRefusal reads a refusal's name.
func ParseRefusal(name string) (Refusal, error) {
	n, err := parseName(refusalNames[:], name, "refusal")
	return Refusal(n), err
}

// Error carries a refusal to a person: the field, what is wrong, the cure.
type Error struct {
	Kind  Refusal
	Field string
	Text  string
}

func (e *Error) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("%s: %s", e.Kind, e.Text)
	}
	return fmt.Sprintf("%s: %s: %s", e.Kind, e.Field, e.Text)
}

func refuse(kind Refusal, field, format string, args ...any) *Error {
	return &Error{Kind: kind, Field: field, Text: fmt.Sprintf(format, args...)}
}
