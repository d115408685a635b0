package risk

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// format is one thing that is decoded strictly: an example, and the way through
// its decoder and back.
type format struct {
	name    string
	example []byte
	again   func([]byte) ([]byte, error)
}

func formats() []format {
	again := map[string]func([]byte) ([]byte, error){
		"header": func(b []byte) ([]byte, error) { return reencode(DecodeCommand(b)) },
		"signed": func(b []byte) ([]byte, error) { return reencode(DecodeSigned(b)) },
		"entry":  func(b []byte) ([]byte, error) { return reencode(DecodeEntry(b)) },
		"leaf":   func(b []byte) ([]byte, error) { return reencode(DecodeLeaf(b)) },
		"body":   func(b []byte) ([]byte, error) { return reencode(DecodeListingBody(b)) },
	}
	var all []format
	for _, s := range samples() {
		signed := s.signed()
		all = append(all, format{"header of " + s.name, signed.Header, again["header"]},
			format{"signed " + s.name, signed.Encode(), again["signed"]},
			format{"entry of " + s.name, s.entry().Encode(), again["entry"]})
	}
	for name, l := range sampleLeaves() {
		all = append(all, format{name + " leaf", l.Encode(), again["leaf"]})
	}
	body, err := fullBody().Encode()
	if err != nil {
		panic(err)
	}
	return append(all, format{"listing body", body, again["body"]})
}

// reencode writes back what a decoder gave.
func reencode(decoded any, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	switch x := decoded.(type) {
	case *Command:
		return x.Encode()
	case *ListingBody:
		return x.Encode()
	case interface{ Encode() []byte }:
		return x.Encode(), nil
	default:
		return nil, errors.New("not a format")
	}
}

func TestEveryFormatIsReadStrictly(t *testing.T) {
	for _, f := range formats() {
		t.Run(f.name, func(t *testing.T) {
			if got, err := f.again(f.example); err != nil || !bytes.Equal(got, f.example) {
				t.Fatalf("does not come back as it was: %v", err)
			}
			for n := range f.example {
				if _, err := f.again(f.example[:n]); !isMalformed(err) {
					t.Fatalf("cut at byte %d of %d: %v", n, len(f.example), err)
				}
			}
			if _, err := f.again(append(slices.Clone(f.example), 0)); !isMalformed(err) {
				t.Fatalf("with one byte more: %v", err)
			}
			later := slices.Clone(f.example)
			later[0]++
			if _, err := f.again(later); !isMalformed(err) || !strings.Contains(err.Error(), "version 2") {
				t.Fatalf("of another version: %v", err)
			}
		})
	}
}

func isMalformed(err error) bool {
	refusal, ok := errors.AsType[*Error](err)
	return ok && refusal.Kind == Malformed
}

// A flipped bit is refused or says something else; it never says the same.
func TestNoTwoBytesSayTheSame(t *testing.T) {
	for _, f := range formats() {
		for i := range f.example {
			for bit := range 8 {
				other := slices.Clone(f.example)
				other[i] ^= 1 << bit
				if got, err := f.again(other); err == nil && !bytes.Equal(got, other) {
					t.Fatalf("%s: bit %d of byte %d is lost on the way", f.name, bit, i)
				}
			}
		}
	}
}

