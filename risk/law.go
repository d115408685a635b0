package risk

import (
	"slices"
	"strings"
	"unicode"
)

// permits says which roles may author which command. Found is absent: it is
// authored before there are roles. See also the cosigners that [step.permitted]
// asks for.
var permits = map[CommandKind][]InstitutionRole{
	KindAdmit:         {RoleHub},
	KindAddKey:        {RoleHub, RoleMember, RoleAuditor},
	KindRetireKey:     {RoleHub, RoleMember, RoleAuditor},
	KindPutNode:       {RoleHub},
	KindRemoveNode:    {RoleHub},
	KindListings:      {RoleHub, RoleMember},
	KindPublishRules:  {RoleHub},
	KindActivateRules: {RoleHub},
	KindRollbackRules: {RoleHub},
	KindOpenEpoch:     {RoleHub},
	KindCloseEpoch:    {RoleHub},
	KindRaiseProtocol: {RoleHub},
	KindResetTime:     {RoleHub},

	KindApply:             {RoleHub},
	KindAdvance:           {RoleHub},
	KindRevokeCertificate: {RoleHub},
	KindSetPolicy:         {RoleHub},
	KindSetLives:          {RoleHub},
	KindFeedback:          {RoleHub, RoleMember},
	KindProtect:           {RoleHub},
}

// quorate commands need the founding threshold of hub keys.
var quorate = map[CommandKind]bool{
	KindOpenEpoch: true, KindCloseEpoch: true, KindRaiseProtocol: true, KindResetTime: true,
	KindSetPolicy: true, KindSetLives: true, KindProtect: true,
}

func (s *step) permitted() error {
	kind := s.cmd.Params.Kind()
	if kind == KindFound {
		return nil
	}
	author, err := LoadInstitution(s, s.cmd.Author)
	if err != nil {
		return err
	}
	allowed := false
	for _, role := range permits[kind] {
		allowed = allowed || author != nil && author.Role == role
	}
	if !allowed {
		return refuse(NotPermitted, "author", "this institution's role may not send a %s command; it is for %v", kind, permits[kind])
	}
	if allows := may[author.Stage]; author.Role != RoleHub && (allows == nil || !allows(kind)) {
		return refuse(NotPermitted, "author", "an institution that is %s may not send a %s command", author.Stage, kind)
	}
	if want := s.hubKeysNeeded(); s.needsQuorum() && s.hubSigners() < want {
		return refuse(NeedsCosigner, "signers", "this %s command needs %d hub keys, %d signed", kind, want, s.hubSigners())
	}
	return nil
}

// needsQuorum also keeps the hub's own keys: one stolen hub key could otherwise
// make itself a quorum.
func (s *step) needsQuorum() bool {
	switch p := s.cmd.Params.(type) {
	case *AddKey:
		return s.isHub() && p.Reporter == s.net.Hub
	case *RetireKey:
		return s.isHub() && p.Reporter == s.net.Hub
	case *Admit: // straight to LIVE
		return s.net.Protocol >= 2
	case *Advance:
		return grave[p.To]
	default:
		return quorate[p.Kind()]
	}
}

// hubKeysNeeded is the threshold of the founding; a protection has two approvals even
// where that is one.
func (s *step) hubKeysNeeded() int {
	if s.cmd.Params.Kind() == KindProtect {
		return max(int(s.net.Threshold), ProtectionSigners)
	}
	return int(s.net.Threshold)
}

func (s *step) isHub() bool { return s.cmd.Author == s.net.Hub }

func (s *step) hubSigners() int {
	n := 0
	for _, signer := range s.cmd.Signers {
		if signer.Reporter == s.net.Hub {
			n++
		}
	}
	return n
}

func (s *step) found(p *Found, id Hash) error {
	switch {
	case s.net != nil:
		return refuse(AlreadyExists, "network", "this network has been founded")
	case s.cmd.Author.IsZero():
		return refuse(BadField, "author", "must be 16 random bytes")
	case p.Name == "" || strings.ContainsFunc(p.Name, unicode.IsControl):
		return refuse(BadField, "name", "must be text on one line")
	case p.Origin == "" || strings.ContainsFunc(p.Origin, notInOrigin):
		return refuse(BadField, "origin", "must be like example.org/log, without space or plus sign")
	case p.Protocol == 0 || p.Protocol > ProtocolVersion:
		return refuse(Unsupported, "protocol", "version %d; this program applies 1 to %d", p.Protocol, ProtocolVersion)
	case p.Threshold == 0 || int(p.Threshold) > len(p.HubKeys):
		return refuse(BadField, "threshold", "must be 1 to the number of hub keys, %d", len(p.HubKeys))
	case len(s.cmd.Signers) < int(p.Threshold):
		return refuse(NeedsCosigner, "signers", "the founding needs %d hub keys, %d signed", p.Threshold, len(s.cmd.Signers))
	}
	for _, signer := range s.cmd.Signers {
		if signer.Reporter != s.cmd.Author {
			return refuse(BadField, "signers", "all founding keys sign under the hub's reporting id")
		}
	}
	if err := distinct(p.HubKeys); err != nil {
		return err
	}
	s.net = &Network{ID: id, Name: p.Name, Origin: p.Origin, Protocol: p.Protocol,
		Threshold: p.Threshold, Hub: s.cmd.Author}
	if err := s.save(nil, s.net); err != nil {
		return err
	}
	s.epochsMoved = true
	if err := s.save(nil, &Epochs{Live: []OpenEpoch{{Epoch: 1, Commitment: p.EpochKey}}}); err != nil {
		return err
	}
	return s.newInstitution(&Institution{Reporter: s.cmd.Author, Role: RoleHub, Commitment: p.HubCommitment,
		Stage: StageLive, Purposes: AllPurposes}, p.HubKeys)
}

