package risk

import (
	"encoding/binary"
	"testing"
)

// protecting brings the subject of a number under protection.
func protecting(kind Kind, subject uint64, until int64) (Item, Body) {
	content := ProtectionBody{Epoch: 1, Covers: "salaries", Comment: "two said so"}
	binary.BigEndian.PutUint64(content.Token[8:], subject)
	content.Token[0] = uint8(kind)
	data, err := content.Encode()
	if err != nil {
		panic(err)
	}
	body := bodyOf(data)
	return Item{Op: ItemProtect, Kind: kind, Expiry: until, Commitment: body.Commit()}, body
}

func (w *world) protect(keys int, items []Item, bodies []Body) Result {
	return w.do(w.command(hub, keys, &Protect{}, items...), bodies)
}

func unprotecting(id ItemID) ([]Item, []Body) {
	note := bodyOf(nil)
	return []Item{{Op: ItemUnprotect, Target: id, Commitment: note.Commit()}}, []Body{note}
}

func TestWhatMayNotBeProtected(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Item, *ProtectionBody, *world)
		want   Refusal
	}{
		"no kind":                  {func(it *Item, _ *ProtectionBody, _ *world) { it.Kind = 0 }, BadField},
		"a phone with a prefix":    {func(it *Item, _ *ProtectionBody, _ *world) { it.Scope = Scope{FamilyIPv4, 24} }, BadField},
		"for ever":                 {func(it *Item, _ *ProtectionBody, _ *world) { it.Expiry = 0 }, BadExpiry},
		"until now":                {func(it *Item, _ *ProtectionBody, w *world) { it.Expiry = w.now }, BadExpiry},
		"for more than a year":     {func(it *Item, _ *ProtectionBody, w *world) { it.Expiry = w.now + MaxProtectionMillis + 9 }, BadExpiry},
		"a token of a key to come": {func(_ *Item, b *ProtectionBody, _ *world) { b.Epoch = 2 }, EpochClosed},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld2(t)
			content := &ProtectionBody{Epoch: 1, Covers: "salaries", Comment: "two said so"}
			item := Item{Op: ItemProtect, Kind: KindPhone, Expiry: w.now + day}
			c.change(&item, content, w)
			data, err := content.Encode()
			if err != nil {
				t.Fatal(err)
			}
			body := bodyOf(data)
			item.Commitment = body.Commit()
			if res := w.protect(2, []Item{item}, []Body{body}); cameTo(res) != c.want.String() || w.st.count(TableProtections) != 0 {
				t.Fatalf("it is %s, want %s", cameTo(res), c.want)
			}
		})
	}
	for _, silent := range []ProtectionBody{{Covers: "x"}, {Comment: "x"}} {
		if _, err := silent.Encode(); err == nil {
			t.Error("a protection says what it is for and why")
		}
	}
}