func TestWhatACommandMayNotBe(t *testing.T) {
	valid := func() *Command {
		c := *samples()[6].command
		c.Signers, c.Items = slices.Clone(c.Signers), slices.Clone(c.Items)
		return &c
	}
	nine := actorNamed("nine", "1", "2", "3", "4", "5", "6", "7", "8", "9")
	long := strings.Repeat("x", MaxNameBytes+1)
	seventeen := make([]PublicKey, MaxKeys+1)
	for i := range seventeen {
		seventeen[i] = PublicKey{Algorithm: Ed25519, Bytes: [32]byte{uint8(i)}}
	}
	for name, c := range map[string]struct {
		change func(*Command)
		want   Refusal
	}{
		"no signer":                 {func(c *Command) { c.Signers = nil }, Malformed},
		"nine signers":              {func(c *Command) { c.Author, c.Signers = nine.id, nine.signers(9) }, Malformed},
		"a key named twice":         {func(c *Command) { c.Signers[1] = c.Signers[0] }, Malformed},
		"not signed by author":      {func(c *Command) { c.Author = hub.id }, Malformed},
		"unknown algorithm":         {func(c *Command) { c.Signers[0].Algorithm = 2 }, Malformed},
		"no algorithm":              {func(c *Command) { c.Signers[0].Algorithm = 0 }, Malformed},
		"unknown operation":         {func(c *Command) { c.Items[0].Op = 8 }, Malformed},
		"listings of a document":    {func(c *Command) { c.Items[0] = Item{Op: ItemDocument} }, Malformed},
		"listings of nothing":       {func(c *Command) { c.Items = nil }, Malformed},
		"513 items":                 {func(c *Command) { c.Items = slices.Repeat(c.Items[:1], MaxItems+1) }, Malformed},
		"items of an admission":     {func(c *Command) { c.Params = sampleParams()[1] }, Malformed},
		"rules without a source":    {func(c *Command) { c.Params, c.Items = &PublishRules{}, nil }, Malformed},
		"rules with two sources":    {func(c *Command) { c.Params, c.Items = &PublishRules{}, make([]Item, 2) }, Malformed},
		"rules with a lift":         {func(c *Command) { c.Params, c.Items = &PublishRules{}, c.Items[1:] }, Malformed},
		"no keys":                   {func(c *Command) { c.Params, c.Items = &Admit{}, nil }, Malformed},
		"too many keys":             {func(c *Command) { c.Params, c.Items = &Admit{Keys: seventeen}, nil }, Malformed},
		"a key of no algorithm":     {func(c *Command) { c.Params, c.Items = &AddKey{}, nil }, Malformed},
		"a long name":               {func(c *Command) { c.Params, c.Items = &PutNode{Name: long, LogKey: seventeen[0]}, nil }, Malformed},
		"a name that wraps":         {func(c *Command) { c.Params, c.Items = &PutNode{Name: strings.Repeat("x", 1<<16)}, nil }, Malformed},
		"a name that is not text":   {func(c *Command) { c.Params, c.Items = &PutNode{Name: "\xff", LogKey: seventeen[0]}, nil }, Malformed},
		"no time":                   {func(c *Command) { c.Time, c.NotAfter = 0, 0 }, BadLifetime},
		"a time before 1970":        {func(c *Command) { c.Time = -1 }, BadLifetime},
		"a time after 9999":         {func(c *Command) { c.Time, c.NotAfter = MaxTimeMillis+1, MaxTimeMillis+1 }, BadLifetime},
		"over before it begins":     {func(c *Command) { c.NotAfter = c.Time - 1 }, BadLifetime},
		"valid for a day and more":  {func(c *Command) { c.NotAfter = c.Time + MaxNotAfterMillis + 1 }, BadLifetime},
		"a lifetime that overflows": {func(c *Command) { c.Time, c.NotAfter = -1<<63, 1<<63-1 }, BadLifetime},
	} {
		t.Run(name, func(t *testing.T) {
			command := valid()
			c.change(command)
			_, err := command.Encode()
			refusal, ok := errors.AsType[*Error](err)
			if !ok || refusal.Kind != c.want {
				t.Fatalf("got %v, want %s", err, c.want)
			}
		})
	}
	if _, err := valid().Encode(); err != nil {
		t.Fatalf("the command that was changed was no good before: %v", err)
	}
}

func TestUnknownCommandKindsAreRefused(t *testing.T) {
	c := samples()[6].command
	header := samples()[6].signed().Header
	at := 1 + 32 + 16 + 8 + 8 + 1 + 33*len(c.Signers)
	for _, kind := range []uint8{0, uint8(commandKinds), 255} {
		other := slices.Clone(header)
		other[at] = kind
		if _, err := DecodeCommand(other); !isMalformed(err) {
			t.Errorf("kind %d: %v", kind, err)
		}
	}
}

