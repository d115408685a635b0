package risk

// State is what the law may read and write: records with a due time, the index
// of listings by what they are about, and the bodies of items. A write is seen
// by the reads after it. An error means that the state cannot be read; the
// caller must stop, because a guess would make this replica differ.
type State interface {
	// Record gives a record's value, nil if there is none.
	Record(key []byte) ([]byte, error)
	Put(Change) error
	// Due lists the keys of up to limit records of a table whose due time has
	// come, in the order of (due time, key).
	Due(table byte, now int64, limit int) ([][]byte, error)
	// Count says how many records a table has; of [TableProtections] alone.
	Count(table byte) (int, error)
	// Takers lists the first n reporters that have a [Taking] on a listing. There are
	// so many: the listing counts them.
	Takers(listing ListingID, n int) ([]ID, error)

	// Find gives the newest listing of a key.
	Find(ListingKey) (ListingID, bool, error)
	Link(ListingKey, ListingID) error
	Unlink(ListingKey, ListingID) error

	// Body gives an item's body; it is erased if there is none any more.
	Body(ItemID) (Body, error)
	KeepBody(ItemID, Body) error
	DropBody(ItemID) error
}

// Change is one record's way from its old value to its new one; nil stands for
// no record. Due is when the record may be removed, zero for never.
type Change struct {
	Key    []byte
	Old    []byte
	New    []byte
	OldDue int64
	NewDue int64
}

// step is one application of the law: the state, the time it happens at, and
// the command. Its methods return a refusal to the author as *Error, and a
// failure of the state as any other error.
type step struct {
	State
	net   *Network // nil before the founding
	clock Clock
	tick  []byte // the clock's record, nil if there is none yet
	now   int64
	leaf  uint64
	cmd   *Command
	entry *Entry

	epochs Epochs          // set for listings and protections alone
	lives  Lives           // set for listings alone
	scopes map[Scope]int64 // what this command adds to the counts

	reputations map[ID]Reputation // and to what is held for and against reporters

	quarantined bool // the author may lift and not report
	epochsMoved bool // an epoch came into use or left
}

// load reads the record at key into a noun. It gives the raw value, to be handed
// back as the old one when the record changes, and nil if there is no record.
func (s *step) load(key []byte, read func(*reader)) ([]byte, error) {
	raw, err := s.Record(key)
	if err != nil || raw == nil {
		return nil, err
	}
	return raw, readRecord(raw, read)
}

func (s *step) save(old []byte, rec record) error {
	return s.Put(Change{Key: rec.key(), Old: old, New: rec.appendTo(nil)})
}

// begin reads what every command is judged by: the network, its time, and the
// time that a command stamped `at` happens at.
func (s *step) begin(at int64) error {
	var err error
	if s.net, err = LoadNetwork(s); err != nil {
		return err
	}
	if s.tick, err = s.load(s.clock.key(), s.clock.read); err != nil {
		return err
	}
	s.now = max(s.clock.Time, min(at, MaxTimeMillis))
	return nil
}

func (s *step) setClock(to Clock) error {
	err := s.save(s.tick, &to)
	s.clock, s.tick = to, to.appendTo(nil)
	return err
}

// LoadNetwork reads the network's record; nil before the founding.
func LoadNetwork(st State) (*Network, error) {
	n := &Network{}
	raw, err := (&step{State: st}).load(n.key(), n.read)
	if err != nil || raw == nil {
		return nil, err
	}
	return n, nil
}

// LoadClock reads the network's time.
func LoadClock(st State) (Clock, error) {
	c := Clock{}
	_, err := (&step{State: st}).load(c.key(), c.read)
	return c, err
}

// LoadEpochs reads the token keys in use.
func LoadEpochs(st State) (Epochs, error) {
	e := Epochs{}
	_, err := (&step{State: st}).load(e.key(), e.read)
	return e, err
}

// LoadRulesHead reads which rule sets are the newest and the one in force.
func LoadRulesHead(st State) (RulesHead, error) {
	h := RulesHead{}
	_, err := (&step{State: st}).load(h.key(), h.read)
	return h, err
}

// LoadScopes reads which scopes are in use.
func LoadScopes(st State) (Scopes, error) {
	sc := Scopes{}
	_, err := (&step{State: st}).load(sc.key(), sc.read)
	return sc, err
}

// LoadInstitution reads an institution; nil if it was never admitted.
func LoadInstitution(st State, reporter ID) (*Institution, error) {
	i := &Institution{Reporter: reporter}
	raw, err := (&step{State: st}).load(i.key(), i.read)
	if err != nil || raw == nil {
		return nil, err
	}
	return i, nil
}

// LoadRuleSet reads a rule set; nil if the version was never published.
func LoadRuleSet(st State, version uint32) (*RuleSet, error) {
	set := &RuleSet{Version: version}
	raw, err := (&step{State: st}).load(set.key(), set.read)
	if err != nil || raw == nil {
		return nil, err
	}
	return set, nil
}

// LoadListing reads a listing; nil if there is none of that id.
func LoadListing(st State, id ListingID) (*Listing, error) {
	l := &Listing{ID: id}
	raw, err := (&step{State: st}).load(l.key(), l.read)
	if err != nil || raw == nil {
		return nil, err
	}
	return l, nil
}

// authorKey reads a key of an institution; nil if it never had it.
func (s *step) authorKey(reporter, key ID) (*AuthorKey, []byte, error) {
	k := &AuthorKey{Reporter: reporter}
	raw, err := s.load(keyOf(tableKey, reporter[:], key[:]), k.read)
	if err != nil || raw == nil {
		return nil, nil, err
	}
	return k, raw, nil
}
