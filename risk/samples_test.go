package risk

import (
	"crypto/ed25519"
	"crypto/sha256"
)

// sample is one command of a kind, as the frozen vectors hold it.
type sample struct {
	name    string
	command *Command
	bodies  []Body
}

func (s sample) signed() *Signed {
	var keys []ed25519.PrivateKey
	for _, signer := range s.command.Signers {
		keys = append(keys, privateKeys[signer.Key])
	}
	signed, err := Sign(s.command, s.bodies, keys...)
	if err != nil {
		panic(err)
	}
	return signed
}

func (s sample) entry() *Entry {
	return &Entry{At: start + 7, Proposer: idNamed("node"), Signed: s.signed()}
}

// fullBody has something in every field.
func fullBody() *ListingBody {
	return &ListingBody{
		Token: Token{0xaa, 15: 0xbb}, Epoch: 2, Part: PartVictim, Category: "telecom fraud", Action: HoldFunds,
		Phases: 1<<PhasePre | 1<<PhaseIn, Purposes: PurposeScreening | PurposeAML, LegalBasis: "反电信网络诈骗法 16",
		OccurredFrom: start - 9*day, OccurredTo: start - 8*day, Found: start - 7*day, Effective: start, Review: start + 20*day,
		Channel: "GA", Reference: "2026-0001", Tier: 2, Handling: 5,
		Evidence: []Evidence{{Hash: Hash{1, 2, 3}, Type: "application/pdf", Holder: acq.id}},
		Exit:     Exit{How: "appeal", Papers: "身份证", Whom: "risk@example.org", Days: 5},
		Note:     "three victims", NoteZH: "三名受害人",
	}
}

func sampleItems() ([]Item, []Body) {
	data, err := fullBody().Encode()
	if err != nil {
		panic(err)
	}
	body := bodyOf(data)
	publish := Item{Op: ItemPublish, Kind: KindIP, Scope: Scope{Family: FamilyIPv4, Length: 24}, Code: 0x1234, Level: 1,
		List: ListHint, Expiry: start + 30*day, SourceDate: start - day, Origin: OriginNamed(OriginAuthority, "police"), Commitment: body.Commit()}
	lift, note := liftOf(ListingID{Leaf: 77, Item: 3}, LiftError)
	return []Item{publish, lift}, []Body{body, note}
}

// laterItems are the operations on listings of protocol 2.
func laterItems() map[string]Item {
	note := bodyOf([]byte("looked at again"))
	suspend := Item{Op: ItemSuspend, Target: ListingID{Leaf: 77, Item: 3}, Commitment: note.Commit()}
	resume := suspend
	resume.Op = ItemResume
	return map[string]Item{"suspend": suspend, "resume": resume}
}

func fullProtection() *ProtectionBody {
	return &ProtectionBody{Token: Token{0xcc, 15: 0xdd}, Epoch: 2, Covers: "salaries", Comment: "两人批准 2026-17"}
}

func protectItems() ([]Item, []Body) {
	data, err := fullProtection().Encode()
	if err != nil {
		panic(err)
	}
	body, note := bodyOf(data), bodyOf(nil)
	return []Item{
		{Op: ItemProtect, Kind: KindIP, Scope: Scope{Family: FamilyIPv4, Length: 24}, Expiry: start + 90*day, Commitment: body.Commit()},
		{Op: ItemUnprotect, Target: ItemID{Leaf: 78, Item: 4}, Commitment: note.Commit()},
	}, []Body{body, note}
}

func sampleParams() []Params {
	spare := publicOf(keyNamed("spare 1"))
	return []Params{
		foundParams(),
		&Admit{Reporter: acq.id, Role: RoleMember, Commitment: CommitInstitution([16]byte{2}, acq.id, "Acquirer"), Keys: acq.publics()},
		&AddKey{Reporter: acq.id, Key: spare},
		&RetireKey{Reporter: acq.id, Key: spare.ID(), At: start + hour},
		&PutNode{Node: idNamed("node"), Name: "acq-1", Institution: "Acquirer", Raft: "127.0.0.1:1", API: "127.0.0.1:2", HTTP: "127.0.0.1:3", Suffrage: Voter, LogKey: spare},
		&RemoveNode{Node: idNamed("node")},
		&Listings{},
		&PublishRules{Hash: sha256.Sum256([]byte("rules: []\n"))},
		&ActivateRules{Version: 2},
		&RollbackRules{From: 2},
		&OpenEpoch{Epoch: 2, Commitment: CommitEpochKey([32]byte{2})},
		&CloseEpoch{Epoch: 1},
		&RaiseProtocol{Version: 2},
		&ResetTime{Time: start - hour, Count: 1},
		&Apply{Reporter: idNamed("new"), Role: RoleMember, Commitment: CommitInstitution([16]byte{3}, idNamed("new"), "New"), Keys: []PublicKey{spare}},
		&Advance{Reporter: acq.id, To: StageSigned, Purposes: PurposeScreening, Proof: Hash{7}, Size: 12, Root: Hash{8}, Comment: "seen"},
		&RevokeCertificate{Fingerprint: Hash{0x0c, 31: 1}, Reason: "stolen"},
		&SetPolicy{Policy: samplePolicy()},
		&SetLives{Lives: []LongestLife{{Code: 4, Days: 180}, {Code: 0x1234, Days: 0x0201}}},
		&Feedback{Acts: []Act{{Target: ListingID{Leaf: 77, Item: 3}, Action: HoldFunds}, {Target: ListingID{Leaf: 78}, Action: Deny}}},
		&Protect{},
	}
}