// notInOrigin tells what C2SP signed-note keeps out of a key's name; a line break
// there would let the origin say more lines of a checkpoint.
func notInOrigin(r rune) bool {
	return r == '+' || unicode.IsSpace(r) || unicode.IsControl(r)
}

// admit takes an institution in at once: those of the founding, and all under
// protocol 1. The others come by [Apply] and [Advance].
func (s *step) admit(p *Admit) error {
	if err := s.enters(p.Reporter, p.Role, p.Keys); err != nil {
		return err
	}
	return s.newInstitution(&Institution{Reporter: p.Reporter, Role: p.Role, Commitment: p.Commitment,
		Stage: StageLive, Purposes: AllPurposes}, p.Keys)
}

// enters is what is asked of whoever is new.
func (s *step) enters(reporter ID, role InstitutionRole, keys []PublicKey) error {
	known, err := LoadInstitution(s, reporter)
	switch {
	case err != nil:
		return err
	case known != nil:
		return refuse(AlreadyExists, "reporter", "%s was admitted before; add a key to it instead", reporter)
	case !role.Valid() || role == RoleHub:
		return refuse(BadField, "role", "must be member or auditor")
	case reporter.IsZero():
		return refuse(BadField, "reporter", "must be 16 random bytes")
	}
	return distinct(keys)
}

func distinct(keys []PublicKey) error {
	for i, key := range keys {
		if slices.Contains(keys[:i], key) {
			return refuse(BadField, "keys", "key %s is given twice", key.ID())
		}
	}
	return nil
}

func (s *step) newInstitution(inst *Institution, keys []PublicKey) error {
	for _, key := range keys {
		if err := s.save(nil, &AuthorKey{Reporter: inst.Reporter, Public: key, From: s.now}); err != nil {
			return err
		}
	}
	inst.Keys, inst.AdmittedAt = uint8(len(keys)), s.now
	return s.save(nil, inst)
}

// owned loads an institution whose keys the author may change: its own, or any
// if the author is the hub.
func (s *step) owned(reporter ID) (*Institution, []byte, error) {
	if reporter != s.cmd.Author && !s.isHub() {
		return nil, nil, refuse(NotPermitted, "reporter", "only the institution itself and the hub change its keys")
	}
	inst := &Institution{Reporter: reporter}
	raw, err := s.load(inst.key(), inst.read)
	if err == nil && raw == nil {
		err = refuse(NotFound, "reporter", "no institution %s; admit it first", reporter)
	}
	if err == nil && inst.Stage == StageExited {
		err = refuse(Ended, "reporter", "it has left; a terminal state never comes back")
	}
	return inst, raw, err
}

// addKey: who adds a key can sign as its holder, so the hub does that for another
// institution with its threshold only. To retire a stolen key one hub key is
// enough.
func (s *step) addKey(p *AddKey) error {
	if p.Reporter != s.cmd.Author && s.isHub() && s.hubSigners() < int(s.net.Threshold) {
		return refuse(NeedsCosigner, "signers", "a key of another institution is added by %d hub keys, %d signed", s.net.Threshold, s.hubSigners())
	}
	inst, raw, err := s.owned(p.Reporter)
	if err != nil {
		return err
	}
	known, _, err := s.authorKey(p.Reporter, p.Key.ID())
	switch {
	case err != nil:
		return err
	case known != nil:
		return refuse(AlreadyExists, "key", "key %s is or was in use; make a new one", p.Key.ID())
	case inst.Keys >= MaxKeys:
		return refuse(TooMany, "key", "%d keys are in use; retire one first", inst.Keys)
	}
	inst.Keys++
	if err := s.save(raw, inst); err != nil {
		return err
	}
	return s.save(nil, &AuthorKey{Reporter: p.Reporter, Public: p.Key, From: s.now})
}

