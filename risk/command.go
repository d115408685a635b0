package risk

import "fmt"

// CommandKind says what a command does. The numbers stand in leaves.
type CommandKind uint8

// The commands.
const (
	KindFound         CommandKind = 1  // begin a network; the first leaf of its ledger
	KindAdmit         CommandKind = 2  // take in an institution under a reporting id
	KindAddKey        CommandKind = 3  // one more author key
	KindRetireKey     CommandKind = 4  // end an author key
	KindPutNode       CommandKind = 5  // a node enters, moves or changes suffrage
	KindRemoveNode    CommandKind = 6  // a node leaves
	KindListings      CommandKind = 7  // publish, revise and lift listings
	KindPublishRules  CommandKind = 8  // a rule set enters, not yet in force
	KindActivateRules CommandKind = 9  // a published rule set comes into force
	KindRollbackRules CommandKind = 10 // the rule set before it comes back
	KindOpenEpoch     CommandKind = 11 // a new token key
	KindCloseEpoch    CommandKind = 12 // an old token key leaves
	KindRaiseProtocol CommandKind = 13
	KindResetTime     CommandKind = 14 // a quorum of hub keys sets the network's time

	// From protocol 2 on:
	KindApply             CommandKind = 15 // an institution asks to be taken in
	KindAdvance           CommandKind = 16 // it moves to another stage
	KindRevokeCertificate CommandKind = 17 // a TLS certificate is let in no more
	KindSetPolicy         CommandKind = 18 // how reports are weighed
	KindSetLives          CommandKind = 19 // how long a listing of each code may live
	KindFeedback          CommandKind = 20 // what an institution did on listings
	KindProtect           CommandKind = 21 // subjects that come under protection, or out of it
	commandKinds          CommandKind = 22
)

var commandNames = [commandKinds]string{
	KindFound: "found", KindAdmit: "admit", KindAddKey: "add_key", KindRetireKey: "retire_key",
	KindPutNode: "put_node", KindRemoveNode: "remove_node", KindListings: "listings",
	KindPublishRules: "publish_rules", KindActivateRules: "activate_rules",
	KindRollbackRules: "rollback_rules", KindOpenEpoch: "open_epoch",
	KindCloseEpoch: "close_epoch", KindRaiseProtocol: "raise_protocol",
	KindResetTime: "reset_time", KindApply: "apply", KindAdvance: "advance",
	KindRevokeCertificate: "revoke_certificate", KindSetPolicy: "set_policy",
	KindSetLives: "set_lives", KindFeedback: "feedback", KindProtect: "protect",
}

func (k CommandKind) String() string { return nameOf(commandNames[:], uint8(k), "command") }

// Signer names one key that signs a command.
type Signer struct {
	Reporter  ID
	Key       ID
	Algorithm Algorithm
}

// Command is what an author signs: the fields that the law reads, in clear, and
// one salted commitment for each item. Its encoding ("header"):
//
//	u8 version=1 | network 32 | author 16 | i64 time | i64 not_after |
//	u8 signers { reporter 16 | key 16 | u8 algorithm } |
//	u8 kind | params by kind | u16 items { item }
//
// The first signer is the author's own key. Naming all signers inside the signed
// bytes keeps anybody on the way from taking a second signature off.
type Command struct {
	Network  Hash // id of the founding command; zero in the founding command itself
	Author   ID   // reporting id
	Time     int64
	NotAfter int64
	Signers  []Signer
	Params   Params
	Items    []Item
}

// Params are the fields of one kind of command.
type Params interface {
	Kind() CommandKind
	appendTo(dst []byte) []byte
}

// Encode gives the bytes to sign. A command that breaks a limit of the format
// is refused here, before anybody signs it.
func (c *Command) Encode() ([]byte, error) {
	header := c.appendTo(make([]byte, 0, 256+len(c.Items)*itemBytes))
	if _, err := DecodeCommand(header); err != nil {
		return nil, err
	}
	return header, nil
}