func TestWhatAListingBodyMayNotSay(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*ListingBody)
		want   Refusal
	}{
		"no part":              {func(b *ListingBody) { b.Part = 0 }, BadField},
		"an unknown part":      {func(b *ListingBody) { b.Part = parts }, BadField},
		"no advice":            {func(b *ListingBody) { b.Action = 0 }, BadField},
		"an unknown advice":    {func(b *ListingBody) { b.Action = advices }, BadField},
		"an unknown phase":     {func(b *ListingBody) { b.Phases = 1 }, BadField},
		"no purpose":           {func(b *ListingBody) { b.Purposes = 0 }, BadField},
		"an unknown purpose":   {func(b *ListingBody) { b.Purposes = AllPurposes + 1 }, BadField},
		"a fifth tier":         {func(b *ListingBody) { b.Tier = MaxTier + 1 }, BadField},
		"ends before it began": {func(b *ListingBody) { b.OccurredTo = b.OccurredFrom - 1 }, BadField},
		"nine pieces":          {func(b *ListingBody) { b.Evidence = make([]Evidence, MaxEvidence+1) }, Malformed},
		"a long note":          {func(b *ListingBody) { b.Note = strings.Repeat("x", MaxTextBytes+1) }, Malformed},
		"a note that is bytes": {func(b *ListingBody) { b.Note = "\xc3\x28" }, Malformed},
		"more than fits":       {func(b *ListingBody) { b.Note, b.NoteZH, b.LegalBasis, b.Exit.How = text512, text512, text512, text512 }, Malformed},
	} {
		t.Run(name, func(t *testing.T) {
			b := fullBody()
			c.change(b)
			_, err := b.Encode()
			if refusal, ok := errors.AsType[*Error](err); !ok || refusal.Kind != c.want {
				t.Fatalf("got %v, want %s", err, c.want)
			}
		})
	}
}

var text512 = strings.Repeat("x", MaxTextBytes)

// The largest command must fit in a leaf, whatever comes of it.
func TestTheLargestLeafFits(t *testing.T) {
	eight := actorNamed("eight", "1", "2", "3", "4", "5", "6", "7", "8")
	item, body := reportOn(KindIP, 1, start).sealed(t)
	c := &Command{Author: eight.id, Time: start, NotAfter: start, Signers: eight.signers(MaxSigners),
		Params: &Listings{}, Items: slices.Repeat([]Item{item}, MaxItems)}
	signed, err := Sign(c, slices.Repeat([]Body{body}, MaxItems), eight.keys...)
	if err != nil {
		t.Fatal(err)
	}
	l := Leaf{Header: signed.Header, Signatures: signed.Signatures, Outcomes: slices.Repeat([]Outcome{{Status: Revised}}, MaxItems)}
	if got := len(l.Encode()); got > MaxLeafBytes {
		t.Errorf("512 items signed by 8 make a leaf of %d bytes", got)
	}
	l.Header = make([]byte, MaxHeaderBytes)
	if got := len(l.Encode()); got > MaxLeafBytes {
		t.Errorf("the largest header makes a leaf of %d bytes", got)
	}
	if back, err := DecodeLeaf(l.Encode()); err != nil || len(back.Outcomes) != MaxItems {
		t.Errorf("the largest leaf is not read back: %v", err)
	}
	if got := len(itemThere(t, item)); got != itemBytes {
		t.Errorf("an item has %d bytes, not %d", got, itemBytes)
	}
}

// itemThere gives an item's bytes after it was read back.
func itemThere(t *testing.T, it Item) []byte {
	r := readerOf("item", it.appendTo(nil))
	back := readItem(r)
	if err := r.done(); err != nil || !reflect.DeepEqual(back, it) {
		t.Fatalf("an item is not read back: %v", err)
	}
	return back.appendTo(nil)
}

func TestWhatIsTooLargeIsRefusedUnread(t *testing.T) {
	for name, err := range map[string]error{
		"header": last(DecodeCommand(make([]byte, MaxHeaderBytes+1))),
		"signed": last(DecodeSigned(make([]byte, MaxEntryBytes))),
		"entry":  last(DecodeEntry(make([]byte, MaxEntryBytes+1))),
		"leaf":   last(DecodeLeaf(make([]byte, MaxLeafBytes+1))),
		"body":   last(DecodeListingBody(make([]byte, MaxBodyBytes+1))),
	} {
		if !isMalformed(err) || !strings.Contains(err.Error(), "at most") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func last(_ any, err error) error { return err }

// An empty body has its salt; an erased one has nothing.
func TestAnEmptyBodyIsNotAnErasedOne(t *testing.T) {
	s := samples()[6].signed()
	s.Bodies = []Body{{}, NewBody(nil)}
	back, err := DecodeSigned(s.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if !back.Bodies[0].Erased() || back.Bodies[1].Erased() || back.Bodies[1].Commit() != s.Bodies[1].Commit() {
		t.Errorf("got %v", back.Bodies)
	}
	if _, err := ReadBody(make([]byte, 15)); !isMalformed(err) {
		t.Errorf("a body of 15 bytes: %v", err)
	}
}

func TestSigningNeedsAKeyForEachSigner(t *testing.T) {
	s := samples()[0]
	if _, err := Sign(s.command, nil, hub.keys[0]); err == nil {
		t.Error("two signers, one key")
	}
}