func TestAProtectionEndsByItselfOrByTheHub(t *testing.T) {
	w := newWorld2(t)
	item, body := protecting(KindPhone, 1, w.now+20*day)
	if res := w.protect(1, []Item{item}, []Body{body}); kindOf(res) != NeedsCosigner {
		t.Fatalf("with one key it is %s", kindOf(res))
	}
	res := w.protect(2, []Item{item, item}, []Body{body, body})
	first, second := ItemID{Leaf: uint64(len(w.log) - 1)}, ItemID{Leaf: uint64(len(w.log) - 1), Item: 1}
	if res.Outcomes[0].Status != Created || res.Outcomes[1].Status != Created {
		t.Fatalf("they are %+v", res.Outcomes)
	}
	read := func(id ItemID) *Protection {
		key := (&Protection{ID: id}).key()
		p, err := ReadProtection(key, w.st.records[string(key)])
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	began := w.now
	for _, want := range []string{"lifted", "ended"} {
		items, bodies := unprotecting(first)
		if got := cameTo(w.protect(2, items, bodies)); got != want {
			t.Fatalf("to end it is %s, want %s", got, want)
		}
	}
	if p := read(first); p.ActiveAt(w.now) || !p.ActiveAt(began) || !read(second).ActiveAt(w.now) {
		t.Errorf("the one that was taken back is %+v", p)
	}
	w.now = item.Expiry
	items, bodies := unprotecting(second)
	if got := cameTo(w.protect(2, items, bodies)); got != "ended" || read(second).ActiveAt(w.now) {
		t.Errorf("an expired one is %s", got)
	}
	w.now += RetentionMillis + 1
	w.accepted(w.command(hub, 1, &RevokeCertificate{Fingerprint: Hash{1}}), nil)
	if w.st.count(TableProtections) != 0 || len(w.st.bodies) != 0 {
		t.Errorf("%d protections and %d bodies are left", w.st.count(TableProtections), len(w.st.bodies))
	}
}

// Every node keeps the protections in memory, so there is a number of them.
func TestProtectionsHaveANumber(t *testing.T) {
	w := newWorld2(t)
	item, body := protecting(KindPhone, 1, w.now+20*day)
	for i := range MaxProtections - 1 {
		p := &Protection{ID: ItemID{Leaf: 1 << 40, Item: uint16(i)}, Kind: KindPhone, Expiry: item.Expiry}
		if err := w.st.Put(Change{Key: p.key(), New: p.appendTo(nil), NewDue: p.purgeAt()}); err != nil {
			t.Fatal(err)
		}
	}
	res := w.protect(2, []Item{item, item}, []Body{body, body})
	if res.Outcomes[0].Status != Created || res.Outcomes[1] != refusedFor(TooMany) {
		t.Fatalf("they are %+v", res.Outcomes)
	}
}

func TestAShelterIsForExactlyWhatIsProtected(t *testing.T) {
	of := func(kind Kind, scope Scope, name byte, since, expiry, ended int64) *Protected {
		return &Protected{Protection{Kind: kind, Scope: scope, Since: since, Expiry: expiry, EndedAt: ended}, ProtectionBody{Token: Token{name}}}
	}
	wide, one := Scope{FamilyIPv4, 24}, Scope{FamilyIPv4, 32}
	longer := of(KindIP, wide, 1, 10, 40, 0)
	s := NewShelter([]*Protected{of(KindIP, wide, 1, 10, 30, 0), longer, of(KindPhone, Scope{}, 2, 10, 40, 20)})
	for _, c := range []struct {
		asked Asked
		now   int64
		want  *Protected
	}{
		{Asked{Kind: KindIP, Scope: wide, Token: Token{1}}, 10, longer},
		{Asked{Kind: KindIP, Scope: wide, Token: Token{1}}, 9, nil},
		{Asked{Kind: KindIP, Scope: wide, Token: Token{1}}, 40, nil},
		{Asked{Kind: KindIP, Scope: one, Token: Token{1}}, 10, nil},
		{Asked{Kind: KindURL, Scope: wide, Token: Token{1}}, 10, nil},
		{Asked{Kind: KindIP, Scope: wide, Token: Token{2}}, 10, nil},
		{Asked{Kind: KindPhone, Token: Token{2}}, 20, nil},
	} {
		if got := s.Of(&c.asked, c.now); got != c.want {
			t.Errorf("%+v at %d has %+v", c.asked, c.now, got)
		}
		if (&Shelter{}).Of(&c.asked, c.now) != nil {
			t.Error("nothing protects somebody")
		}
	}
}

// A prefix under protection is asked for by every check, also if no listing has its
// length; otherwise the protection would be there and do nothing.
func TestTheScopeOfAProtectionIsInUse(t *testing.T) {
	w := newWorld2(t)
	inUse := func() uint64 {
		scopes, err := LoadScopes(w.st)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range scopes.Counts {
			if c.Scope == (Scope{FamilyIPv4, 12}) {
				return c.Listings
			}
		}
		return 0
	}
	item, body := protecting(KindIP, 1, w.now+day)
	item.Scope = Scope{FamilyIPv4, 12}
	if res := w.protect(2, []Item{item}, []Body{body}); inUse() != 1 {
		t.Fatalf("it is %s, and %d use the scope", cameTo(res), inUse())
	}
	w.now += RetentionMillis + 2*day
	rules := bodyOf([]byte("r"))
	w.accepted(w.command(hub, 1, &PublishRules{Hash: sha(rules.Data)}, Item{Op: ItemDocument, Commitment: rules.Commit()}), []Body{rules})
	if inUse() != 0 {
		t.Errorf("the scope of a protection that is gone is still asked for")
	}
}
