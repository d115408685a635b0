package store

import (
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/risknet/risknet/risk"
)

// Badger takes a block that it cannot read for the end of its table, also when it
// merges the table into another one: then every table is whole, and records are
// gone. The scan of everything misses them.
func TestRecordsThatAMergeLosesAreMissed(t *testing.T) {
	w, dir := newWorld(), t.TempDir()
	for part := range 3 { // each becomes a table
		s := open(t, dir, Options{})
		from := len(w.entries)
		if part == 0 {
			from = 0
		}
		w.publish(w.acq, "", subjects(400*part, 400)...)
		mustApply(t, s, w.entries[from:])
		mustClose(t, s)
	}
	s := open(t, dir, Options{})
	tables := tablesIn(t, dir)
	// The newest one holds the position and the network; without them nothing opens.
	rot(t, tables[1])
	merge(t, s.now.Load().gen.db)
	if err := checkFiles(s.now.Load().gen.dir, s.now.Load().gen.db.Opts()); err != nil {
		t.Fatalf("the damaged table was not merged: %v", err)
	}
	if _, err := s.VerifyAll(ctx); !errors.Is(err, ErrDamaged) {
		t.Errorf("the scan says %v", err)
	}
	mustClose(t, s)
}

// merge has badger merge all tables.
func merge(t testing.TB, db *badger.DB) {
	t.Helper()
	const dropped = "~"
	txn := db.NewTransactionAt(1<<40, true)
	defer txn.Discard()
	err := txn.Set([]byte(dropped), nil)
	if err := errors.Join(err, txn.CommitAt(1<<40, nil), db.DropPrefix([]byte(dropped))); err != nil {
		t.Fatal(err)
	}
}

// Badger cuts a table that it has merged to nothing before it removes it. Who
// reads the tables meanwhile must not take that for damage.
func TestATableThatIsBeingRemovedIsNotDamage(t *testing.T) {
	dir := t.TempDir()
	w := newWorld()
	s := open(t, dir, Options{})
	mustApply(t, s, w.entries)
	mustClose(t, s)
	s = open(t, dir, Options{})
	gen := s.now.Load().gen
	manifest, err := readManifest(gen.dir, gen.db.Opts())
	if err != nil {
		t.Fatal(err)
	}
	before := tablesIn(t, dir)
	merge(t, gen.db)
	if err := os.WriteFile(before[0], nil, 0o600); err != nil {
		t.Fatal(err)
	}
	now, err := readManifest(gen.dir, gen.db.Opts())
	if err != nil {
		t.Fatal(err)
	}
	named := func(id uint64) bool { _, is := now.Tables[id]; return is }
	if err := checkTables(gen.dir, manifest, named); err != nil {
		t.Errorf("a sound state is called damaged: %v", err)
	}
	if err := checkTables(gen.dir, manifest, func(uint64) bool { return true }); !errors.Is(err, ErrDamaged) {
		t.Errorf("a table that is cut to nothing: %v", err)
	}
	mustClose(t, s)
}

// A program that exports and does not read on must not hold up raft.
func TestASlowReaderDoesNotHoldUpAnImage(t *testing.T) {
	w := newWorld()
	w.publish(w.acq, "one", subjects(0, 50)...)
	s, ahead := open(t, t.TempDir(), Options{}), open(t, t.TempDir(), Options{})
	mustApply(t, s, w.entries)
	w.publish(w.acq, "two", subjects(50, 50)...)
	mustApply(t, ahead, w.entries)
	reader, version := s.Reader(), s.Version()
	sending, goOn, read := make(chan struct{}), make(chan struct{}), make(chan int)
	go func() {
		n := 0
		_ = s.Listings(ctx, func(*risk.Standing) error { // the count tells
			if n++; n == 1 {
				close(sending)
				<-goOn
			}
			return nil
		})
		read <- n
	}()
	<-sending
	if err := install(s, imageOf(t, ahead), ahead.Position()); err != nil {
		t.Fatal(err)
	}
	if s.Head() != ahead.Head() {
		t.Errorf("the head is %v, want %v", s.Head(), ahead.Head())
	}
	list, _, err := reader.Standing(version, risk.KindIP, tokenOf(3)) // by a view from before
	if !errors.Is(err, ErrVersionGone) && (err != nil || len(list) != 1) {
		t.Errorf("an old view answers %v, %v", list, err)
	}
	close(goOn)
	if n := <-read; n != 50 {
		t.Errorf("the slow reader has read %d listings of 50", n)
	}
	mustClose(t, s)
	mustClose(t, ahead)
}

// What an image calls a key is taken apart later, by those who trust its length.
func TestAKeyOfAnotherLengthIsNotWellFormed(t *testing.T) {
	for _, first := range append(slices.Clone(tables), prefixLink, prefixBody) {
		for n := range 80 {
			key := append([]byte{first}, make([]byte, n)...)
			if !wellFormed(key) {
				continue
			}
			_, _ = risk.DueOf(key, nil) // their values are not what this is about
			switch first {
			case risk.TableRuleSets:
				_, _ = risk.ReadRuleSet(key, nil)
			case risk.TableInstitutions:
				_, _ = risk.ReadInstitution(key, nil)
			case risk.TableKeys:
				_, _ = risk.ReadAuthorKey(key, nil)
			case risk.TableListings:
				_ = risk.ParseListingRecordKey(key)
			case prefixLink:
				_ = risk.ParseListingKey(key[1:])
			}
		}
	}
}
