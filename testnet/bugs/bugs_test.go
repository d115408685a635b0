package bugs

import (
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// bug is a change to one file, and the tests that have to notice it.
type bug struct {
	file          string
	before, after string
	room, tests   string // -run of the tests
}

var bugs = map[string]bug{
	"a snapshot is adopted unseen": {"consensus/fsm.go",
		"if err := staged.staging.Install(want); err != nil {", "if err := error(nil); err != nil {",
		"consensus", "Image"},
	"an entry is applied twice": {"store/apply.go",
		"if e.Index <= c.meta.position.Index {", "if e.Index < c.meta.position.Index {",
		"store", "SameEntries"},
	"the sync before a cut of the log is skipped": {"consensus/fsm.go",
		"if err := d.machine.Sync(); err != nil {", "if err := error(nil); err != nil {",
		"consensus", "CutOnly|Barrier"},
	"the view is swapped after the receipt": {"node/commands.go",
		"view, err := n.checker.Wait(ctx, size)", "_ = size\n\tview, err := n.checker.Load(), error(nil)",
		"testnet", "AReceiptIsVisible"},
	"the configuration in the log is lost": {"consensus/fsm.go",
		"if l.Type == raft.LogConfiguration {", "if l.Type == raft.LogType(99) {",
		"consensus", "Restart|Image|SnapshotStore|Membership"},
	"not found on damage is taken for not listed": {"check/check.go",
		"if err != nil || len(list) == 0 || found != sum && sum != 0 {\n\t\t\t\tw.damaged(key, err, i)", "if _, _ = found, sum; err != nil || len(list) == 0 {",
		"check", "Damage|Transcripts"},
	"a part of what a token is listed for is taken for all of it": {"check/check.go",
		"|| found != sum && sum != 0 {", "|| found != sum && sum != found && false {",
		"check", "FewerOrOlder"},
	"what a newer view lacks is taken for what the state lacked": {"check/view.go",
		"if v.Version != version || v.source == nil {", "if v.source == nil {",
		"check", "NotLacked"},
	"the disk is not asked for a link that a filter may know": {"store/links.go",
		"if !c.store.opts.Lacks(", "if c.store.opts.Lacks(",
		"store", "SameEntries"},
	"a body is not destroyed where it stands beside its record": {"store/beside.go",
		"return c.set(key, joinListing(record, nil))", "_ = record\n\t\treturn nil",
		"store", "FoundWherever"},
	"what is due of a leaf is written over": {"store/due.go",
		"g.bits = binary.BigEndian.Uint64(raw)", "g.bits = 0",
		"store", "ComesInOrder"},
	"a layer that took keys away is folded": {"check/fold.go",
		"return len(l.removed) == 0 && ", "return ",
		"check", "TakenAway"},
	"a link keeps its version when its record changes": {"store/txn.go",
		"return c.relink(&ch)", "return nil",
		"store", "OlderState|SumsAre"},
	"the digest is without one record": {"store/txn.go",
		"c.meta.lanes.add(c.store.element, ch.Key, ch.New)", "if ch.Key[0] != risk.TableScopes {\n\t\t\tc.meta.lanes.add(c.store.element, ch.Key, ch.New)\n\t\t}",
		"store", "SameEntries|Transcripts"},
	"a lifted listing stays in the filter's exact set, and a check finds nothing": {"check/weigh.go",
		"if s.ActiveAt(w.now) {", "if true {",
		"check", "Transcripts"},
	"a server answers for the one whose disk it lost": {"consensus/transport.go",
		"if id == t.id {", "if true {",
		"consensus", "Wiped|Preface|Meant"},
	"a vote goes out before its term is remembered elsewhere": {"consensus/terms.go",
		"if term <= t.told || t.onTerm == nil {", "if true {",
		"consensus", "TermIsToldBefore"},
	"an old data directory is taken for the newest": {"node/witness.go",
		"if held.index >= anchored.LogIndex && held.term >= anchored.Term {", "if true {",
		"node", "FallsShort"},
	"what the others saw of a node is not asked": {"node/witness.go",
		"case seen.number == life.Number && (seen.Term > held.term || seen.Term == held.term && seen.Index > held.index):", "case false:",
		"node", "Witness"},
	"a node that lost its data goes on under its old id": {"node/past.go",
		"return course{number: next(anchored.Number), begin: true, because: \"the data is gone that the anchor speaks of\"}, nil", "return course{number: anchored.Number, begin: true}, nil",
		"node", "Course"},
	"one node talks another out of its data": {"node/witness.go",
		"return able, voters/2 + 1", "return able, 1",
		"node", "Majority"},
	"an answer that cannot be true is believed": {"node/witness.go",
		"return fmt.Errorf(\"%s: server %q: is not this node\", t.by.Name, t.Server)", "return nil",
		"node", "CannotBeTrue"},
	"a founder that lost its disks does not see that it founded": {"node/past.go",
		"n.mayFound(!n.wasFounded())", "n.mayFound(true)",
		"testnet", "NetworkOfOne"},
	"a founder with an empty disk takes silence for permission": {"node/founding.go",
		"if len(silent) > 0 {", "if false {",
		"testnet", "FounderThatLostEverything"},
	"a state that ends before its last sync is taken for whole": {"store/synced.go",
		"if m.version() < at.Index {", "if false {",
		"store", "DamageIsRefused"},
	"a hole in the state is not looked for": {"store/synced.go",
		"if version, ok := readNumber(item.Key()[1:]); !ok || version != m.version() {", "if version, ok := readNumber(item.Key()[1:]); !ok && version > 0 {",
		"store", "DamageIsRefused|TableLost|Middle"},
	"a chunk of the ledger is believed": {"store/chunk.go",
		"if edge != *trusted {", "if false {",
		"store", "Chunk"},
	"a log that lost its last batch is taken for whole": {"consensus/mark.go",
		"if last < m.last {", "if false {",
		"consensus", "LastBatch|DamagedLog"},
	"a disk that hangs keeps its leader": {"consensus/disk.go",
		"hangs = true\n\t\t\td.hang(what)", "_ = what",
		"consensus", "HangingLeader"},
	"an empty node answers": {"node/checks.go",
		"if s.node.Head().Size == 0 {", "if false {",
		"testnet", "NewLifeAnswersNothing"},
	"an image that hides a link is installed": {"store/restore.go",
		"if err := errors.Join(verifyListings(m, txn), verifyRuleSets(txn), verifyProtections(txn)); err != nil {", "if err := error(nil); err != nil {",
		"store", "Hides|Damaged"},
}

// TestEachEditFits is the quick part: a defence whose words have moved on would not be
// taken out at all when its turn comes.
func TestEachEditFits(t *testing.T) {
	all := maps.Clone(bugs)
	maps.Copy(all, guards)
	if len(all) != len(bugs)+len(guards) {
		t.Error("a guard and a bug have one name")
	}
	for name, b := range all {
		t.Run(name, func(t *testing.T) {
			if _, err := parser.ParseFile(token.NewFileSet(), b.file, b.bad(t), 0); err != nil {
				t.Error(err)
			}
		})
	}
}

// bad is the file with the change made.
func (b *bug) bad(t *testing.T) string {
	t.Helper()
	source, err := os.ReadFile(filepath.Join("../..", b.file))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(source), b.before); n != 1 {
		t.Fatalf("%s has the words %d times, not once:\n%s", b.file, n, b.before)
	}
	return strings.Replace(string(source), b.before, b.after, 1)
}
