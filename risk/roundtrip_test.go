package risk

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

// The draws below give any value that a format can hold, lawful or not.
func drawID(t *rapid.T) (id ID) {
	copy(id[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
	return id
}

func drawHash(t *rapid.T) (h Hash) {
	copy(h[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "hash"))
	return h
}

func drawText(t *rapid.T, limit int) string {
	return rapid.StringN(0, limit/4, limit).Draw(t, "text")
}

func drawKey(t *rapid.T) PublicKey {
	return PublicKey{Algorithm: Ed25519, Bytes: [32]byte(drawHash(t))}
}

func drawKeys(t *rapid.T) []PublicKey {
	keys := make([]PublicKey, rapid.IntRange(1, MaxKeys).Draw(t, "keys"))
	for i := range keys {
		keys[i] = drawKey(t)
	}
	return keys
}

func drawTarget(t *rapid.T) ListingID {
	return ListingID{Leaf: rapid.Uint64().Draw(t, "leaf"), Item: rapid.Uint16().Draw(t, "item")}
}

// drawItem gives any item of the format, lawful or not.
func drawItem(t *rapid.T, op ItemOp) Item {
	it := Item{Op: op, Commitment: drawHash(t)}
	switch op {
	case ItemPublish:
		it.Kind, it.Code = Kind(rapid.Byte().Draw(t, "kind")), rapid.Uint16().Draw(t, "code")
		it.Scope = Scope{Family: Family(rapid.Byte().Draw(t, "family")), Length: rapid.Byte().Draw(t, "length")}
		it.Level, it.List = Level(rapid.Byte().Draw(t, "level")), List(rapid.Byte().Draw(t, "list"))
		it.Origin = Origin{Kind: OriginKind(rapid.Byte().Draw(t, "origin")), Ref: drawID(t)}
		it.Expiry, it.SourceDate = rapid.Int64().Draw(t, "expiry"), rapid.Int64().Draw(t, "source_date")
	case ItemLift:
		it.Target, it.Reason = drawTarget(t), LiftReason(rapid.Byte().Draw(t, "reason"))
	case ItemSuspend, ItemResume, ItemUnprotect:
		it.Target = drawTarget(t)
	case ItemProtect:
		it.Kind, it.Expiry = Kind(rapid.Byte().Draw(t, "kind")), rapid.Int64().Draw(t, "expiry")
		it.Scope = Scope{Family: Family(rapid.Byte().Draw(t, "family")), Length: rapid.Byte().Draw(t, "length")}
	}
	return it
}

func drawParams(t *rapid.T, kind CommandKind) Params {
	u32 := func() uint32 { return rapid.Uint32().Draw(t, "u32") }
	u8 := func() uint8 { return rapid.Byte().Draw(t, "u8") }
	name := func() string { return drawText(t, MaxNameBytes) }
	switch kind {
	case KindFound:
		return &Found{Name: name(), Origin: name(), Protocol: u32(), Threshold: u8(), HubKeys: drawKeys(t), HubCommitment: drawHash(t), EpochKey: drawHash(t)}
	case KindAdmit:
		return &Admit{Reporter: drawID(t), Role: InstitutionRole(u8()), Commitment: drawHash(t), Keys: drawKeys(t)}
	case KindAddKey:
		return &AddKey{Reporter: drawID(t), Key: drawKey(t)}
	case KindRetireKey:
		return &RetireKey{Reporter: drawID(t), Key: drawID(t), At: rapid.Int64().Draw(t, "at")}
	case KindPutNode:
		return &PutNode{Node: drawID(t), Name: name(), Institution: name(), Raft: name(), API: name(), HTTP: name(), Suffrage: Suffrage(u8()), LogKey: drawKey(t)}
	case KindRemoveNode:
		return &RemoveNode{Node: drawID(t)}
	case KindListings:
		return &Listings{}
	case KindPublishRules:
		return &PublishRules{Hash: drawHash(t)}
	case KindActivateRules:
		return &ActivateRules{Version: u32()}
	case KindRollbackRules:
		return &RollbackRules{From: u32()}
	case KindOpenEpoch:
		return &OpenEpoch{Epoch: Epoch(u32()), Commitment: drawHash(t)}
	case KindCloseEpoch:
		return &CloseEpoch{Epoch: Epoch(u32())}
	case KindRaiseProtocol:
		return &RaiseProtocol{Version: u32()}
	case KindApply:
		return &Apply{Reporter: drawID(t), Role: InstitutionRole(u8()), Commitment: drawHash(t), Keys: drawKeys(t)}
	case KindAdvance:
		return &Advance{Reporter: drawID(t), To: Stage(u8()), Purposes: Purpose(u8()), Proof: drawHash(t), Size: rapid.Uint64().Draw(t, "size"), Root: drawHash(t), Comment: name()}
	case KindRevokeCertificate:
		return &RevokeCertificate{Fingerprint: drawHash(t), Reason: name()}
	case KindSetLives:
		p := &SetLives{Lives: []LongestLife{}}
		for range rapid.IntRange(0, 4).Draw(t, "lives") {
			p.Lives = append(p.Lives, LongestLife{Code: rapid.Uint16().Draw(t, "code"), Days: rapid.Uint16().Draw(t, "days")})
		}
		return p
	case KindFeedback:
		p := &Feedback{Acts: []Act{}}
		for range rapid.IntRange(0, 4).Draw(t, "acts") {
			p.Acts = append(p.Acts, Act{Target: drawTarget(t), Action: Advice(u8())})
		}
		return p
	case KindProtect:
		return &Protect{}
	case KindSetPolicy:
		p := samplePolicy()
		p.Version, p.Deny, p.Cases = u32(), rapid.Uint16().Draw(t, "deny"), []CaseLife{{rapid.Uint16().Draw(t, "code"), rapid.Uint16().Draw(t, "days")}}
		return &SetPolicy{Policy: p}
	default:
		return &ResetTime{Time: rapid.Int64().Draw(t, "time"), Count: u32()}
	}
}

func drawCommand(t *rapid.T) *Command {
	kind := CommandKind(rapid.IntRange(1, int(commandKinds)-1).Draw(t, "command"))
	c := &Command{Network: drawHash(t), Author: drawID(t), Params: drawParams(t, kind), Items: []Item{}}
	c.Time = rapid.Int64Range(1, MaxTimeMillis).Draw(t, "time")
	c.NotAfter = c.Time + rapid.Int64Range(0, MaxNotAfterMillis).Draw(t, "lifetime")
	for i := range rapid.IntRange(1, MaxSigners).Draw(t, "signers") {
		s := Signer{Reporter: drawID(t), Key: drawID(t), Algorithm: Ed25519}
		s.Key[0] = uint8(i) // no two the same
		c.Signers = append(c.Signers, s)
	}
	c.Signers[0].Reporter = c.Author
	switch itemsOf(kind) {
	case ItemPublish:
		for range rapid.IntRange(1, 5).Draw(t, "items") {
			c.Items = append(c.Items, drawItem(t, rapid.SampledFrom([]ItemOp{ItemPublish, ItemLift, ItemSuspend, ItemResume}).Draw(t, "op")))
		}
	case ItemProtect:
		for range rapid.IntRange(1, 3).Draw(t, "items") {
			c.Items = append(c.Items, drawItem(t, rapid.SampledFrom([]ItemOp{ItemProtect, ItemUnprotect}).Draw(t, "op")))
		}
	case ItemDocument:
		c.Items = append(c.Items, drawItem(t, ItemDocument))
	}
	return c
}

func drawSignatures(t *rapid.T) [][]byte {
	return rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 64, 64), 0, MaxSigners).Draw(t, "signatures")
}

