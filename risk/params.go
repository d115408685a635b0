package risk

import "crypto/ed25519"

// Algorithm is a signature scheme.
type Algorithm uint8

// Ed25519 is the one scheme of this protocol, verified as crypto/ed25519 does:
// without the cofactor and with S below the group order. A library with another
// rule would accept signatures that other replicas refuse. 2 is kept for SM2
// (GB/T 32918).
const Ed25519 Algorithm = 1

// PublicKey is a key that signs commands.
type PublicKey struct {
	Algorithm Algorithm
	Bytes     [ed25519.PublicKeySize]byte
}

// ID is the first 16 bytes of the hash of algorithm and key.
func (k PublicKey) ID() ID {
	sum := hashUnder(domainKey, []byte{uint8(k.Algorithm)}, k.Bytes[:])
	return ID(sum[:16])
}

func (k PublicKey) appendTo(dst []byte) []byte {
	return append(append(dst, uint8(k.Algorithm)), k.Bytes[:]...)
}

func (r *reader) publicKey() PublicKey {
	k := PublicKey{Algorithm: Algorithm(r.u8())}
	r.fill(k.Bytes[:])
	if r.err == nil && k.Algorithm != Ed25519 {
		r.fail("has a key of algorithm %d; this protocol knows 1 (Ed25519)", k.Algorithm)
	}
	return k
}

func appendKeys(dst []byte, keys []PublicKey) []byte {
	dst = append(dst, uint8(len(keys)))
	for _, k := range keys {
		dst = k.appendTo(dst)
	}
	return dst
}

func (r *reader) keys() []PublicKey {
	n := int(r.u8())
	if n == 0 || n > MaxKeys {
		r.fail("has %d keys; 1 to %d are allowed", n, MaxKeys)
		return nil
	}
	keys := make([]PublicKey, n)
	for i := range keys {
		keys[i] = r.publicKey()
	}
	return keys
}

// InstitutionRole is what an institution may do in the network.
type InstitutionRole uint8

// The roles of institutions.
const (
	RoleHub InstitutionRole = 1 + iota
	RoleMember
	RoleAuditor
	institutionRoles
)

var institutionRoleNames = [institutionRoles]string{RoleHub: "hub", RoleMember: "member", RoleAuditor: "auditor"}

func (r InstitutionRole) String() string {
	return nameOf(institutionRoleNames[:], uint8(r), "institution role")
}

// Valid reports whether this protocol knows the role.
func (r InstitutionRole) Valid() bool { return r > 0 && r < institutionRoles }

// ParseInstitutionRole reads a role's name.
func ParseInstitutionRole(name string) (InstitutionRole, error) {
	n, err := parseName(institutionRoleNames[:], name, "role")
	return InstitutionRole(n), err
}

// Stage is how far an institution has come on its way into the network. Under
// protocol 1 it is live as soon as it is admitted.
type Stage uint8

// The stages.
const (
	StageApplied     Stage = 1
	StageVetted      Stage = 2 // 机构准入
	StageSandbox     Stage = 3 // 联调测试
	StageShadow      Stage = 4 // 生产验证
	StageSigned      Stage = 5 // 协议签约
	StageLive        Stage = 6
	StageQuarantined Stage = 7
	StageSuspended   Stage = 8
	StageExited      Stage = 9
)

var stageNames = [...]string{StageApplied: "applied", StageVetted: "vetted", StageSandbox: "sandbox",
	StageShadow: "shadow", StageSigned: "signed", StageLive: "live", StageQuarantined: "quarantined",
	StageSuspended: "suspended", StageExited: "exited"}

func (s Stage) String() string { return nameOf(stageNames[:], uint8(s), "stage") }

// ParseStage reads a stage's name.
func ParseStage(name string) (Stage, error) {
	n, err := parseName(stageNames[:], name, "stage")
	return Stage(n), err
}

// Suffrage says whether a node counts in raft's quorum.
type Suffrage uint8

// The suffrages.
const (
	Voter    Suffrage = 1
	NonVoter Suffrage = 2
)

var suffrageNames = [...]string{Voter: "voter", NonVoter: "nonvoter"}

func (s Suffrage) String() string { return nameOf(suffrageNames[:], uint8(s), "suffrage") }

// Valid reports whether this protocol knows the suffrage.
func (s Suffrage) Valid() bool { return s == Voter || s == NonVoter }

// ParseSuffrage reads a suffrage's name.
func ParseSuffrage(name string) (Suffrage, error) {
	n, err := parseName(suffrageNames[:], name, "suffrage")
	return Suffrage(n), err
}

