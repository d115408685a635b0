package store

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/risknet/risknet/risk"
)

// manyTables makes a state that badger keeps in tables by prefix, as a large one is
// kept, and closes it.
func manyTables(t testing.TB, dir string) (w *world, bulky, other []tableRef) {
	t.Helper()
	w = newWorld()
	const each = 256
	old := tableBytes
	tableBytes = 2 << 20 // so that a few listings have some
	t.Cleanup(func() { tableBytes = old })
	for i := range 128 {
		var items []risk.Item
		var bodies []risk.Body
		for n := i * each; n < (i+1)*each; n++ {
			note := sha([]byte{byte(n), byte(n >> 8)}).String()
			item, body := w.listing(n*10_368_889&0xff_ffff, note+note+note+note, 100*day, 0)
			items, bodies = append(items, item), append(bodies, body)
		}
		w.propose(w.acq, &risk.Listings{}, items, bodies)
	}
	s := open(t, dir, Options{})
	mustApply(t, s, w.entries)
	gen := s.now.Load().gen
	merge(t, gen.db)
	mustClose(t, s)
	options := badgerOptions(gen.dir, 32<<20, quiet)
	bulky, err := prepare(gen.dir, options)
	if err != nil {
		t.Fatal(err)
	}
	later := map[uint64]bool{}
	for _, ref := range bulky {
		later[ref.id] = true
	}
	manifest, err := readManifest(gen.dir, options)
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range refsOf(gen.dir, manifest) {
		if !later[ref.id] {
			other = append(other, ref)
		}
	}
	if len(bulky) == 0 || len(other) == 0 {
		t.Fatalf("%d tables in bulk and %d others", len(bulky), len(other))
	}
	return w, bulky, other
}

// rotFirst damages the first block of a table.
func rotFirst(t *testing.T, path string) { rotAt(t, path, 64) }

// rotMiddle damages a block that is neither the first nor the last.
func rotMiddle(t *testing.T, path string) {
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	rotAt(t, path, info.Size()/2)
}

