package risk

import (
	"crypto/ed25519"
	"errors"
	"fmt"
)

// Result is what became of a command.
type Result struct {
	ID       Hash
	Command  *Command // nil if the bytes are not a command
	Leaf     bool     // the command is a leaf of the ledger
	Refusal  *Error   // nil if the command was accepted
	Outcomes []Outcome
	First    *Remembered // the command was seen before; this was its outcome
}

// Step applies one entry of the log to the state, as leaf number `leaf`. It is
// the law of the network, in three steps: well-formed, signed, the change.
//
// What is not validly signed by a key that the state knows leaves nothing, and
// neither does what comes outside its time: its first outcome may be forgotten,
// and anybody who kept it could fill the ledger in its author's name. All else
// becomes a leaf, also when it is refused. The error tells that the state could
// not be read or written, or that this program is too old to go on.
//
// recorded are the outcomes of the decoded leaf, when a ledger is replayed; they
// stand in for bodies that have been destroyed. It is nil when the leaf is new.
func Step(st State, e *Entry, leaf uint64, recorded []Outcome) (Result, error) {
	res := Result{ID: e.Signed.ID()}
	s := &step{State: st, leaf: leaf, entry: e}
	var err error
	if s.cmd, err = DecodeCommand(e.Signed.Header); err != nil {
		return res.refused(err)
	}
	res.Command = s.cmd
	if err = s.begin(e.At); err != nil {
		return res, err
	}
	if err = s.spoken(); err != nil {
		return res.refused(err)
	}
	retired, err := s.verify(recorded != nil)
	if err != nil {
		return res.refused(err)
	}
	if res.First, err = s.remembered(res.ID); err != nil || res.First != nil {
		return res, err
	}
	if err = s.timely(); err != nil {
		return res.refused(err)
	}
	err = retired
	if err == nil {
		err = s.judge(&res, recorded)
	}
	if _, err = res.refused(err); err != nil || s.fruitless(&res) {
		return res, err
	}
	res.Leaf = true
	return res, s.settle(&res)
}

// fruitless reports whether a refused command leaves nothing. Before there is a
// network there is no ledger to leave a trace in; and a reset of the time stands
// outside the time rule, so that anybody could send an old one again for ever.
func (s *step) fruitless(res *Result) bool {
	return res.Refusal != nil && (s.net == nil || s.cmd.Params.Kind() == KindResetTime)
}

// Verify is the courtesy that a node does before it asks for order: the first
// two steps of [Step] and its time rule, against the state as it is now. It gives the
// command.
func Verify(st State, signed *Signed, at int64) (*Command, error) {
	s := &step{State: st, entry: &Entry{At: at, Signed: signed}}
	var err error
	if s.cmd, err = DecodeCommand(signed.Header); err != nil {
		return nil, err
	}
	if err = s.begin(at); err != nil {
		return nil, err
	}
	if err = s.spoken(); err != nil {
		return nil, err
	}
	retired, err := s.verify(false)
	if err != nil {
		return nil, err
	}
	if first, err := s.remembered(signed.ID()); err != nil || first != nil {
		return s.cmd, err
	}
	if err := s.timely(); err != nil {
		return nil, err
	}
	return s.cmd, retired
}

// refused takes a refusal into the result; any other error is passed on.
func (r *Result) refused(err error) (Result, error) {
	if refusal, ok := errors.AsType[*Error](err); ok {
		r.Refusal = refusal
		r.Outcomes = nil
		return *r, nil
	}
	return *r, err
}

