package risk

import "encoding/binary"

// A record is one unit of the replicated state: a key and a value in the codec
// above. The state digest is taken over all records, so these layouts are part
// of the formats. A key is a table byte and the fields named beside the type.
type record interface {
	key() []byte
	appendTo(dst []byte) []byte
}

// The tables of records.
const (
	tableNetwork     = 'n'
	tableClock       = 't'
	tableEpochs      = 'e'
	tableRulesHead   = 'h'
	tableScopes      = 's'
	tableInstitution = 'i'
	tableKey         = 'k'
	tableNode        = 'o'
	tableRuleSet     = 'r'
	tableListing     = 'l'
	tableRemembered  = 'c'
	tableRevocation  = 'v' // from protocol 2 on, as all that follow
	tableReputation  = 'u'
	tablePolicy      = 'w'
	tableLives       = 'd'
	tableAct         = 'y'
	tableProtection  = 'p'
)

// Exported names of the tables that a store walks.
const (
	TableInstitutions = tableInstitution
	TableKeys         = tableKey
	TableNodes        = tableNode
	TableRuleSets     = tableRuleSet
	TableListings     = tableListing
	TableRemembered   = tableRemembered
	TableScopes       = tableScopes
	TableEpochs       = tableEpochs
	TableRulesHead    = tableRulesHead
	TableRevocations  = tableRevocation
	TableReputations  = tableReputation
	TablePolicy       = tablePolicy
	TableLives        = tableLives
	TableActs         = tableAct
	TableProtections  = tableProtection
)

// Network is what the founding command set, and what later commands may raise.
//
//	key n | id 32 | text name | text origin | u32 protocol | u8 threshold |
//	hub 16 | u16 voters | u32 resets
type Network struct {
	ID        Hash
	Name      string
	Origin    string
	Protocol  uint32
	Threshold uint8
	Hub       ID
	Voters    uint16
	Resets    uint32
}

// Clock is the network's time: the latest stamp among accepted commands. While a
// bad stamp held it too far ahead, outcomes were forgotten too early, so what was
// signed up to the floor, the time of the latest reset, is never applied again.
//
//	key t | i64 time | i64 floor
type Clock struct{ Time, Floor int64 }

// Epochs are the token keys in use, oldest first.
//
//	key e | u8 count { u32 epoch | commitment 32 }
type Epochs struct{ Live []OpenEpoch }

// RulesHead says which rule sets are the newest and the one in force.
//
//	key h | u32 last | u32 active
type RulesHead struct{ Last, Active uint32 }

// Scopes counts the listings and protections of each scope, so that checks ask no more than is
// in use. Since is the size of the ledger from which on exactly these scopes and
// token epochs have been in use: whoever made tokens under a smaller one may
// have left out what must be asked.
//
//	key s | u64 since | u16 count { u8 family | u8 length | u64 listings }
type Scopes struct {
	Since  uint64
	Counts []ScopeCount
}

// ScopeCount is the number of listings that have one scope.
type ScopeCount struct {
	Scope    Scope
	Listings uint64
}

// Institution is a reporting identity.
//
//	key i reporter 16 | u8 role | u8 stage | u8 purposes | commitment 32 |
//	u8 keys | i64 admitted
type Institution struct {
	Reporter   ID
	Role       InstitutionRole
	Stage      Stage
	Purposes   Purpose // what it may use shared data for
	Commitment Hash
	Keys       uint8 // how many are not retired
	AdmittedAt int64
}

// AuthorKey is a key that signs for an institution.
//
//	key k reporter 16 key 16 | u8 algorithm | public 32 | i64 from | i64 retired
type AuthorKey struct {
	Reporter  ID
	Public    PublicKey
	From      int64
	RetiredAt int64 // zero while it is in use
}