func rotAt(t *testing.T, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err == nil {
		_, err = f.WriteAt([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, at)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// A table of bodies or leaves that is damaged does not keep a node from answering
// for the moment that it takes to find it, and nothing is applied upon it.
func TestNothingIsAppliedUponATableThatIsDamaged(t *testing.T) {
	dir := t.TempDir()
	w, bulky, _ := manyTables(t, dir)
	rotMiddle(t, bulky[0].path)
	s := open(t, dir, Options{})
	at := s.Position()
	w.publish(w.acq, "later", 3)
	for _, r := range s.Apply(w.entries[len(w.entries)-1:]) {
		if !errors.Is(r.Err, ErrDamaged) {
			t.Errorf("applied: %v", r.Err)
		}
	}
	if err := s.Sound(ctx); !errors.Is(err, ErrDamaged) || s.Position().Index != at.Index {
		t.Errorf("it stands at %d, was at %d, and is %v", s.Position().Index, at.Index, err)
	}
	if _, err := s.OpenImage(ctx.Err); !errors.Is(err, ErrDamaged) {
		t.Errorf("an image of it: %v", err)
	}
	mustClose(t, s)
}

// Who is told that nobody is listed cannot tell whether that is so: the tables of
// links are read before anybody is answered.
func TestATableOfLinksThatIsDamagedIsRefusedAtOnce(t *testing.T) {
	dir := t.TempDir()
	_, _, other := manyTables(t, dir)
	for _, ref := range other {
		sound, err := os.ReadFile(ref.path)
		if err != nil {
			t.Fatal(err)
		}
		rotFirst(t, ref.path)
		if s, err := Open(dir, Options{Logger: quiet}); err == nil {
			mustClose(t, s)
			t.Errorf("table %s was taken", filepath.Base(ref.path))
		} else if !errors.Is(err, ErrDamaged) {
			t.Errorf("table %s: %v", filepath.Base(ref.path), err)
		}
		if err := os.WriteFile(ref.path, sound, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mustClose(t, open(t, dir, Options{}))
}

// A compaction that begins at a block which it cannot read loses the tables behind it
// too, those of links among them, before anybody knows: so no table may begin so.
func TestATableThatBeginsWithADamagedBlockIsRefusedAtOnce(t *testing.T) {
	dir := t.TempDir()
	_, bulky, _ := manyTables(t, dir)
	rotFirst(t, bulky[0].path)
	if s, err := Open(dir, Options{Logger: quiet}); err == nil {
		mustClose(t, s)
		t.Error("it was taken")
	} else if !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
}

// Badger removes a table that it has merged into others, damaged as it was. Until it
// was read it stays.
func TestATableStaysUntilItWasRead(t *testing.T) {
	dir := t.TempDir()
	manyTables(t, dir)
	s := open(t, dir, Options{})
	if err := s.Sound(ctx); err != nil {
		t.Fatal(err)
	}
	gen := s.now.Load().gen
	before := tablesIn(t, dir)
	release := gen.hold()
	merge(t, gen.db)
	for _, path := range before {
		var file tableFile
		if err := file.whole(path, gen.db.Opts().Compression); err != nil {
			t.Errorf("table %s: %v", filepath.Base(path), err)
		}
	}
	release()
	mustClose(t, s)
}

// A table that was merged before it could be held is for the digest to miss.
func TestWhatWasMergedBeforeItWasReadIsHeldToTheDigest(t *testing.T) {
	for _, damaged := range []bool{false, true} {
		dir := t.TempDir()
		_, bulky, _ := manyTables(t, dir)
		s := open(t, dir, Options{})
		if err := s.Sound(ctx); err != nil {
			t.Fatal(err)
		}
		gen := s.now.Load().gen
		if damaged {
			rotMiddle(t, bulky[0].path)
		}
		merge(t, gen.db)
		gen.examine([]tableRef{{id: 1 << 40}}, false)
		if err := gen.sound(ctx); !errors.Is(err, errMerged) {
			t.Errorf("a table that is gone: %v", err)
		}
		if err := s.Sound(ctx); errors.Is(err, ErrDamaged) != damaged {
			t.Errorf("damaged is %v: %v", damaged, err)
		}
		mustClose(t, s)
	}
}

// A process that ended before it had read all tables may have merged a damaged one away:
// the next one finds sound tables, and believes the digest alone.
func TestWhatAnEarlierProcessDidNotReadIsHeldToTheDigest(t *testing.T) {
	for _, damaged := range []bool{false, true} {
		dir := t.TempDir()
		manyTables(t, dir)
		s := open(t, dir, Options{})
		gen := s.now.Load().gen
		if err := s.Sound(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(gen.dir, unreadFile)); !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("all was read, and the note is there: %v", err)
		}
		if damaged { // as a merge that met a damaged block would leave it: an entry of what is due is gone
			loseOneDue(t, gen)
		}
		mustClose(t, s)
		if err := os.WriteFile(filepath.Join(gen.dir, unreadFile), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		s = open(t, dir, Options{})
		if err := s.Sound(ctx); errors.Is(err, ErrDamaged) != damaged || !damaged && err != nil {
			t.Errorf("damaged is %v: %v", damaged, err)
		}
		if _, err := os.Stat(filepath.Join(gen.dir, unreadFile)); (err == nil) != damaged {
			t.Errorf("damaged is %v, and of the note: %v", damaged, err)
		}
		mustClose(t, s)
	}
}

// loseOneDue takes a key of the index of what is due away behind the store's back.
func loseOneDue(t *testing.T, gen *generation) {
	t.Helper()
	version := gen.db.MaxVersion()
	txn := gen.db.NewTransactionAt(version, true)
	defer txn.Discard()
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{prefixDue}})
	it.Rewind()
	key := it.Item().KeyCopy(nil)
	it.Close()
	if err := txn.Delete(key); err != nil {
		t.Fatal(err)
	}
	if err := txn.CommitAt(version, nil); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkOpen is a start over 12,288 listings, until questions are answered and
// until commands may be applied.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	manyTables(b, dir)
	for _, whole := range []bool{false, true} {
		b.Run(map[bool]string{false: "answers", true: "applies"}[whole], func(b *testing.B) {
			for b.Loop() {
				s, err := Open(dir, Options{Logger: quiet})
				if err == nil && whole {
					err = s.Sound(ctx)
				}
				b.StopTimer()
				if err := errors.Join(err, s.Close()); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

// An image that takes the place of a state while that is being proved is no reason to stop.
func TestAStateThatWasReplacedNeedsNoProof(t *testing.T) {
	small := newWorld()
	small.publish(small.acq, "", 1)
	image, at := imageMade(t, small)
	dir := t.TempDir()
	mustClose(t, open(t, dir, Options{}))
	if err := os.WriteFile(filepath.Join(dir, "state-1", unreadFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir, Options{})
	defer mustClose(t, s)
	old := s.now.Load().gen
	if err := old.sound(ctx); !errors.Is(err, errMerged) {
		t.Fatalf("there is nothing to prove: %v", err)
	}
	if err := install(s, image, at); err != nil {
		t.Fatal(err)
	}
	old.soundness.end() // as leave does, some time
	if err := s.prove(old); !errors.Is(err, errEnded) {
		t.Errorf("of the old state: %v", err)
	}
	if err := s.Sound(ctx); err != nil {
		t.Errorf("of the new one: %v", err)
	}
}
