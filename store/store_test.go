package store

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/risknet/risknet/ledger"
	"github.com/risknet/risknet/risk"
)

func TestTheLifeOfAListing(t *testing.T) {
	w := newWorld()
	s := open(t, t.TempDir(), Options{})
	defer s.Close()
	mustApply(t, s, w.entries)
	next := func() Applied {
		t.Helper()
		return mustApply(t, s, w.entries[len(w.entries)-1:])[0]
	}
	standing := func() risk.Standing {
		t.Helper()
		list, _, err := s.Reader().Standing(s.Version(), risk.KindIP, tokenOf(5))
		if err != nil || len(list) != 1 {
			t.Fatalf("standing: %v, %v", list, err)
		}
		return list[0]
	}

	liftedIsActive := func() bool {
		got := standing()
		return got.ActiveAt(w.now)
	}

	first := w.publish(w.acq, "", 5)
	created := next()
	if created.Result.Outcomes[0].Status != risk.Created || !created.Result.Leaf || created.Head != s.Head() {
		t.Fatalf("published: %+v", created)
	}
	id := risk.ListingID{Leaf: created.Leaf}
	if got := standing(); got.Listing.ID != id || got.Listing.State != risk.Active || got.Body.Action != risk.Deny {
		t.Errorf("it stands as %+v", got)
	}

	w.order(first)
	if again := next(); again.Result.First == nil || again.Leaf != created.Leaf || again.Head != created.Head {
		t.Errorf("the same command again: %+v", again)
	}
	w.publish(w.acq, "", 5)
	if got := next(); got.Result.Outcomes[0] != (risk.Outcome{Status: risk.Unchanged, Target: id}) {
		t.Errorf("published again: %+v", got.Result.Outcomes)
	}
	w.publish(w.acq, "worse", 5)
	if got := next(); got.Result.Outcomes[0] != (risk.Outcome{Status: risk.Revised, Target: id}) || standing().Body.Note != "worse" {
		t.Errorf("revised: %+v", got.Result.Outcomes)
	}
	w.lift(w.bank, id)
	if got := next(); got.Result.Outcomes[0].Refusal != risk.NotPermitted {
		t.Errorf("another institution lifts it: %+v", got.Result.Outcomes)
	}
	w.lift(w.hub, id)
	if got := next(); got.Result.Outcomes[0].Status != risk.Lifted || liftedIsActive() {
		t.Errorf("lifted: %+v", got.Result.Outcomes)
	}
	w.publish(w.acq, "", 5)
	if got := next(); got.Result.Outcomes[0].Status != risk.Created || standing().Listing.ID == id {
		t.Errorf("after its end a new listing begins: %+v", got.Result.Outcomes)
	}
	if s.Count() != 2 {
		t.Errorf("%d listings, not 2", s.Count())
	}
}

func TestWhatIsNotSignedLeavesNothing(t *testing.T) {
	w := newWorld()
	s := open(t, t.TempDir(), Options{})
	defer s.Close()
	mustApply(t, s, w.entries)
	before, digest := s.Head(), s.Digest()
	signed := w.publish(w.acq, "", 1)
	signed.Signatures[0][3] ^= 1
	w.order(signed)
	result := mustApply(t, s, w.entries[len(w.entries)-1:])[0]
	if result.Result.Refusal == nil || result.Result.Leaf || s.Head() != before || s.Digest() != digest {
		t.Errorf("%+v; head %v, was %v", result, s.Head(), before)
	}
	if _, err := s.Verify(signed, w.now); err == nil {
		t.Error("the courtesy check took it")
	}
}

// A verdict never mixes two heads: a version answers as it did, or not at all.
func TestAVersionAnswersAsItDidUntilItIsGone(t *testing.T) {
	w := newWorld()
	w.publish(w.acq, "", 1)
	s := open(t, t.TempDir(), Options{})
	defer s.Close()
	mustApply(t, s, w.entries)
	reader, version := s.Reader(), s.Version()
	w.publish(w.acq, "worse", 1)
	mustApply(t, s, w.entries[len(w.entries)-1:])
	for i, want := range map[uint64]string{version: "", s.Version(): "worse"} {
		list, _, err := reader.Standing(i, risk.KindIP, tokenOf(1))
		if err != nil || len(list) != 1 || list[0].Body.Note != want {
			t.Errorf("version %d answers %v, %v; want the note %q", i, list, err, want)
		}
	}
	from := len(w.entries)
	for range keptVersions + 1 {
		w.put(Other, nil)
	}
	for i := from; i < len(w.entries); i++ { // a cut each
		mustApply(t, s, w.entries[i:i+1])
	}
	if _, _, err := reader.Standing(version, risk.KindIP, tokenOf(1)); !errors.Is(err, ErrVersionGone) {
		t.Errorf("a version below the horizon answers %v", err)
	}
	if list, _, err := reader.Standing(s.Version(), risk.KindIP, tokenOf(1)); err != nil || len(list) != 1 {
		t.Errorf("the newest answers %v, %v", list, err)
	}
}

func TestAMissingRecordIsDamageAndNotAnEmptyAnswer(t *testing.T) {
	w := newWorld()
	w.publish(w.acq, "", 1)
	s := open(t, t.TempDir(), Options{})
	defer s.Close()
	mustApply(t, s, w.entries)
	c := s.begin()
	if err := c.DropBody(risk.ItemID{Leaf: s.Head().Size - 1}); err != nil {
		t.Fatal(err)
	}
	if err := c.txn.CommitAt(s.Version(), nil); err != nil {
		t.Fatal(err)
	}
	if list, _, err := s.Reader().Standing(s.Version(), risk.KindIP, tokenOf(1)); !errors.Is(err, ErrDamaged) {
		t.Errorf("answered %v, %v", list, err)
	}
}