// RuleSet is a published set; its source is the body of the publishing item.
//
//	key r u32 version | hash 32 | author 16 | i64 published | u8 state |
//	u64 leaf | commitment 32 | u32 previous
type RuleSet struct {
	Version     uint32
	Hash        Hash
	Author      ID
	PublishedAt int64
	State       RuleSetState
	Leaf        uint64
	Commitment  Hash
	Previous    uint32 // the set that this one took over from
}

// RuleSetState is a rule set's place in its life.
type RuleSetState uint8

// The states of a rule set.
const (
	RulesPublished RuleSetState = 1 + iota
	RulesActive
	RulesSuperseded
	RulesRolledBack
	ruleSetStates
)

var ruleSetStateNames = [ruleSetStates]string{
	RulesPublished: "published", RulesActive: "active",
	RulesSuperseded: "superseded", RulesRolledBack: "rolled_back",
}

func (s RuleSetState) String() string { return nameOf(ruleSetStateNames[:], uint8(s), "state") }

// Remembered is the first outcome of a command, kept until its not-after time:
// whoever sends the command again gets this and nothing happens twice.
//
//	key c id 32 | u64 leaf | i64 not_after | u8 refusal | outcomes
type Remembered struct {
	ID       Hash
	Leaf     uint64
	NotAfter int64
	Refusal  Refusal
	Outcomes []Outcome
}

func (*Network) key() []byte   { return []byte{tableNetwork} }
func (*Clock) key() []byte     { return []byte{tableClock} }
func (*Epochs) key() []byte    { return []byte{tableEpochs} }
func (*RulesHead) key() []byte { return []byte{tableRulesHead} }
func (*Scopes) key() []byte    { return []byte{tableScopes} }

func keyOf(table byte, parts ...[]byte) []byte {
	key := append(make([]byte, 0, 33), table)
	for _, part := range parts {
		key = append(key, part...)
	}
	return key
}

func (i *Institution) key() []byte { return keyOf(tableInstitution, i.Reporter[:]) }
func (k *AuthorKey) key() []byte {
	id := k.Public.ID()
	return keyOf(tableKey, k.Reporter[:], id[:])
}
func (p *PutNode) key() []byte    { return keyOf(tableNode, p.Node[:]) }
func (s *RuleSet) key() []byte    { return putU32([]byte{tableRuleSet}, s.Version) }
func (m *Remembered) key() []byte { return keyOf(tableRemembered, m.ID[:]) }

func (n *Network) appendTo(dst []byte) []byte {
	dst = putText(putText(append(dst, n.ID[:]...), n.Name), n.Origin)
	dst = append(append(putU32(dst, n.Protocol), n.Threshold), n.Hub[:]...)
	return putU32(putU16(dst, n.Voters), n.Resets)
}

func (n *Network) read(r *reader) {
	n.ID, n.Name, n.Origin = r.hash(), r.text(MaxNameBytes), r.text(MaxNameBytes)
	n.Protocol, n.Threshold, n.Hub = r.u32(), r.u8(), r.id()
	n.Voters, n.Resets = r.u16(), r.u32()
}

func (c *Clock) appendTo(dst []byte) []byte { return putI64(putI64(dst, c.Time), c.Floor) }
func (c *Clock) read(r *reader)             { c.Time, c.Floor = r.i64(), r.i64() }

func (e *Epochs) appendTo(dst []byte) []byte {
	dst = append(dst, uint8(len(e.Live)))
	for i := range e.Live {
		dst = e.Live[i].appendTo(dst)
	}
	return dst
}

func (e *Epochs) read(r *reader) {
	e.Live = make([]OpenEpoch, int(r.u8()))
	for i := range e.Live {
		e.Live[i] = OpenEpoch{Epoch: Epoch(r.u32()), Commitment: r.hash()}
	}
}

func (h *RulesHead) appendTo(dst []byte) []byte { return putU32(putU32(dst, h.Last), h.Active) }
func (h *RulesHead) read(r *reader)             { h.Last, h.Active = r.u32(), r.u32() }

