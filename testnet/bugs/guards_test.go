//go:build bugs

package bugs

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// guards are the defences of SECURITY.md. Each is taken out in turn, and the test
// that is named beside it must fail.
var guards = map[string]bug{
	// Who may write what.
	"signatures are verified": {"risk/step.go",
		"if !ed25519.Verify(key.Public.Bytes[:], message, signed.Signatures[i]) {", "if !ed25519.Verify(key.Public.Bytes[:], message, signed.Signatures[i]) && false {", "risk", "TestWhatIsChangedOnTheWay"},
	"a role sends its own commands": {"risk/law.go",
		"if !allowed {", "if false {", "risk", "TestWhoMaySendWhat"},
	"two hub keys where one must not do": {"risk/law.go",
		"if want := s.hubKeysNeeded(); s.needsQuorum() && s.hubSigners() < want {", "if want := s.hubKeysNeeded(); want < 0 {", "risk", "TestWhoMaySendWhat|TestGraveMoves"},
	"a stage sends what it may": {"risk/law.go",
		"if allows := may[author.Stage]; author.Role != RoleHub && (allows == nil || !allows(kind)) {", "if allows := may[author.Stage]; false && !allows(kind) {", "risk", "TestWhatEachStageMaySend"},
	"stages follow their ways": {"risk/admission.go",
		"case !slices.Contains(ways[inst.Stage], p.To):", "case false:", "risk", "TestEveryMoveBetweenStages"},
	"a quarantined institution reports nothing": {"risk/law_listings.go",
		"if s.quarantined {", "if false {", "risk", "TestWhatEachStageMaySend"},
	"an applicant signs its application": {"risk/admission.go",
		"if !signed {", "if !signed && false {", "risk", "TestApplicationsAreSigned"},
	"a key in an application signs for nobody alone": {"risk/step.go",
		"signer.Reporter != p.Reporter || signer.Reporter == s.cmd.Author {", "signer.Reporter != p.Reporter {", "risk", "TestAnApplicationIsNoWay"},
	"a key in an application signs for nobody who is known": {"risk/step.go",
		"if known, err := LoadInstitution(s, p.Reporter); known != nil || err != nil {", "if _, err := LoadInstitution(s, p.Reporter); err != nil {", "risk", "TestAnApplicationIsNoWay"},
	"an applicant signs for its own keys alone": {"client/admission.go",
		"if k != own && !slices.Contains(beside, k) {", "if false {", "client", "TestAnApplicantSigns"},
	"a conformance report is of this network": {"client/conformance.go",
		"case report.Network != fmt.Sprintf(\"%x\", network):", "case false:", "client", "TestOnlyAReport"},
	"a conformance report is of these vectors, all of them": {"client/conformance.go",
		"case report.Vectors != VectorsHash():", "case false:", "client", "TestOnlyAReport"},
	"an applicant's own node answers for it": {"client/conformance.go",
		"c.pinned = true", "", "client", "TestNoOtherNodeAnswers"},
	"the applicant's root is the hub's": {"audit/sameroot.go",
		"if root != theirs.Root {", "if false {", "audit", "TestTheRootsOfTwoNodes"},
	"a root is not compared with itself": {"audit/sameroot.go",
		"if key.KeyHash() == log.verifier.KeyHash() {", "if false {", "audit", "TestTheRootsOfTwoNodes"},
	"an applicant's node replicates": {"audit/sameroot.go",
		"case theirs.Size+maxBehind < ours.Size:", "case false:", "audit", "TestTheRootsOfTwoNodes"},
	"who is not live enforces nothing": {"node/stage.go",
		"n.unenforced.Store(!live)", "n.unenforced.Store(!live && false)", "cmd/risknet", "TestScripts/admission$"},
	"only a reporter and the hub lift": {"risk/law_listings.go",
		"case l.Reporter != s.cmd.Author && !s.isHub():", "case false:", "risk", "TestEveryStateMeetsEveryOperation"},
	"a retired key signs nothing": {"risk/step.go",
		"if !key.InUse(s.now) {", "if false {", "risk", "TestKeysRotate|TestWhoMaySendWhat"},

	// Raft's port.
	"a message is of who its certificate says": {"consensus/sender.go",
		"if err := peer.SpeaksFor(server); err != nil {", "if err := error(nil); err != nil {", "consensus", "TestNobodyButTheLeaderIsFollowed"},
	"a server's certificate is its node's": {"node/raftpeer.go",
		"if record.Node == id && record.Name == p.who.Name && record.Institution == p.who.Institution {", "if record.Node == id || true {", "testnet", "TestAttacksOnRaft"},
	"a leader is elected or vouched for": {"consensus/sender.go",
		"return t.claims.lead(server, term)", "return nil", "consensus", "TestNobodyButTheLeaderIsFollowed"},
	"who leads hands over": {"consensus/sender.go",
		"if t.claims.leader != server {", "if false {", "consensus", "TestNobodyButTheLeaderIsFollowed"},
	"a candidate has a vote": {"consensus/sender.go",
		"return t.checkCandidate(server)", "return nil", "consensus", "TestServerWithoutAVote"},
	"nobody leads in a term that is over": {"consensus/claims.go",
		"case term < c.term:", "case false:", "consensus", "TestClaimToAnOlderTerm"},
	"a message has so many bytes": {"consensus/scan.go",
		"if s.used > s.bytes {", "if false {", "consensus", "TestHugeMessage|TestScannerRefuses"},
	"a text has so many bytes": {"consensus/scan.go",
		"if bytes > s.limits.text {", "if false {", "consensus", "TestHugeMessage|TestScannerRefuses"},
	"a list has so many values": {"consensus/scan.go",
		"if items > 2*s.items || len(s.left) >= maxDepth {", "if len(s.left) >= maxDepth {", "consensus", "TestHugeMessage|TestScannerRefuses"},
	"an image is as long as it said": {"consensus/scan.go",
		"if b > typeLast {", "if false {", "consensus", "TestScannerRefuses"},
	"an answer has so many bytes": {"consensus/measured.go",
		"if wrong := c.scanner.scan(p[:n]); wrong != nil {\n\t\treturn 0, errors.Join(wrong, c.Close())", "if wrong := error(nil); wrong != nil {\n\t\treturn 0, errors.Join(wrong, c.Close())", "consensus", "TestHugeAnswer"},
	"one peer has one large message under way": {"consensus/measured.go",
		"if c.door.held.Add(int64(n)) > maxHeld {", "if c.door.held.Add(int64(n)) < 0 {", "consensus", "TestOnePeerHasOneLarge"},
	"a message that has begun ends": {"consensus/measured.go",
		"return c.since.Add(patience)", "return time.Time{}", "consensus", "TestOnePeerHasOneLarge"},
	"one peer has few connections": {"consensus/door.go",
		"d.open.enter(measured, maxPerDoor)", "d.open.enter(measured, 1<<30)", "consensus", "TestOnePeerHasFew"},
	"strangers make room for each other": {"consensus/door.go",
		"d.unknown.enter(conn, maxUnknown)", "d.unknown.enter(conn, 1<<30)", "consensus", "TestIdleConnections"},
	"a configuration is one step": {"consensus/step.go",
		"if err = checkStep(before, after); err == nil && r.cfg.Permit != nil {", "if r.cfg.Permit != nil {", "consensus", "TestALeaderCannotForge"},
	"a step of the configuration is permitted": {"consensus/step.go",
		"err = r.cfg.Permit(before, after, pending)", "_ = pending", "consensus", "TestALeaderCannotForge"},
	"nothing comes between a step and what it is judged by": {"consensus/step.go",
		"for ; taken < maxInFlight; taken++ {", "for ; taken < 0; taken++ {", "consensus", "TestEveryServerJudges"},
	"a step follows from the node records": {"node/order.go",
		"Permit:            n.permitStep,", "", "testnet", "TestALeaderCannotForge"},
	"the servers of an image follow from its records": {"node/permit.go",
		"if 2*len(present) <= len(recorded) {", "if false {", "node", "TestTheServersOfAnImage"},
	"an image has the nodes that are accepted": {"store/restore.go",
		"if err = m.acceptable(accept); err != nil {", "if err = error(nil); err != nil {", "store", "TestImageThatIsNotAccepted"},
	"an image has the configuration that was announced": {"store/restore.go",
		"!bytes.Equal(at.Configuration, want.Configuration)", "!bytes.Equal(at.Configuration, at.Configuration)", "store", "TestImageThatIsNotAccepted"},
	"an image has the state that its last leaf commits to": {"store/imageread.go",
		"if leaf.State != h.meta.lanes.digest() {", "if leaf.State == (risk.Hash{}) {", "store", "TestAnImageThatAgreesWithItself"},
	"what is no entry is not admitted": {"node/order.go",
		"entry, err := risk.DecodeEntry(payload)", "at, err := risk.EntryStamp(payload)\n\tentry := &risk.Entry{At: at}", "node", "TestWhatIsNoEntry"},
	"a stamp is not far ahead": {"node/order.go",
		"ahead > maxStampAhead {", "ahead < 0 && ahead > maxStampAhead {", "node", "TestWhatIsNoEntry"},
	"a silent caller is shut out": {"consensus/door.go",
		"if err := conn.SetDeadline(time.Now().Add(d.patience)); err != nil {", "if err := error(nil); err != nil {", "consensus", "TestSilentCaller"},
	"terms stay within reach": {"consensus/terms.go",
		"if term <= known+maxTermsAhead || known == 0 && term <= maxTerm {", "if true || known == 0 {", "consensus", "TestTermThatNobodyCameTo"},
	"unknown types are refused": {"consensus/transport.go",
		"return fmt.Errorf(\"type %d is unknown\", entry.Type)", "return nil", "consensus", "TestMessagesThatWouldStop"},
	"nil entries are refused": {"consensus/transport.go",
		"if entry == nil || entry.Index != c.PrevLogEntry+uint64(i)+1 {", "if entry.Index != c.PrevLogEntry+uint64(i)+1 {", "consensus", "TestMessagesThatWouldStop"},
	"what is applied is not cut": {"consensus/log.go",
		"if !durable && !undelivered && !g.d.superseded.Load() {", "if false {", "consensus", "TestGuardedLog"},
	"pre-vote is on": {"consensus/replica.go",
		"rc.MaxAppendEntries = maxAppendEntries", "rc.MaxAppendEntries = maxAppendEntries\n\trc.PreVoteDisabled = true", "consensus", "TestPreVoteStays"},

	// Doors.
	"a method is for its roles": {"node/permissions.go",
		"if err := n.mayUse(who, method); err != nil {", "if err := error(nil); err != nil {", "testnet", "TestTheWholeTableOfPermissions"},
	"a path is for its roles": {"node/permissions.go",
		"if err := n.mayUse(callerOfHTTP(r), pattern); err != nil {", "if err := error(nil); err != nil {", "testnet", "TestTheWholeTableOfPermissions"},

	"a role that has nothing to do at a port is kept out": {"node/identity.go",
		"if !slices.Contains(roles, peer.Role) {", "if false {", "node", "TestARoleThatHasNothingToDo"},
	"no node answers in another's name": {"node/identity.go",
		"if len(meant) > 0 && !slices.Contains(meant, peer) {", "if false {", "node", "TestAnotherNodeDoesNotAnswer"},
	"a node asks of itself alone": {"node/roster.go",
		"if known && !slices.ContainsFunc(ids,", "if known && false && !slices.ContainsFunc(ids,", "node", "TestANodeAsksOfItselfAlone"},
	"a revoked certificate is let in at no port": {"node/lines.go",
		"if l.revoked[by] {", "if false && l.revoked[by] {", "node", "TestARevokedCertificate"},
	"a revocation is put in force when it is applied": {"node/view.go",
		"if cut.RevocationsChanged {", "if false {", "testnet", "Revoked"},

	"a leader stamps in its own name": {"node/order.go",
		"id != entry.Proposer {", "false && id != entry.Proposer {", "node", "TestALeaderStamps"},
	"a leader keeps the voters": {"node/permit.go",
		"if has < had && 2*has <= recorded {", "if has < had && 2*has < -recorded {", "node", "TestALeaderDoesNotRemove"},
	"who has no vote ends no term again and again": {"consensus/calls.go",
		"known && time.Since(last) < unseatEvery {", "known && time.Since(last) < 0 {", "consensus", "TestServerWithoutAVoteEndsNoTerm"},
	"a step behind many reports can be judged": {"store/foresee.go",
		"if !touchesNodes(&entries[i]) {", "if false {", "store", "TestNodesAreForeseenBehind"},

	// What reports come to.
	"weighing: one origin is a reason to verify at most": {"risk/weigh.go",
		"case w.Origins < 2 || known < int(p.Hold):", "case known < int(p.Hold):", "replay", "TestTenThousand"},
	"weighing: each origin counts once": {"risk/weigh.go",
		"if !slices.Contains(origins, v.origin) {", "if true {", "replay", "TestFiveCopies"},
	"weighing: a copy adds nothing to a case": {"risk/weigh.go",
		"if v.origin.Kind == OriginCopy && !onlyCopies {", "if v.origin.Kind == OriginCopy && false {", "risk", "TestWhatReportsComeTo"},
	"weighing: each institution has one voice": {"risk/weigh.go",
		"if slices.Contains(heard, v.reporter) {", "if false {", "risk", "TestWhatReportsComeTo"},
	"weighing: an authority is no claim": {"risk/weigh.go",
		"w.Authority || v.hub && v.origin.Kind == OriginAuthority", "w.Authority || v.origin.Kind == OriginAuthority", "risk", "TestWhatReportsComeTo"},
	"weighing: who is mostly wrong confirms nobody": {"risk/weigh.go",
		"if precision < p.Least {", "if false {", "risk", "TestWhatReportsComeTo"},
	"weighing: a case begins with the second witness": {"risk/weigh.go",
		"if len(began) > 1 && began[1] < start+life {", "if false {", "risk", "TestACaseEnds"},
	"weighing: no date is later than its report": {"risk/weigh.go",
		"return max(0, min(at, s.Listing.ChangedAt))", "return max(0, min(at, 1<<60))", "risk", "TestDatesThatNobody"},
	"weighing: a protection holds": {"check/weigh.go",
		"p != nil && !hard {", "p != nil && !hard && false {", "replay", "TestThreeColluders"},
	"weighing: a rule bears no more than its listing": {"rules/decide.go",
		"if most != 0 {", "if false {", "check", "TestTranscripts"},
	"weighing: a listing speaks for its purposes": {"check/weigh.go",
		" || s.Body.Purposes&purpose == 0 {", " {", "check", "TestTranscripts"},
	"weighing: few listings of one reporter are looked at": {"store/query.go",
		"if voices++; voices > risk.MaxVoices {", "if voices++; voices > 1<<30 {", "replay", "TestHeaping"},

	// The ledger, and who lies about it.
	"a node cosigns what it has itself": {"node/checkpoint.go",
		"if own != theirs {", "if false {", "audit", "TestADivergedNode"},
	"a node that has diverged signs nothing": {"node/checkpoint.go",
		"if against > voters/2 {", "if against > 9*voters {", "audit", "TestADivergedNode"},
	"a replay holds each leaf to its digest": {"store/replay.go",
		"if digest != leaf.State {", "if false {", "audit", "TestAuditOfASmallNetwork"},
	"an audit compares every tile": {"audit/replica.go",
		"if i := firstDifference(ours, theirs); i >= 0 {", "if i := firstDifference(ours, theirs); i >= 1<<30 {", "audit", "TestAuditOfASmallNetwork"},
	"an audit reads what nodes store": {"audit/verify.go",
		"if want == sum.Digest() {", "if true {", "audit", "TestAuditOfASmallNetwork"},
	"an audit begins from the network's id": {"audit/replica.go",
		"want := r.options.Network; !want.IsZero() && net.ID != want", "want := r.options.Network; false && net.ID != want", "audit", "TestAuditOfASmallNetwork"},
	"a broken promise is asked about": {"audit/monitor.go",
		"return m.promises(ctx, nodes)", "_ = nodes\n\treturn nil", "audit", "TestMonitor"},
	"an absence denies one promise": {"audit/evidence.go",
		"case absence.Promise != promise.Hash():", "case false:", "audit", "TestMonitor$"},
	"backdating takes two other institutions": {"audit/evidence.go",
		"if len(witnesses) < 2 {", "if len(witnesses) < 1 {", "audit", "TestBackdatingTakesTwo"},
	"a monitor's alarm takes two other clocks": {"audit/watch.go",
		"return others >= 2", "return others >= 1", "audit", "TestOneClockAhead"},
	"evidence is small in a large network": {"audit/chain.go",
		"if all.heard[r.PutNode] {", "if true {", "audit", "TestEvidenceIsSmall"},
	"a new record launders nothing": {"audit/chain.go",
		"return r.Node == p.Node && r.LogKey == p.LogKey && r.Institution == p.Institution", "return r.Node == p.Node", "audit", "TestANewRecord"},
	"a leaf is held to the root before it is applied": {"audit/replica.go",
		"if err := r.log.hold(ctx, c, first, leaves); err != nil {", "if false {\n\t\t\tvar err error", "audit", "TestAuditOfASmallNetwork"},
	"an applicant signs for its own name": {"client/admission.go",
		"case params.Commitment != risk.CommitInstitution", "case false && params.Commitment != risk.CommitInstitution", "client", "TestAnApplicantSignsForItsOwnName"},
	"stamps are held to cosignatures": {"audit/monitor.go",
		"m.backdated(signed)", "", "audit", "TestMonitorSeesBackdating"},
	"two histories are compared": {"audit/monitor.go",
		"if err != nil || same {", "if true || same {", "audit", "TestMonitor"},
	"a leader's promise outlives its crash": {"consensus/log.go",
		"g.fate.truncated(lost)", "_ = lost", "consensus", "TestStoredEntry"},
}

// TestEachGuardIsHeldByItsTest takes out each guard; with -v it prints the list.
func TestEachGuardIsHeldByItsTest(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for name, g := range guards {
		t.Run(name, func(t *testing.T) {
			out, err := run(t, root, &g)
			result := "its test fails without it"
			switch {
			case err == nil:
				result = "NOT HELD"
				t.Errorf("go test -run '%s' ./%s passes without the guard", g.tests, g.room)
			case !strings.Contains(out, "--- FAIL") && !strings.Contains(out, "panic:"):
				result = "DOES NOT BUILD"
				t.Errorf("no test failed; it does not build without the guard:\n%s", out)
			}
			lines = append(lines, fmt.Sprintf("%-45s %-25s %-10s %-40s %s", name, g.file, g.room, g.tests, result))
		})
	}
	slices.Sort(lines)
	t.Logf("guards and results:\n%s", strings.Join(lines, "\n"))
}