// samplePolicy has another number in each place.
func samplePolicy() Policy {
	p := Policy{Version: 1, Tiers: [...]uint16{101, 302, 503, 804}, Copied: 505, Name: 306, Fade: 187,
		Trust: 28, Penalty: 9, Least: 510, StepUp: 411, Hold: 512, Deny: 613, Cases: []CaseLife{{6, 28}, {44, 0x0102}}}
	for k := Kind(1); k < Kinds; k++ {
		p.Kinds[k] = 700 + uint16(k)
	}
	return p
}

// samples has one command of every kind.
func samples() []sample {
	var all []sample
	for _, params := range sampleParams() {
		c := &Command{Network: Hash{9}, Author: hub.id, Time: start, NotAfter: start + hour, Signers: hub.signers(2), Params: params, Items: []Item{}}
		s := sample{name: params.Kind().String(), command: c}
		switch params.Kind() {
		case KindFound:
			c.Network = Hash{}
		case KindListings:
			c.Author, c.Signers = acq.id, append(acq.signers(1), hub.signers(1)...)
			c.Items, s.bodies = sampleItems()
		case KindProtect:
			c.Items, s.bodies = protectItems()
		case KindPublishRules:
			s.bodies = []Body{bodyOf([]byte("rules: []\n"))}
			c.Items = []Item{{Op: ItemDocument, Commitment: s.bodies[0].Commit()}}
		}
		all = append(all, s)
	}
	return all
}

// sampleLeaves are one leaf that was accepted with every status of an item that
// there is, and one that was refused.
func sampleLeaves() map[string]*Leaf {
	signed := samples()[6].signed()
	base := Leaf{Header: signed.Header, Signatures: signed.Signatures, At: start + 7, Proposer: idNamed("node"), State: Hash{0xfe, 31: 0xef}}
	accepted, refused, later := base, base, base
	target := ListingID{Leaf: 0x0102030405060708, Item: 0x090a}
	accepted.Outcomes = []Outcome{{Status: Created}, {Status: Unchanged, Target: target}, {Status: Revised, Target: target},
		{Status: Extended, Target: target}, {Status: Lifted, Target: target}, {Status: Refused, Refusal: BadExpiry}, {Status: Kept}}
	later.Outcomes = []Outcome{{Status: WasSuspended, Target: target}, {Status: WasResumed, Target: target},
		{Status: WasRenewed, Target: target}, {Status: Noted, Target: target}}
	refused.Refusal, refused.Outcomes = NotPermitted, []Outcome{}
	return map[string]*Leaf{"accepted": &accepted, "refused": &refused, "protocol_2": &later}
}

// sampleRecords are one record of every table.
func sampleRecords() map[string]record {
	items, _ := sampleItems()
	policy := samplePolicy()
	return map[string]record{
		"network":     &Network{ID: Hash{9}, Name: "test", Origin: "risknet.example/test", Protocol: 1, Threshold: 2, Hub: hub.id, Voters: 3, Resets: 1},
		"clock":       &Clock{Time: start, Floor: start - day},
		"epochs":      &Epochs{Live: []OpenEpoch{{Epoch: 1, Commitment: Hash{1}}, {Epoch: 2, Commitment: Hash{2}}}},
		"rules_head":  &RulesHead{Last: 3, Active: 2},
		"scopes":      &Scopes{Since: 9, Counts: []ScopeCount{{Scope: Scope{Family: FamilyIPv4, Length: 24}, Listings: 7}, {Scope: Scope{Family: FamilyDomain, Length: 2}, Listings: 1 << 40}}},
		"institution": &Institution{Reporter: acq.id, Role: RoleMember, Stage: StageLive, Purposes: PurposeScreening, Commitment: Hash{3}, Keys: 2, AdmittedAt: start},
		"author_key":  &AuthorKey{Reporter: acq.id, Public: publicOf(acq.keys[0]), From: start, RetiredAt: start + day},
		"node":        sampleParams()[4].(*PutNode),
		"rule_set":    &RuleSet{Version: 2, Hash: Hash{4}, Author: hub.id, PublishedAt: start, State: RulesActive, Leaf: 12, Commitment: Hash{5}, Previous: 1},
		"listing": &Listing{ID: ListingID{Leaf: 5, Item: 6}, Reporter: acq.id, Item: items[0], Rev: ItemID{Leaf: 7, Item: 8}, Revisions: 1,
			State: LiftedError, ReportedAt: start, ChangedAt: start + 1, EndedAt: start + 2},
		"listing_taken": &Listing{ID: ListingID{Leaf: 5, Item: 7}, Reporter: acq.id, Item: items[0], Rev: ItemID{Leaf: 5, Item: 7},
			State: Renewed, ReportedAt: start, ChangedAt: start + 1, Taken: Taken{Allow: 1, Observe: 2, StepUp: 3, Limit: 4, DelaySettlement: 5, HoldFunds: 6, Deny: 0x0708}},
		"taking":     &Taking{Target: ListingID{Leaf: 5, Item: 7}, Reporter: wallet.id, Action: HoldFunds, At: start + 3},
		"lives":      &Lives{Longest: []LongestLife{{Code: 4, Days: 180}, {Code: 9, Days: 0x0102}}},
		"protection": &Protection{ID: ItemID{Leaf: 8, Item: 1}, Kind: KindIP, Scope: Scope{Family: FamilyIPv4, Length: 24}, Expiry: start + 90*day, Commitment: Hash{8}, Since: start, EndedAt: start + day},
		"policy":     &policy,
		"reputation": &Reputation{Reporter: acq.id, Reported: 0x0102, Errors: 0x0304},
		"revocation": &Revocation{Fingerprint: Hash{0x0c, 31: 1}, At: start, Reason: "stolen"},
		"remembered": &Remembered{ID: Hash{6}, Leaf: 5, NotAfter: start + hour, Outcomes: sampleLeaves()["accepted"].Outcomes},
	}
}