func drawSigned(t *rapid.T) *Signed {
	s := &Signed{Header: rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(t, "header"), Signatures: drawSignatures(t), Bodies: []Body{}}
	for range rapid.IntRange(0, 4).Draw(t, "bodies") {
		b := Body{}
		if rapid.Bool().Draw(t, "kept") {
			b = Body{Salt: [16]byte(drawID(t)), Data: rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(t, "data")}
		}
		s.Bodies = append(s.Bodies, b)
	}
	return s
}

func drawLeaf(t *rapid.T) *Leaf {
	l := &Leaf{Header: rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(t, "header"), Signatures: drawSignatures(t),
		At: rapid.Int64().Draw(t, "at"), Proposer: drawID(t), State: drawHash(t), Outcomes: []Outcome{}}
	if rapid.Bool().Draw(t, "refused") {
		l.Refusal = Refusal(rapid.IntRange(1, int(refusals)-1).Draw(t, "refusal"))
		return l
	}
	for range rapid.IntRange(0, 5).Draw(t, "outcomes") {
		o := Outcome{Status: Status(rapid.IntRange(1, int(statuses)-1).Draw(t, "status"))}
		switch {
		case o.Status.concerns():
			o.Target = drawTarget(t)
		case o.Status == Refused:
			o.Refusal = Refusal(rapid.IntRange(1, int(refusals)-1).Draw(t, "refusal"))
		}
		l.Outcomes = append(l.Outcomes, o)
	}
	return l
}

