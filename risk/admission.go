package risk

import (
	"slices"
	"unicode"
)

// Apply brings an institution to the door. The hub sends it, and one of the
// applicant's own keys, which stand in it, signs it too: nobody is entered under a
// key that is not its own.
//
//	reporter 16 | u8 role | commitment 32 | keys
type Apply struct {
	Reporter   ID
	Role       InstitutionRole
	Commitment Hash
	Keys       []PublicKey
}

// Advance moves an institution to another stage.
//
//	reporter 16 | u8 to | u8 purposes | proof 32 | u64 size | root 32 |
//	text comment
type Advance struct {
	Reporter ID
	To       Stage
	Purposes Purpose // what it may use shared data for; to SIGNED alone
	Proof    Hash    // of the report of the conformance vectors; to SHADOW alone
	// Size and Root are the head at which its node was seen to have the hub's root;
	// to SIGNED alone.
	Size    uint64
	Root    Hash
	Comment string
}

// RevokeCertificate ends a TLS certificate before its time, by its key: no node lets
// it in any more.
//
//	fingerprint 32 | text reason
type RevokeCertificate struct {
	Fingerprint Hash // SHA-256 of the certificate's SubjectPublicKeyInfo
	Reason      string
}

// Kind says which command these are the fields of.
func (*Apply) Kind() CommandKind             { return KindApply }
func (*Advance) Kind() CommandKind           { return KindAdvance }
func (*RevokeCertificate) Kind() CommandKind { return KindRevokeCertificate }

func (p *Apply) appendTo(dst []byte) []byte {
	dst = append(append(dst, p.Reporter[:]...), uint8(p.Role))
	return appendKeys(append(dst, p.Commitment[:]...), p.Keys)
}

func (p *Advance) appendTo(dst []byte) []byte {
	dst = append(append(dst, p.Reporter[:]...), uint8(p.To), uint8(p.Purposes))
	dst = putU64(append(dst, p.Proof[:]...), p.Size)
	return putText(append(dst, p.Root[:]...), p.Comment)
}

func (p *RevokeCertificate) appendTo(dst []byte) []byte {
	return putText(append(dst, p.Fingerprint[:]...), p.Reason)
}

// ways are the moves from stage to stage. What is not here cannot happen; EXITED
// leads nowhere.
var ways = map[Stage][]Stage{
	StageApplied:     {StageVetted, StageSuspended},
	StageVetted:      {StageSandbox, StageSuspended},
	StageSandbox:     {StageShadow, StageSuspended},
	StageShadow:      {StageSigned, StageSuspended},
	StageSigned:      {StageLive, StageSuspended},
	StageLive:        {StageQuarantined, StageSuspended},
	StageQuarantined: {StageLive, StageSuspended},
	StageSuspended:   {StageExited},
}

// grave are the moves that one stolen hub key must not make. One key is enough to go
// on with an admission, and to put somebody into quarantine, which is undone as
// easily.
var grave = map[Stage]bool{StageSigned: true, StageLive: true, StageSuspended: true, StageExited: true}

// may says what an institution that is not the hub may send in each stage, of what
// its role permits.
var may = map[Stage]func(CommandKind) bool{
	StageApplied:     ownKeys,
	StageVetted:      ownKeys,
	StageSandbox:     ownKeys,
	StageShadow:      ownKeys,
	StageSigned:      ownKeys,
	StageLive:        func(CommandKind) bool { return true },
	StageQuarantined: func(kind CommandKind) bool { return ownKeys(kind) || kind == KindListings }, // to lift
	StageSuspended:   func(CommandKind) bool { return false },
	StageExited:      func(CommandKind) bool { return false },
}

func ownKeys(kind CommandKind) bool { return kind == KindAddKey || kind == KindRetireKey }

// firstOfProtocol2 is the first kind that protocol 1 does not know.
const firstOfProtocol2 = KindApply

// spoken refuses what the protocol in force does not know, as a program of that
// protocol does: it is no command.
func (s *step) spoken() error {
	kind := s.cmd.Params.Kind()
	if s.net != nil && s.net.Protocol < 2 && kind >= firstOfProtocol2 {
		return refuse(Malformed, "command", "is of kind %d, which protocol %d does not know; raise the protocol first", kind, s.net.Protocol)
	}
	for i := range s.cmd.Items {
		if op := s.cmd.Items[i].Op; s.net != nil && s.net.Protocol < 2 && op >= firstItemOfProtocol2 {
			return refuse(Malformed, "command", "has an item of operation %d, which protocol %d does not know; raise the protocol first", op, s.net.Protocol)
		}
	}
	return nil
}