func (s *step) retireKey(p *RetireKey) error {
	inst, raw, err := s.owned(p.Reporter)
	if err != nil {
		return err
	}
	key, keyRaw, err := s.authorKey(p.Reporter, p.Key)
	least := uint8(0)
	if p.Reporter == s.net.Hub {
		least = s.net.Threshold
	}
	switch {
	case err != nil:
		return err
	case key == nil:
		return refuse(NotFound, "key", "no key %s of %s", p.Key, p.Reporter)
	case p.At < 0 || p.At > s.now+MaxRetireAheadMillis:
		return refuse(BadField, "at", "must be zero for at once, or a time within a year")
	case key.RetiredAt != 0 && key.RetiredAt <= max(p.At, s.now):
		return refuse(NothingToDo, "key", "key %s is retired by then", p.Key)
	case key.RetiredAt == 0 && inst.Keys <= least:
		return refuse(NotPermitted, "key", "the hub must keep %d keys; add one first", least)
	}
	if key.RetiredAt == 0 {
		inst.Keys--
		if err := s.save(raw, inst); err != nil {
			return err
		}
	}
	key.RetiredAt = max(p.At, s.now)
	return s.save(keyRaw, key)
}

func (s *step) putNode(p *PutNode) error {
	switch {
	case p.Node.IsZero() || p.Name == "" || p.Institution == "":
		return refuse(BadField, "node", "a node has an id, a name and an institution")
	case p.Raft == "" || p.API == "" || p.HTTP == "":
		return refuse(BadField, "address", "a node has a raft, an api and an http address")
	case !p.Suffrage.Valid():
		return refuse(BadField, "suffrage", "must be voter or nonvoter")
	}
	was, err := s.Record(p.key())
	if err != nil {
		return err
	}
	if err := s.changeVoters(was, p.Suffrage); err != nil {
		return err
	}
	return s.save(was, p)
}

func (s *step) removeNode(p *RemoveNode) error {
	key := (&PutNode{Node: p.Node}).key()
	was, err := s.Record(key)
	if err != nil {
		return err
	}
	if was == nil {
		return refuse(NotFound, "node", "no node %s", p.Node)
	}
	if err := s.changeVoters(was, NonVoter); err != nil {
		return err
	}
	return s.Put(Change{Key: key, Old: was})
}

// changeVoters keeps the number of voters, and refuses to take the last one.
func (s *step) changeVoters(was []byte, now Suffrage) error {
	before := NonVoter
	if was != nil {
		node, err := ReadNode(was)
		if err != nil {
			return err
		}
		before = node.Suffrage
	}
	if before == now {
		return nil
	}
	old := s.net.appendTo(nil)
	if now == Voter {
		s.net.Voters++
	} else {
		if s.net.Voters == 1 {
			return refuse(NotPermitted, "suffrage", "this is the last voter; make another node a voter first")
		}
		s.net.Voters--
	}
	return s.save(old, s.net)
}

func (s *step) openEpoch(p *OpenEpoch) error {
	epochs, err := LoadEpochs(s)
	if err != nil {
		return err
	}
	newest := epochs.Live[len(epochs.Live)-1].Epoch
	switch {
	case p.Epoch != newest+1:
		return refuse(BadField, "epoch", "the next epoch is %d", newest+1)
	case len(epochs.Live) >= MaxLiveEpochs:
		return refuse(TooMany, "epoch", "%d epochs are live; close the oldest first", len(epochs.Live))
	}
	old := epochs.appendTo(nil)
	epochs.Live = append(epochs.Live, *p)
	s.epochsMoved = true
	return s.save(old, &epochs)
}

func (s *step) closeEpoch(p *CloseEpoch) error {
	epochs, err := LoadEpochs(s)
	if err != nil {
		return err
	}
	if len(epochs.Live) < 2 || epochs.Live[0].Epoch != p.Epoch {
		return refuse(BadField, "epoch", "only the older of two live epochs can be closed")
	}
	old := epochs.appendTo(nil)
	epochs.Live = epochs.Live[1:]
	s.epochsMoved = true
	return s.save(old, &epochs)
}

func (s *step) raiseProtocol(p *RaiseProtocol) error {
	if p.Version <= s.net.Protocol {
		return refuse(NothingToDo, "version", "protocol %d is in force", s.net.Protocol)
	}
	if p.Version != s.net.Protocol+1 {
		return refuse(BadField, "version", "protocols are raised one at a time; the next is %d", s.net.Protocol+1)
	}
	if p.Version > ProtocolVersion {
		return &TooOldError{Version: p.Version}
	}
	old := s.net.appendTo(nil)
	s.net.Protocol = p.Version
	return s.save(old, s.net)
}

func (s *step) resetTime(p *ResetTime) error {
	switch {
	case p.Count != s.net.Resets:
		return refuse(NothingToDo, "count", "there were %d resets before, not %d", s.net.Resets, p.Count)
	case p.Time <= 0:
		return refuse(BadField, "time", "must be in milliseconds since 1970")
	case p.Time >= s.clock.Time:
		return refuse(BadField, "time", "a reset only goes back; the network's time moves ahead by itself")
	case p.Time < s.cmd.Time-MaxAheadMillis || p.Time > s.cmd.Time+MaxAheadMillis:
		return refuse(BadField, "time", "must be within 5 minutes of the command's own time")
	}
	old := s.net.appendTo(nil)
	s.net.Resets++
	if err := s.save(old, s.net); err != nil {
		return err
	}
	return s.setClock(Clock{Time: p.Time, Floor: max(s.clock.Floor, p.Time)})
}