// Found begins a network. It is signed by at least Threshold of its own hub keys
// and its id is the network's id ever after. The hub is the first institution.
//
//	text name | text origin | u32 protocol | u8 threshold | keys |
//	hub commitment 32 | epoch key commitment 32
type Found struct {
	Name          string // the network's name
	Origin        string // the ledger's origin line (C2SP tlog-checkpoint)
	Protocol      uint32
	Threshold     uint8
	HubKeys       []PublicKey
	HubCommitment Hash // see [CommitInstitution]
	EpochKey      Hash // commitment to the token key of epoch 1
}

// Admit takes in an institution. Its peers see the reporting id; who it is
// stands in the commitment, which the hub opens to the auditor alone.
//
//	reporter 16 | u8 role | commitment 32 | keys
type Admit struct {
	Reporter   ID
	Role       InstitutionRole
	Commitment Hash
	Keys       []PublicKey
}

// AddKey gives an institution one more author key; the old ones stay until they
// are retired, so that a rotation overlaps.
//
//	reporter 16 | key
type AddKey struct {
	Reporter ID
	Key      PublicKey
}

// RetireKey ends a key: at once, or at a time to come.
//
//	reporter 16 | key 16 | i64 at
type RetireKey struct {
	Reporter ID
	Key      ID
	At       int64 // zero: as soon as the command is applied
}

// PutNode enters a node or changes what is known of it.
//
//	node 16 | text name | text institution | text raft | text api | text http |
//	u8 suffrage | log key 33
type PutNode struct {
	Node        ID
	Name        string
	Institution string
	Raft        string // host:port
	API         string
	HTTP        string
	Suffrage    Suffrage
	LogKey      PublicKey // signs this node's checkpoints
}

// RemoveNode takes a node out of the network.
//
//	node 16
type RemoveNode struct{ Node ID }

// Listings carries publications and lifts as items; it has no fields.
type Listings struct{}

// PublishRules enters a rule set, whose source is the body of the one item.
//
//	hash 32
type PublishRules struct{ Hash Hash }

// ActivateRules puts a published rule set in force.
//
//	u32 version
type ActivateRules struct{ Version uint32 }

// RollbackRules brings back the set that was in force before From, and says
// which one it takes back so that two rollbacks at once undo one change.
//
//	u32 from
type RollbackRules struct{ From uint32 }

// OpenEpoch brings a new token key into use beside the old one.
//
//	u32 epoch | commitment 32
type OpenEpoch struct {
	Epoch      Epoch
	Commitment Hash
}

// CloseEpoch takes a token key out of use.
//
//	u32 epoch
type CloseEpoch struct{ Epoch Epoch }

// RaiseProtocol puts a newer protocol in force; older programs stop at it.
//
//	u32 version
type RaiseProtocol struct{ Version uint32 }

// ResetTime sets the network's time after a bad stamp has moved it ahead.
//
//	i64 time | u32 count
type ResetTime struct {
	Time  int64
	Count uint32 // how many resets there were before, so that none applies twice
}

// Kind says which command these are the fields of.
func (*Found) Kind() CommandKind         { return KindFound }
func (*Admit) Kind() CommandKind         { return KindAdmit }
func (*AddKey) Kind() CommandKind        { return KindAddKey }
func (*RetireKey) Kind() CommandKind     { return KindRetireKey }
func (*PutNode) Kind() CommandKind       { return KindPutNode }
func (*RemoveNode) Kind() CommandKind    { return KindRemoveNode }
func (*Listings) Kind() CommandKind      { return KindListings }
func (*PublishRules) Kind() CommandKind  { return KindPublishRules }
func (*ActivateRules) Kind() CommandKind { return KindActivateRules }
func (*RollbackRules) Kind() CommandKind { return KindRollbackRules }
func (*OpenEpoch) Kind() CommandKind     { return KindOpenEpoch }
func (*CloseEpoch) Kind() CommandKind    { return KindCloseEpoch }
func (*RaiseProtocol) Kind() CommandKind { return KindRaiseProtocol }
func (*ResetTime) Kind() CommandKind     { return KindResetTime }

func (p *Found) appendTo(dst []byte) []byte {
	dst = putText(putText(dst, p.Name), p.Origin)
	dst = append(putU32(dst, p.Protocol), p.Threshold)
	dst = appendKeys(dst, p.HubKeys)
	return append(append(dst, p.HubCommitment[:]...), p.EpochKey[:]...)
}

func (p *Admit) appendTo(dst []byte) []byte {
	dst = append(append(dst, p.Reporter[:]...), uint8(p.Role))
	return appendKeys(append(dst, p.Commitment[:]...), p.Keys)
}

func (p *AddKey) appendTo(dst []byte) []byte {
	return p.Key.appendTo(append(dst, p.Reporter[:]...))
}

func (p *RetireKey) appendTo(dst []byte) []byte {
	return putI64(append(append(dst, p.Reporter[:]...), p.Key[:]...), p.At)
}