func (s *step) apply(p *Apply) error {
	if err := s.enters(p.Reporter, p.Role, p.Keys); err != nil {
		return err
	}
	signed := slices.ContainsFunc(s.cmd.Signers, func(signer Signer) bool { return signer.Reporter == p.Reporter })
	if !signed {
		return refuse(NeedsCosigner, "signers", "one of the applicant's own keys must sign its application")
	}
	return s.newInstitution(&Institution{Reporter: p.Reporter, Role: p.Role, Commitment: p.Commitment, Stage: StageApplied}, p.Keys)
}

func (s *step) advance(p *Advance) error {
	inst := &Institution{Reporter: p.Reporter}
	raw, err := s.load(inst.key(), inst.read)
	switch {
	case err != nil:
		return err
	case raw == nil:
		return refuse(NotFound, "reporter", "no institution %s", p.Reporter)
	case inst.Role == RoleHub:
		return refuse(NotPermitted, "reporter", "the hub has no stages")
	case inst.Stage == p.To:
		return refuse(NothingToDo, "to", "it is %s already", p.To)
	case inst.Stage == StageExited:
		return refuse(Ended, "to", "it has left; a terminal state never comes back")
	case !slices.Contains(ways[inst.Stage], p.To):
		return refuse(BadField, "to", "from %s the way leads to %v, not to %s", inst.Stage, ways[inst.Stage], p.To)
	}
	if err := p.complete(); err != nil {
		return err
	}
	if p.To == StageSigned {
		inst.Purposes = p.Purposes
	}
	inst.Stage = p.To
	return s.save(raw, inst)
}

// complete holds each move to what belongs to it, and to nothing else.
func (p *Advance) complete() error {
	compared := p.Size > 0 && !p.Root.IsZero()
	switch {
	case (p.To == StageShadow) == p.Proof.IsZero():
		return refuse(BadField, "proof", "the hash of the conformance report belongs to the move to shadow, and must be there")
	case (p.To == StageSigned) != compared || !compared && (p.Size > 0 || !p.Root.IsZero()):
		return refuse(BadField, "size", "the head that was compared belongs to the move to signed, and must be there")
	case (p.To == StageSigned) != (p.Purposes != 0) || p.Purposes&^AllPurposes != 0:
		return refuse(BadField, "purposes", "what it may use the data for belongs to the move to signed, and must be there")
	case badLine(p.Comment):
		return refuse(BadField, "comment", "must be text on one line")
	}
	return nil
}

func badLine(text string) bool {
	return slices.ContainsFunc([]rune(text), unicode.IsControl)
}

func (s *step) revokeCertificate(p *RevokeCertificate) error {
	r := &Revocation{Fingerprint: p.Fingerprint, At: s.now, Reason: p.Reason}
	known, err := s.Record(r.key())
	switch {
	case err != nil:
		return err
	case known != nil:
		return refuse(NothingToDo, "fingerprint", "this certificate is revoked already")
	case p.Fingerprint.IsZero():
		return refuse(BadField, "fingerprint", "must be the SHA-256 of the certificate's public key")
	case badLine(p.Reason):
		return refuse(BadField, "reason", "must be text on one line")
	}
	return s.save(nil, r)
}

// Revocation is a certificate that is let in no more.
//
//	key v fingerprint 32 | i64 at | text reason
type Revocation struct {
	Fingerprint Hash
	At          int64
	Reason      string
}

func (r *Revocation) key() []byte { return keyOf(tableRevocation, r.Fingerprint[:]) }

func (r *Revocation) appendTo(dst []byte) []byte { return putText(putI64(dst, r.At), r.Reason) }

func (r *Revocation) read(in *reader) { r.At, r.Reason = in.i64(), in.text(MaxNameBytes) }

// ReadRevocation gives back a record that a store has walked to.
func ReadRevocation(key, value []byte) (*Revocation, error) {
	r := &Revocation{Fingerprint: Hash(key[1:])}
	return r, readRecord(value, r.read)
}