func TestTheDirectoryOfAnotherNetworkIsRefusedUnchanged(t *testing.T) {
	w := newWorld()
	dir := t.TempDir()
	s := open(t, dir, Options{})
	mustApply(t, s, w.entries)
	head := s.Head()
	mustClose(t, s)
	if _, err := Open(dir, Options{Network: risk.Hash{1}, Logger: quiet}); err == nil || !strings.Contains(err.Error(), w.network.String()) {
		t.Fatalf("opened as another network: %v", err)
	}
	s = open(t, dir, Options{Network: w.network})
	defer s.Close()
	if s.Head() != head {
		t.Errorf("head %v, was %v", s.Head(), head)
	}
}

func TestWhatACrashLeavesDoesNotStopTheStart(t *testing.T) {
	w := newWorld()
	live, copied := t.TempDir(), t.TempDir()
	s := open(t, live, Options{})
	mustApply(t, s, w.entries)
	w.publish(w.acq, "", 1, 2, 3)
	mustApply(t, s, w.entries[len(w.entries)-1:])
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	// As a crash leaves it: nothing was closed.
	if err := os.CopyFS(copied, os.DirFS(live)); err != nil {
		t.Fatal(err)
	}
	for path, data := range map[string][]byte{"state-1/00099.mem": nil, "state-2/rubbish": {1}, "staging/image-1": {1}, "images/9-1": {1}} {
		full := filepath.Join(copied, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	crashed := open(t, copied, Options{Network: w.network})
	defer crashed.Close()
	w.publish(w.bank, "", 3)
	for _, one := range []*Store{s, crashed} {
		mustApply(t, one, w.entries)
	}
	same(t, "after the crash", crashed, s)
	mustClose(t, s)
	for _, gone := range []string{"state-2", "staging", "images"} {
		if _, err := os.Stat(filepath.Join(copied, gone)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s was not swept aside: %v", gone, err)
		}
	}
}

func TestACutTellsWhatItChanged(t *testing.T) {
	w := newWorld()
	var cuts []Cut
	s := open(t, t.TempDir(), Options{OnCut: func(c Cut) { cuts = append(cuts, c) }})
	defer s.Close()
	mustApply(t, s, w.entries)
	w.publish(w.acq, "", 4, 6)
	mustApply(t, s, w.entries[len(w.entries)-1:])
	if len(cuts) != 2 || !cuts[0].EpochsChanged || cuts[1].EpochsChanged || !cuts[1].ScopesChanged {
		t.Fatalf("cuts: %+v", cuts)
	}
	last := cuts[1]
	if len(last.Linked) != 2 || last.Linked[0].Key != (Key{risk.KindIP, tokenOf(4)}) || last.Head != s.Head() || last.Version != s.Version() {
		t.Errorf("the last cut says %+v", last)
	}
}

func TestLeavesAndHashesGiveTheRoot(t *testing.T) {
	w := newWorld()
	w.publish(w.acq, "", 1, 2)
	s := open(t, t.TempDir(), Options{})
	defer s.Close()
	mustApply(t, s, w.entries)
	var edge ledger.Edge
	for i := range s.Head().Size {
		raw, err := s.Leaf(i)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := risk.DecodeLeaf(raw)
		if err != nil {
			t.Fatalf("leaf %d: %v", i, err)
		}
		if i == s.Head().Size-1 && leaf.State != s.Digest() {
			t.Error("the last leaf does not commit to the state")
		}
		edge.Append(nil, ledger.LeafHash(raw))
	}
	root, err := ledger.RootAt(s.Head().Size, s.Hashes)
	if err != nil || root != edge.Root() || risk.Hash(root) != s.Head().Root {
		t.Errorf("root %x from leaves, %x from hashes, %s from the head, %v", edge.Root(), root, s.Head().Root, err)
	}
}

// A command of an import, each in a cut of its own: where the disk is asked whether a
// subject is listed, and where a filter knows.
func BenchmarkApply512(b *testing.B) {
	b.Run("ask the disk", func(b *testing.B) { benchmarkApply(b, nil) })
	b.Run("ask a filter", func(b *testing.B) { benchmarkApply(b, func(uint64, Key) bool { return true }) })
}

func benchmarkApply(b *testing.B, lacks func(uint64, Key) bool) {
	w := newWorld()
	s, err := Open(b.TempDir(), Options{Logger: quiet, Lacks: lacks})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	s.Apply(w.entries)
	n := 0
	for b.Loop() {
		b.StopTimer()
		var subjects []int
		for range risk.MaxItems {
			subjects = append(subjects, n)
			n++
		}
		w.publish(w.acq, "", subjects...)
		b.StartTimer()
		if r := s.Apply(w.entries[len(w.entries)-1:]); r[0].Err != nil {
			b.Fatal(r[0].Err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/risk.MaxItems, "ns/item")
}

func BenchmarkStanding(b *testing.B) {
	w := newWorld()
	w.publish(w.acq, "", 1)
	s, err := Open(b.TempDir(), Options{Logger: quiet})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	s.Apply(w.entries)
	r := s.Reader()
	for b.Loop() {
		if list, _, err := r.Standing(s.Version(), risk.KindIP, tokenOf(1)); err != nil || len(list) != 1 {
			b.Fatal(list, err)
		}
	}
}
