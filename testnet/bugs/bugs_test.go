//go:build bugs

package bugs

import (
	"encoding/json"
	"os"
	"os/exec"
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
		"if err != nil || len(list) == 0 || sum != want && want != 0 {\n\t\t\t\tw.damaged(key, err, i)", "if _, _ = want, sum; err != nil || len(list) == 0 {",
		"check", "Damage|Transcripts"},
	"a part of what a token is listed for is taken for all of it": {"check/check.go",
		"|| sum != want && want != 0 {", "|| sum != want && want != sum && false {",
		"check", "FewerOrOlder"},
	"a link keeps its version when its record changes": {"store/txn.go",
		"return c.relink(&ch)", "return nil",
		"store", "OlderState|SumsAre"},
	"the digest is without one record": {"store/txn.go",
		"c.meta.lanes.add(c.store.element, ch.Key, ch.New)", "if ch.Key[0] != risk.TableScopes {\n\t\t\tc.meta.lanes.add(c.store.element, ch.Key, ch.New)\n\t\t}",
		"store", "SameEntries|Transcripts"},
	"a lifted listing stays in the filter's exact set, and a check finds nothing": {"check/check.go",
		"!s.ActiveAt(w.now)", "false",
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
		"if err := errors.Join(verifyListings(m, txn), verifyRuleSets(txn)); err != nil {", "if err := error(nil); err != nil {",
		"store", "Hides|Damaged"},
}

func TestTheSuiteCatchesEachBug(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range bugs {
		t.Run(name, func(t *testing.T) {
			out, err := run(t, root, &b)
			switch {
			case err == nil:
				t.Errorf("go test -run '%s' ./%s passes with the bug in", b.tests, b.room)
			case !strings.Contains(out, "--- FAIL") && !strings.Contains(out, "panic:"):
				t.Errorf("no test failed; the bug does not build:\n%s", out)
			}
		})
	}
}

// run gives what the tests say when the bug is in.
func run(t *testing.T, root string, b *bug) (string, error) {
	t.Helper()
	file := filepath.Join(root, b.file)
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(source), b.before); n != 1 {
		t.Fatalf("%s has the words %d times, not once:\n%s", b.file, n, b.before)
	}
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.go")
	if err := os.WriteFile(bad, []byte(strings.Replace(string(source), b.before, b.after, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{file: bad}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "test", "-count=1", "-timeout", "3m", "-vet=off", "-overlay", filepath.Join(dir, "overlay.json"), "-run", b.tests, "./"+b.room)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	return string(out), err
}