// verify checks network, bodies and signatures. The first result is the refusal
// of a command that is signed, but by a key that has been retired.
func (s *step) verify(replay bool) (retired, err error) {
	switch {
	case s.net == nil && s.cmd.Params.Kind() != KindFound:
		return nil, refuse(WrongNetwork, "network", "no network has been founded here; found or join one first")
	case s.net == nil && !s.cmd.Network.IsZero():
		return nil, refuse(WrongNetwork, "network", "a founding command names no network")
	case s.net != nil && s.cmd.Network != s.net.ID && s.entry.Signed.ID() != s.net.ID:
		return nil, refuse(WrongNetwork, "network", "signed for network %s, this is %s; sign again for this one", short(s.cmd.Network), short(s.net.ID))
	}
	signed := s.entry.Signed
	if len(signed.Bodies) != len(s.cmd.Items) {
		return nil, refuse(BodyMismatch, "bodies", "%d bodies came with %d items; send one for each", len(signed.Bodies), len(s.cmd.Items))
	}
	for i := range signed.Bodies {
		if replay && signed.Bodies[i].Erased() {
			continue
		}
		if signed.Bodies[i].Erased() || signed.Bodies[i].Commit() != s.cmd.Items[i].Commitment {
			return nil, refuse(BodyMismatch, fmt.Sprintf("bodies[%d]", i), "does not match the commitment that was signed; send the body and salt that were committed to")
		}
	}
	if len(signed.Signatures) != len(s.cmd.Signers) {
		return nil, refuse(BadSignature, "signatures", "%d signatures came for %d signers", len(signed.Signatures), len(s.cmd.Signers))
	}
	message := SigningBytes(signed.Header)
	for i, signer := range s.cmd.Signers {
		key, err := s.signerKey(signer)
		if err != nil {
			return nil, err
		}
		if !ed25519.Verify(key.Public.Bytes[:], message, signed.Signatures[i]) {
			return nil, refuse(BadSignature, "signatures", "the signature of key %s does not verify; sign the exact bytes that are sent", signer.Key)
		}
		if !key.InUse(s.now) {
			retired = refuse(KeyRetired, "key", "key %s was retired; sign with one that is in use, or have the hub add one", signer.Key)
		}
	}
	return retired, nil
}

func (s *step) signerKey(signer Signer) (*AuthorKey, error) {
	if found, ok := s.cmd.Params.(*Found); ok && s.net == nil {
		for _, k := range found.HubKeys {
			if k.ID() == signer.Key {
				return &AuthorKey{Reporter: signer.Reporter, Public: k}, nil
			}
		}
		return nil, refuse(UnknownKey, "key", "a founding command is signed by its own hub keys; %s is not one", signer.Key)
	}
	key, _, err := s.authorKey(signer.Reporter, signer.Key)
	if key == nil && err == nil {
		key, err = s.applicantKey(signer)
	}
	if err == nil && key == nil {
		err = refuse(UnknownKey, "key", "the network knows no key %s of %s; add it with one that it knows, or have the hub do so", signer.Key, signer.Reporter)
	}
	return key, err
}

// applicantKey finds the key of somebody new in the application that brings it. It
// signs beside the author and never as the author, nor for anybody who is known:
// otherwise whoever makes up a key could speak in any name, and what is refused is
// still a leaf of that name.
func (s *step) applicantKey(signer Signer) (*AuthorKey, error) {
	p, ok := s.cmd.Params.(*Apply)
	if !ok || signer.Reporter != p.Reporter || signer.Reporter == s.cmd.Author {
		return nil, nil
	}
	if known, err := LoadInstitution(s, p.Reporter); known != nil || err != nil {
		return nil, err
	}
	for _, k := range p.Keys {
		if k.ID() == signer.Key {
			return &AuthorKey{Reporter: signer.Reporter, Public: k}, nil
		}
	}
	return nil, nil
}

func short(h Hash) string { return h.String()[:16] }

func (s *step) remembered(id Hash) (*Remembered, error) {
	m := &Remembered{ID: id}
	raw, err := s.load(m.key(), m.read)
	if err != nil || raw == nil {
		return nil, err
	}
	return m, nil
}

// timely is the time rule. A reset of the network's time stands outside it: it
// is what cures a time that is wrong.
func (s *step) timely() error {
	c := s.cmd
	switch {
	case c.Params.Kind() == KindResetTime:
		return nil
	case c.Time <= s.clock.Floor:
		return refuse(TooOld, "time", "is before the network's time was reset; sign again")
	case c.Time > s.now+MaxAheadMillis:
		return refuse(TooNew, "time", "is %d s ahead of the network's; set the author's clock", (c.Time-s.now)/1000)
	case c.NotAfter < s.now:
		return refuse(TooOld, "not_after", "passed %d s ago on the network's clock; sign again with a later one", (s.now-c.NotAfter)/1000)
	}
	return nil
}