func (s *Scopes) appendTo(dst []byte) []byte {
	dst = putU16(putU64(dst, s.Since), uint16(len(s.Counts)))
	for _, c := range s.Counts {
		dst = putU64(append(dst, uint8(c.Scope.Family), c.Scope.Length), c.Listings)
	}
	return dst
}

func (s *Scopes) read(r *reader) {
	s.Since = r.u64()
	s.Counts = make([]ScopeCount, r.count(512, 10))
	for i := range s.Counts {
		s.Counts[i] = ScopeCount{Scope: r.scope(), Listings: r.u64()}
	}
}

func (i *Institution) appendTo(dst []byte) []byte {
	dst = append(append(dst, uint8(i.Role), uint8(i.Stage), uint8(i.Purposes)), i.Commitment[:]...)
	return putI64(append(dst, i.Keys), i.AdmittedAt)
}

func (i *Institution) read(r *reader) {
	i.Role, i.Stage, i.Purposes = InstitutionRole(r.u8()), Stage(r.u8()), Purpose(r.u8())
	i.Commitment, i.Keys, i.AdmittedAt = r.hash(), r.u8(), r.i64()
}

func (k *AuthorKey) appendTo(dst []byte) []byte {
	return putI64(putI64(k.Public.appendTo(dst), k.From), k.RetiredAt)
}

func (k *AuthorKey) read(r *reader) {
	k.Public, k.From, k.RetiredAt = r.publicKey(), r.i64(), r.i64()
}

// InUse reports whether the key signs validly at a time.
func (k *AuthorKey) InUse(at int64) bool { return k.RetiredAt == 0 || at < k.RetiredAt }

func (s *RuleSet) appendTo(dst []byte) []byte {
	dst = append(append(dst, s.Hash[:]...), s.Author[:]...)
	dst = append(putI64(dst, s.PublishedAt), uint8(s.State))
	return putU32(append(putU64(dst, s.Leaf), s.Commitment[:]...), s.Previous)
}

func (s *RuleSet) read(r *reader) {
	s.Hash, s.Author, s.PublishedAt, s.State = r.hash(), r.id(), r.i64(), RuleSetState(r.u8())
	s.Leaf, s.Commitment, s.Previous = r.u64(), r.hash(), r.u32()
}

func (m *Remembered) appendTo(dst []byte) []byte {
	dst = append(putI64(putU64(dst, m.Leaf), m.NotAfter), uint8(m.Refusal))
	return appendOutcomes(dst, m.Outcomes)
}

func (m *Remembered) read(r *reader) {
	m.Leaf, m.NotAfter, m.Refusal, m.Outcomes = r.u64(), r.i64(), Refusal(r.u8()), r.outcomes()
}

// ReadInstitution, ReadAuthorKey, ReadNode and ReadRuleSet give back a record that a store has
// walked to, from its key and value.
func ReadInstitution(key, value []byte) (*Institution, error) {
	i := &Institution{Reporter: ID(key[1:])}
	return i, readRecord(value, i.read)
}

// ReadAuthorKey reads an author key's record.
func ReadAuthorKey(key, value []byte) (*AuthorKey, error) {
	k := &AuthorKey{Reporter: ID(key[1:17])}
	return k, readRecord(value, k.read)
}

// ReadNode reads a node's record.
func ReadNode(value []byte) (*PutNode, error) {
	r := readerOf("record", value)
	node, _ := readParams(r, KindPutNode).(*PutNode)
	return node, r.done()
}

// ReadRuleSet reads a rule set's record.
func ReadRuleSet(key, value []byte) (*RuleSet, error) {
	s := &RuleSet{Version: binary.BigEndian.Uint32(key[1:])}
	return s, readRecord(value, s.read)
}

func readRecord(value []byte, read func(*reader)) error {
	r := readerOf("record", value)
	read(r)
	return r.done()
}