func (c *Command) appendTo(dst []byte) []byte {
	dst = append(dst, codecVersion)
	dst = append(dst, c.Network[:]...)
	dst = append(dst, c.Author[:]...)
	dst = putI64(dst, c.Time)
	dst = putI64(dst, c.NotAfter)
	dst = append(dst, uint8(len(c.Signers)))
	for _, s := range c.Signers {
		dst = append(dst, s.Reporter[:]...)
		dst = append(dst, s.Key[:]...)
		dst = append(dst, uint8(s.Algorithm))
	}
	dst = append(dst, uint8(c.Params.Kind()))
	dst = c.Params.appendTo(dst)
	dst = putU16(dst, uint16(len(c.Items)))
	for i := range c.Items {
		dst = c.Items[i].appendTo(dst)
	}
	return dst
}

// DecodeCommand reads a header strictly: every byte owned by a field, every
// number known, every limit kept.
func DecodeCommand(header []byte) (*Command, error) {
	if len(header) > MaxHeaderBytes {
		return nil, refuse(Malformed, "command", "has %d bytes; at most %d are allowed, so send fewer items", len(header), MaxHeaderBytes)
	}
	r := readerOf("command", header)
	r.version()
	c := &Command{Network: r.hash(), Author: r.id(), Time: r.i64(), NotAfter: r.i64()}
	c.Signers = readSigners(r)
	c.Params = readParams(r, CommandKind(r.u8()))
	count := r.count(MaxItems, minItemBytes)
	c.Items = make([]Item, count)
	for i := range c.Items {
		c.Items[i] = readItem(r)
	}
	if err := r.done(); err != nil {
		return nil, err
	}
	return c, c.check()
}

func readSigners(r *reader) []Signer {
	n := int(r.u8())
	if n == 0 || n > MaxSigners {
		r.fail("names %d signers; 1 to %d are allowed", n, MaxSigners)
		return nil
	}
	signers := make([]Signer, n)
	for i := range signers {
		signers[i] = Signer{Reporter: r.id(), Key: r.id(), Algorithm: Algorithm(r.u8())}
		if signers[i].Algorithm != Ed25519 {
			r.fail("is signed under algorithm %d; this protocol knows 1 (Ed25519)", signers[i].Algorithm)
		}
	}
	return signers
}

// check holds what a decoder can know of a command without any state.
func (c *Command) check() error {
	if c.Time <= 0 || c.Time > MaxTimeMillis {
		return refuse(BadLifetime, "time", "must be in milliseconds since 1970, up to the year 9999")
	}
	if c.NotAfter < c.Time || c.NotAfter-c.Time > MaxNotAfterMillis {
		return refuse(BadLifetime, "not_after", "must be at the command's time or up to 24 hours later")
	}
	if c.Signers[0].Reporter != c.Author {
		return refuse(Malformed, "signers", "the first signer must be the author")
	}
	for i, s := range c.Signers {
		for _, other := range c.Signers[:i] {
			if s.Key == other.Key && s.Reporter == other.Reporter {
				return refuse(Malformed, "signers", "key %s is named twice", s.Key)
			}
		}
	}
	want := itemsOf(c.Params.Kind())
	for i := range c.Items {
		if !c.Items[i].Op.comesWith(want) {
			return refuse(Malformed, fmt.Sprintf("items[%d]", i), "a %s command cannot carry this item", c.Params.Kind())
		}
	}
	switch {
	case want == 0 && len(c.Items) > 0:
		return refuse(Malformed, "items", "a %s command has no items", c.Params.Kind())
	case want == ItemDocument && len(c.Items) != 1:
		return refuse(Malformed, "items", "a %s command has exactly one item", c.Params.Kind())
	case want != 0 && len(c.Items) == 0:
		return refuse(Malformed, "items", "a %s command has at least one item", c.Params.Kind())
	}
	return nil
}

func itemsOf(kind CommandKind) ItemOp {
	switch kind {
	case KindListings:
		return ItemPublish
	case KindPublishRules:
		return ItemDocument
	case KindProtect:
		return ItemProtect
	default:
		return 0
	}
}

// CommandID names a command: the hash of the bytes that were signed.
func CommandID(header []byte) Hash { return hashUnder(domainCommand, header) }