// judge is the third step: permission, then the change. A change that refuses
// does so before its first write.
func (s *step) judge(res *Result, recorded []Outcome) error {
	if err := s.permitted(); err != nil {
		return err
	}
	switch p := s.cmd.Params.(type) {
	case *Found:
		return s.found(p, res.ID)
	case *Admit:
		return s.admit(p)
	case *AddKey:
		return s.addKey(p)
	case *RetireKey:
		return s.retireKey(p)
	case *PutNode:
		return s.putNode(p)
	case *RemoveNode:
		return s.removeNode(p)
	case *Listings:
		return s.listings(res, recorded)
	case *PublishRules:
		return s.publishRules(p, res, recorded)
	case *ActivateRules:
		return s.activateRules(p.Version)
	case *RollbackRules:
		return s.rollbackRules(p)
	case *OpenEpoch:
		return s.openEpoch(p)
	case *CloseEpoch:
		return s.closeEpoch(p)
	case *RaiseProtocol:
		return s.raiseProtocol(p)
	case *ResetTime:
		return s.resetTime(p)
	case *Apply:
		return s.apply(p)
	case *Advance:
		return s.advance(p)
	case *RevokeCertificate:
		return s.revokeCertificate(p)
	case *SetPolicy:
		return s.setPolicy(p)
	case *SetLives:
		return s.setLives(p)
	case *Feedback:
		return s.feedback(p, res)
	case *Protect:
		return s.protect(res, recorded)
	default:
		return refuse(Unsupported, "kind", "this protocol does not apply %s", s.cmd.Params.Kind())
	}
}

// settle writes what each leaf leaves beside its own change: the time, the
// remembered outcome, and the removal of what is past its retention.
func (s *step) settle(res *Result) error {
	if res.Refusal == nil && s.cmd.Params.Kind() != KindResetTime && s.now != s.clock.Time {
		if err := s.setClock(Clock{Time: s.now, Floor: s.clock.Floor}); err != nil {
			return err
		}
	}
	if err := s.sweep(s.clock.Time); err != nil {
		return err
	}
	if err := errors.Join(s.saveScopes(), s.saveReputations()); err != nil {
		return err
	}
	m := &Remembered{ID: res.ID, Leaf: s.leaf, NotAfter: s.cmd.NotAfter, Outcomes: res.Outcomes}
	if res.Refusal != nil {
		m.Refusal = res.Refusal.Kind
	}
	return s.Put(Change{Key: m.key(), New: m.appendTo(nil), NewDue: m.NotAfter + 1})
}

// sweep removes up to MaxRemovals outcomes that need not be remembered, as many
// listings past their retention, with what was done on them, and as many protections.
func (s *step) sweep(now int64) error {
	keys, err := s.Due(tableRemembered, now, MaxRemovals)
	if err != nil {
		return err
	}
	for _, key := range keys {
		m := &Remembered{ID: Hash(key[1:])}
		raw, err := s.load(key, m.read)
		if err != nil {
			return err
		}
		if err := s.Put(Change{Key: key, Old: raw, OldDue: m.NotAfter + 1}); err != nil {
			return err
		}
	}
	if err := s.sweepListings(now); err != nil || s.net.Protocol < 2 {
		return err
	}
	keys, err = s.Due(tableProtection, now, MaxRemovals)
	if err != nil {
		return err
	}
	for _, key := range keys {
		if err := s.removeProtection(key); err != nil {
			return err
		}
	}
	return nil
}

// sweepListings removes the acts on listings too, so many at a time that a listing on
// which hundreds have acted goes over several commands.
func (s *step) sweepListings(now int64) error {
	keys, err := s.Due(tableListing, now, MaxRemovals)
	if err != nil {
		return err
	}
	acts := MaxActRemovals
	for _, key := range keys {
		l := &Listing{ID: ParseListingRecordKey(key)}
		raw, err := s.load(key, l.read)
		if err != nil {
			return err
		}
		if raw, err = s.forget(l, raw, &acts); err != nil || l.Taken != (Taken{}) {
			return err
		}
		if err := s.removeListing(l, raw); err != nil {
			return err
		}
	}
	return nil
}

func (s *step) removeListing(l *Listing, raw []byte) error {
	if err := s.unlink(l); err != nil {
		return err
	}
	s.count(l.Item.Scope, -1)
	if err := s.DropBody(l.Rev); err != nil {
		return err
	}
	return s.Put(Change{Key: l.key(), Old: raw, OldDue: l.purgeAt()})
}

// unlink takes a listing out of the index by what its body says it is about.
// Whoever destroys a body unlinks first: the index holds the token too.
func (s *step) unlink(l *Listing) error {
	body, err := s.Body(l.Rev)
	if err != nil || body.Erased() {
		return err
	}
	content, err := DecodeListingBody(body.Data)
	if err != nil {
		return fmt.Errorf("read the body of listing %s: %v", l.ID, err)
	}
	return s.Unlink(l.about(content.Token), l.ID)
}

func (l *Listing) about(token Token) ListingKey {
	return ListingKey{Kind: l.Item.Kind, Token: token, Reporter: l.Reporter, List: l.Item.List, Code: l.Item.Code}
}