func (p *PutNode) appendTo(dst []byte) []byte {
	dst = append(dst, p.Node[:]...)
	for _, text := range []string{p.Name, p.Institution, p.Raft, p.API, p.HTTP} {
		dst = putText(dst, text)
	}
	return p.LogKey.appendTo(append(dst, uint8(p.Suffrage)))
}

func (p *RemoveNode) appendTo(dst []byte) []byte    { return append(dst, p.Node[:]...) }
func (p *Listings) appendTo(dst []byte) []byte      { return dst }
func (p *PublishRules) appendTo(dst []byte) []byte  { return append(dst, p.Hash[:]...) }
func (p *ActivateRules) appendTo(dst []byte) []byte { return putU32(dst, p.Version) }
func (p *RollbackRules) appendTo(dst []byte) []byte { return putU32(dst, p.From) }
func (p *OpenEpoch) appendTo(dst []byte) []byte {
	return append(putU32(dst, uint32(p.Epoch)), p.Commitment[:]...)
}
func (p *CloseEpoch) appendTo(dst []byte) []byte    { return putU32(dst, uint32(p.Epoch)) }
func (p *RaiseProtocol) appendTo(dst []byte) []byte { return putU32(dst, p.Version) }
func (p *ResetTime) appendTo(dst []byte) []byte     { return putU32(putI64(dst, p.Time), p.Count) }

func readParams(r *reader, kind CommandKind) Params {
	switch kind {
	case KindFound:
		return &Found{Name: r.text(MaxNameBytes), Origin: r.text(MaxNameBytes), Protocol: r.u32(),
			Threshold: r.u8(), HubKeys: r.keys(), HubCommitment: r.hash(), EpochKey: r.hash()}
	case KindAdmit:
		return &Admit{Reporter: r.id(), Role: InstitutionRole(r.u8()), Commitment: r.hash(), Keys: r.keys()}
	case KindAddKey:
		return &AddKey{Reporter: r.id(), Key: r.publicKey()}
	case KindRetireKey:
		return &RetireKey{Reporter: r.id(), Key: r.id(), At: r.i64()}
	case KindPutNode:
		p := &PutNode{Node: r.id(), Name: r.text(MaxNameBytes), Institution: r.text(MaxNameBytes)}
		p.Raft, p.API, p.HTTP = r.text(MaxNameBytes), r.text(MaxNameBytes), r.text(MaxNameBytes)
		p.Suffrage, p.LogKey = Suffrage(r.u8()), r.publicKey()
		return p
	case KindRemoveNode:
		return &RemoveNode{Node: r.id()}
	case KindListings:
		return &Listings{}
	case KindPublishRules:
		return &PublishRules{Hash: r.hash()}
	case KindActivateRules:
		return &ActivateRules{Version: r.u32()}
	case KindRollbackRules:
		return &RollbackRules{From: r.u32()}
	case KindOpenEpoch:
		return &OpenEpoch{Epoch: Epoch(r.u32()), Commitment: r.hash()}
	case KindCloseEpoch:
		return &CloseEpoch{Epoch: Epoch(r.u32())}
	case KindRaiseProtocol:
		return &RaiseProtocol{Version: r.u32()}
	case KindResetTime:
		return &ResetTime{Time: r.i64(), Count: r.u32()}
	default:
		return readLaterParams(r, kind)
	}
}

// readLaterParams reads what came with protocol 2.
func readLaterParams(r *reader, kind CommandKind) Params {
	switch kind {
	case KindApply:
		return &Apply{Reporter: r.id(), Role: InstitutionRole(r.u8()), Commitment: r.hash(), Keys: r.keys()}
	case KindAdvance:
		return &Advance{Reporter: r.id(), To: Stage(r.u8()), Purposes: Purpose(r.u8()), Proof: r.hash(),
			Size: r.u64(), Root: r.hash(), Comment: r.text(MaxNameBytes)}
	case KindRevokeCertificate:
		return &RevokeCertificate{Fingerprint: r.hash(), Reason: r.text(MaxNameBytes)}
	case KindSetPolicy:
		p := &SetPolicy{}
		p.Policy.read(r)
		return p
	case KindSetLives:
		return &SetLives{Lives: readLives(r)}
	case KindFeedback:
		return &Feedback{Acts: readActs(r)}
	case KindProtect:
		return &Protect{}
	default:
		r.fail("is of kind %d, which this protocol does not know", kind)
		return &Listings{}
	}
}

// CommitInstitution binds a reporting id to an institution's name without
// showing it: the salt is random and known to the hub and the auditor.
func CommitInstitution(salt [16]byte, reporter ID, name string) Hash {
	return hashUnder(domainInstitution, salt[:], reporter[:], []byte(name))
}

// CommitEpochKey is what the ledger holds of a token key.
func CommitEpochKey(secret [32]byte) Hash { return hashUnder(domainEpoch, secret[:]) }