func drawListingBody(t *rapid.T) *ListingBody {
	i64 := rapid.Int64()
	b := &ListingBody{Token: Token(drawID(t)), Epoch: Epoch(rapid.Uint32().Draw(t, "epoch")),
		Part: Part(rapid.IntRange(1, int(parts)-1).Draw(t, "part")), Action: Advice(rapid.IntRange(1, int(advices)-1).Draw(t, "advice")),
		Phases: rapid.Byte().Draw(t, "phases") & 0x0e, Purposes: Purpose(rapid.ByteRange(1, uint8(AllPurposes)).Draw(t, "purposes")),
		Category: drawText(t, 40), LegalBasis: drawText(t, 40), Channel: drawText(t, 40), Reference: drawText(t, 40),
		Tier: Tier(rapid.ByteRange(0, uint8(MaxTier)).Draw(t, "tier")), Handling: rapid.Uint16().Draw(t, "handling"),
		Found: i64.Draw(t, "found"), Effective: i64.Draw(t, "effective"), Review: i64.Draw(t, "review"), OccurredFrom: i64.Draw(t, "from"),
		Note: drawText(t, 40), NoteZH: drawText(t, 40)}
	b.Exit = Exit{How: drawText(t, 40), Papers: drawText(t, 40), Whom: drawText(t, 40), Days: rapid.Uint16().Draw(t, "days")}
	for range rapid.IntRange(0, MaxEvidence).Draw(t, "evidence") {
		b.Evidence = append(b.Evidence, Evidence{Hash: drawHash(t), Type: drawText(t, 20), Holder: drawID(t)})
	}
	return b
}

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		command, signed, leaf, body := drawCommand(t), drawSigned(t), drawLeaf(t), drawListingBody(t)
		header, err := command.Encode()
		if err != nil {
			t.Fatalf("encode a command: %v", err)
		}
		content, err := body.Encode()
		if err != nil {
			t.Fatalf("encode a body: %v", err)
		}
		entry := &Entry{At: rapid.Int64().Draw(t, "at"), Proposer: drawID(t), Signed: signed}
		same(t, command, orError(DecodeCommand(header)))
		same(t, body, orError(DecodeListingBody(content)))
		same(t, signed, orError(DecodeSigned(signed.Encode())))
		same(t, entry, orError(DecodeEntry(entry.Encode())))
		same(t, leaf, orError(DecodeLeaf(leaf.Encode())))
	})
}

func orError(decoded any, err error) any {
	if err != nil {
		return err
	}
	return decoded
}

func same(t *rapid.T, want, got any) {
	if !reflect.DeepEqual(want, got) {
		t.Fatalf("\nwritten %+v\n   read %+v", want, got)
	}
}

func TestEveryRecordIsReadBack(t *testing.T) {
	type readable interface {
		record
		read(*reader)
	}
	for name, rec := range sampleRecords() {
		value := rec.appendTo(nil)
		var err error
		switch rec := rec.(type) {
		case *PutNode:
			_, err = ReadNode(value)
		case readable:
			fresh := reflect.New(reflect.TypeOf(rec).Elem()).Interface().(readable)
			if err = readRecord(value, fresh.read); err == nil && string(fresh.appendTo(nil)) != string(value) {
				t.Errorf("%s does not come back as it was", name)
			}
			if readRecord(value[:len(value)-1], fresh.read) == nil || readRecord(append(value, 0), fresh.read) == nil {
				t.Errorf("%s is read with a byte less or more", name)
			}
		default:
			t.Errorf("%s cannot be read", name)
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	id := ListingID{Leaf: 1 << 40, Item: 511}
	if back := ParseListingRecordKey(ListingRecordKey(id)); back != id {
		t.Errorf("the key of listing %s is read as %s", id, back)
	}
	if b := id.AppendTo(nil); len(b) != ItemIDBytes || ReadItemID(b) != id {
		t.Errorf("the bytes of listing %s are read as %s", id, ReadItemID(b))
	}
	if back, err := ParseItemID(id.String()); err != nil || back != id {
		t.Errorf("%s is read as %s, %v", id, back, err)
	}
	for _, text := range []string{"", "1", "1.", ".1", "1.2.3", "-1.2", "1.65536", "01.2", "1.2 "} {
		if id, err := ParseItemID(text); err == nil {
			t.Errorf("%q is read as listing %s", text, id)
		}
	}
}
