package store

import (
	"errors"
	"testing"

	"github.com/risknet/risknet/risk"
)

// What institutions did on a listing is counted behind it, across cuts and starts,
// and goes with it.
func TestActsAreCountedBehindTheListing(t *testing.T) {
	w, dir := newWorld(), t.TempDir()
	s := open(t, dir, Options{})
	first := w.publish(w.acq, "", 1)
	id := idOf(t, w, first)
	w.acts(w.acq, risk.HoldFunds, id)
	mustApply(t, s, w.entries)
	mustClose(t, s)
	s = open(t, dir, Options{})
	defer s.Close()
	from := len(w.entries)
	w.acts(w.bank, risk.HoldFunds, id)
	w.acts(w.acq, risk.Deny, id)
	mustApply(t, s, w.entries[from:])
	list, _, err := s.Reader().Standing(s.Version(), risk.KindIP, tokenOf(1))
	if err != nil || len(list) != 1 || list[0].Listing.Taken != (risk.Taken{risk.HoldFunds: 1, risk.Deny: 1}) {
		t.Fatalf("the counts are %v, %v", list, err)
	}
	from = len(w.entries)
	w.now += 200 * day
	w.publish(w.bank, "much later", 2)
	w.publish(w.bank, "once more", 3)
	mustApply(t, s, w.entries[from:])
	if acts := countOf(t, s, risk.TableActs); acts != 0 {
		t.Errorf("%d acts outlive their listing", acts)
	}
	if _, err := s.VerifyAll(ctx); err != nil {
		t.Error(err)
	}
}

// An act that badger has lost is missed when its listing goes, not passed over.
func TestALostActIsMissed(t *testing.T) {
	w := newWorld()
	s := open(t, t.TempDir(), Options{})
	defer s.Close()
	first := w.publish(w.acq, "", 1)
	w.acts(w.bank, risk.HoldFunds, idOf(t, w, first))
	mustApply(t, s, w.entries)
	txn := s.now.Load().gen.db.NewTransactionAt(s.Version(), true)
	key := append(idOf(t, w, first).AppendTo([]byte{risk.TableActs}), w.bank.id[:]...)
	if err := errors.Join(txn.Delete(key), txn.CommitAt(s.Version(), nil)); err != nil {
		t.Fatal(err)
	}
	from := len(w.entries)
	w.now += 200 * day
	w.publish(w.bank, "much later", 2)
	w.publish(w.bank, "once more", 3)
	results := s.Apply(w.entries[from:])
	if err := results[len(results)-1].Err; !errors.Is(err, ErrDamaged) {
		t.Errorf("the listing went without the act on it: %v", err)
	}
}

func TestProtectionsAreTold(t *testing.T) {
	w, dir, changed := newWorld(), t.TempDir(), 0
	options := Options{OnCut: func(c Cut) {
		if c.ProtectionsChanged {
			changed++
		}
	}}
	s := open(t, dir, options)
	w.protect(1, 30*day)
	mustApply(t, s, w.entries)
	mustClose(t, s)
	s = open(t, dir, options)
	defer s.Close()
	from := len(w.entries)
	w.publish(w.acq, "", 1)
	mustApply(t, s, w.entries[from:])
	list, version, err := s.Protections()
	if err != nil || version != s.Version() || len(list) != 1 || list[0].Body.Token != tokenOf(1) || list[0].Kind != risk.KindPhone || !list[0].ActiveAt(w.now) {
		t.Fatalf("protected are %+v at %d, %v", list, version, err)
	}
	from = len(w.entries)
	w.unprotect(list[0].ID)
	mustApply(t, s, w.entries[from:])
	if list, _, err = s.Protections(); err != nil || len(list) != 1 || list[0].ActiveAt(w.now+1) {
		t.Fatalf("after the end they are %+v, %v", list, err)
	}
	if changed != 2 {
		t.Errorf("%d cuts changed the protections, want 2", changed)
	}
	replayed := open(t, t.TempDir(), Options{})
	defer replayed.Close()
	for i := range s.Head().Size {
		leaf, err := s.Leaf(i)
		if err != nil {
			t.Fatal(err)
		}
		if err := replayed.Replay([]Replayed{{Leaf: leaf}}); err != nil {
			t.Fatal(err)
		}
	}
	if list, _, err := replayed.Protections(); err != nil || len(list) != 0 {
		t.Errorf("of a protection whose body is gone nobody is protected: %+v, %v", list, err)
	}
	txn := s.now.Load().gen.db.NewTransactionAt(s.Version(), true)
	if err := errors.Join(txn.Delete(bodyKey(list[0].ID)), txn.CommitAt(s.Version(), nil)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Protections(); !errors.Is(err, ErrDamaged) {
		t.Errorf("a protection without its body is %v", err)
	}
}

// A listing on which more have acted than one command may remove goes over several,
// and where a transaction is cut between them changes nothing.
func TestAListingWithManyActsGoesBitByBit(t *testing.T) {
	w := newWorld()
	id := idOf(t, w, w.publish(w.acq, "", 1))
	const many = risk.MaxActRemovals + 6
	for i := range many {
		who := newAuthor(1, 1)
		who.id = risk.ID{1, byte(i), byte(i >> 8)}
		w.propose(w.hub, &risk.Admit{Reporter: who.id, Role: risk.RoleMember, Keys: []risk.PublicKey{publicOf(who.keys[0])}}, nil, nil)
		w.acts(who, risk.Advice(1+i%7), id)
	}
	w.publish(w.bank, "gone with it", 7)
	w.now += 200 * day
	for i := range 4 {
		w.publish(w.bank, "later", 20+i)
	}
	whole, single := open(t, t.TempDir(), Options{}), open(t, t.TempDir(), Options{})
	defer whole.Close()
	defer single.Close()
	mustApply(t, whole, w.entries)
	left := map[int]bool{}
	for i := range w.entries {
		mustApply(t, single, w.entries[i:i+1])
		if i >= len(w.entries)-4 {
			left[countOf(t, single, risk.TableActs)] = true
		}
	}
	if !left[6] || !left[0] {
		t.Errorf("there were %v acts after the commands that swept", left)
	}
	same(t, "a cut for each command", single, whole)
	if n := whole.Count(); n != 4 {
		t.Errorf("%d listings are left, want the 4 last", n)
	}
	if _, err := single.VerifyAll(ctx); err != nil {
		t.Error(err)
	}
}

func countOf(t *testing.T, s *Store, table byte) (n int) {
	t.Helper()
	err := s.Records(ctx, func(risk.Head) error { return nil }, func(key, _ []byte) error {
		if key[0] == table {
			n++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
