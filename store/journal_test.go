package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/risknet/risknet/risk"
)

func openTestJournal(t fataler, dir string, o JournalOptions) *Journal {
	t.Helper()
	o.Logger = quiet
	if o.Keep == 0 {
		o.Keep = day
	}
	if o.Bytes == 0 {
		o.Bytes = 1 << 30
	}
	if o.Alerts == 0 {
		o.Alerts = 1000
	}
	j, err := OpenJournal(dir, o)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return j
}

// noteOf is a check of one subject, the n-th, with as many tokens.
func noteOf(n, tokens int, at int64) *Note {
	note := &Note{At: at, Transaction: fmt.Sprintf("T-%03d", n), Amount: 9900, Currency: "CNY", Phase: risk.PhaseIn,
		Purpose: risk.PurposeScreening, Advice: risk.Allow, Size: 7}
	for i := range tokens {
		note.Asked = append(note.Asked, risk.Asked{Kind: risk.KindPhone, Epoch: 1, Token: tokenOf(n*1000 + i)})
	}
	note.Subjects = []NoteSubject{{Kind: risk.KindPhone, Role: risk.RolePayee, Asked: tokens}}
	return note
}

func (j *Journal) mustWrite(t fataler, now int64, notes ...*Note) {
	t.Helper()
	if err := j.Write(notes, now); err != nil {
		t.Fatalf("write: %v", err)
	}
}

// speaks is an Examine that finds a listing about every note, once.
func speaks(n *Note) ([]Alert, bool) {
	if len(n.Told) > 0 {
		return nil, false
	}
	n.Told = []Told{{Listing: risk.ListingID{Leaf: 9, Item: 1}, Advice: risk.Deny, Level: 1, List: risk.ListBlack, Code: 12, Expires: 99}}
	n.Size++
	return []Alert{{At: n.At, What: Listed, Transaction: n.Transaction}}, true
}

// found gives the transactions of the notes that asked for a token.
func (j *Journal) found(t fataler, k Key) (list []string) {
	t.Helper()
	err := j.SearchToken(ctx, k, func(n *Note) ([]Alert, bool) {
		list = append(list, n.Transaction)
		return nil, false
	})
	if err != nil {
		t.Fatalf("search: %v", err)
	}
	return list
}

func keyOf(n, i int) Key { return Key{risk.KindPhone, tokenOf(n*1000 + i)} }

func TestANoteComesBackAsItWas(t *testing.T) {
	n := noteOf(3, 4, worldStart)
	n.Asked[1].Scope = risk.Scope{Family: risk.FamilyDomain, Length: 2}
	speaks(n)
	got, err := decodeNote(n.encode())
	if err != nil || !reflect.DeepEqual(got, n) {
		t.Fatalf("%+v, %v; want %+v", got, err, n)
	}
	encoded := n.encode()
	for cut := range encoded {
		if got, err := decodeNote(encoded[:cut]); err == nil {
			t.Errorf("the first %d of %d bytes give %+v", cut, len(encoded), got)
		}
	}
	if _, err := decodeNote(append(encoded, 0)); err == nil {
		t.Error("a byte too many passes")
	}
}

func FuzzNote(f *testing.F) {
	n := noteOf(1, 3, worldStart)
	speaks(n)
	f.Add(n.encode())
	f.Add((&Note{}).encode())
	f.Fuzz(func(t *testing.T, raw []byte) {
		if n, err := decodeNote(raw); err == nil && len(n.Asked) > risk.MaxAsked {
			t.Errorf("%d tokens", len(n.Asked))
		}
	})
}

func TestNotesAreFoundByEachTokenAndNoOther(t *testing.T) {
	j := openTestJournal(t, t.TempDir(), JournalOptions{})
	defer j.Close()
	shared := noteOf(2, 2, worldStart)
	shared.Asked[0] = noteOf(1, 1, 0).Asked[0]
	j.mustWrite(t, worldStart, noteOf(1, 3, worldStart), shared)
	for k, want := range map[Key]string{keyOf(1, 0): "[T-001 T-002]", keyOf(1, 2): "[T-001]", keyOf(2, 1): "[T-002]", keyOf(2, 0): "[]", keyOf(3, 0): "[]",
		{risk.KindDevice, tokenOf(1000)}: "[]"} {
		if got := fmt.Sprint(j.found(t, k)); got != want {
			t.Errorf("%v finds %s, want %s", k, got, want)
		}
	}
}

// A token that very many asked for, such as a large merchant's, is gone through in parts.
func TestATokenOfManyNotesIsSearchedToItsEnd(t *testing.T) {
	j := openTestJournal(t, t.TempDir(), JournalOptions{Alerts: 10_000})
	defer j.Close()
	const many = 3*searchedAtOnce + 7
	var notes []*Note
	for i := range many {
		n := noteOf(1, 1, worldStart)
		n.Transaction = fmt.Sprint(i)
		notes = append(notes, n)
	}
	j.mustWrite(t, worldStart, notes...)
	if err := j.SearchToken(ctx, keyOf(1, 0), speaks); err != nil {
		t.Fatal(err)
	}
	if err := j.SearchAll(ctx, speaks); err != nil {
		t.Fatal(err)
	}
	if list, lost, err := j.Alerts(0, 2*many); err != nil || lost != 0 || len(list) != many || list[many-1].Transaction != fmt.Sprint(many-1) {
		t.Errorf("%d alerts, %d lost, %v; want %d", len(list), lost, err, many)
	}
	if err := j.SearchAll(cancelled(), speaks); !errors.Is(err, context.Canceled) {
		t.Errorf("a search that is given up says %v", err)
	}
}

func TestTheOldestNotesGoByAgeAndByBytes(t *testing.T) {
	j := openTestJournal(t, t.TempDir(), JournalOptions{Keep: 10 * minute, Bytes: 20 * noteOf(1, 5, 0).cost()})
	defer j.Close()
	for i := range 100 {
		j.mustWrite(t, worldStart, noteOf(i, 5, worldStart))
	}
	if s := j.Stats(); s.Notes != 20 || s.Bytes > j.opts.Bytes {
		t.Errorf("%d notes of %d bytes are kept; 20 have room", s.Notes, s.Bytes)
	}
	if got := fmt.Sprint(j.found(t, keyOf(79, 4)), j.found(t, keyOf(80, 4))); got != "[] [T-080]" {
		t.Errorf("found %s, want the newest alone", got)
	}
	j.mustWrite(t, worldStart+5*minute, noteOf(100, 5, worldStart+5*minute))
	j.mustWrite(t, worldStart+11*minute)
	if s := j.Stats(); s.Notes != 1 || s.Oldest != worldStart+5*minute {
		t.Errorf("%d notes are kept, the oldest of %d", s.Notes, s.Oldest)
	}
	j.mustWrite(t, worldStart+16*minute)
	if s := j.Stats(); s.Notes != 0 || s.Bytes != 0 || s.Oldest != 0 {
		t.Errorf("an empty journal says %+v", s)
	}
}

func TestAlertsAreBoundedAndSayHowManyWereLost(t *testing.T) {
	j := openTestJournal(t, t.TempDir(), JournalOptions{Alerts: 5, First: 100, Keep: 10 * minute})
	defer j.Close()
	for i := range 12 {
		j.mustWrite(t, worldStart, noteOf(i, 1, worldStart))
	}
	if err := j.SearchAll(ctx, speaks); err != nil {
		t.Fatal(err)
	}
	for after, want := range map[uint64]struct {
		lost  uint64
		first uint64
		count int
	}{0: {7, 107, 5}, 99: {7, 107, 5}, 103: {3, 107, 5}, 106: {0, 107, 5}, 109: {0, 110, 2}} {
		list, lost, err := j.Alerts(after, 100)
		if err != nil || lost != want.lost || len(list) != want.count || list[0].Cursor != want.first {
			t.Errorf("behind %d: %d alerts, %d lost, %v; want %+v", after, len(list), lost, err, want)
		}
	}
	if list, lost, err := j.Alerts(111, 100); err != nil || lost != 0 || len(list) != 0 {
		t.Errorf("behind the last: %d, %d, %v", len(list), lost, err)
	}
	j.mustWrite(t, worldStart+11*minute, noteOf(20, 1, worldStart+11*minute))
	if s := j.Stats(); s.Alerts != 0 {
		t.Errorf("%d alerts outlive the notes", s.Alerts)
	}
}

func TestAJournalGoesOnWhereItWas(t *testing.T) {
	dir := t.TempDir()
	j := openTestJournal(t, dir, JournalOptions{First: 50})
	j.mustWrite(t, worldStart, noteOf(1, 2, worldStart))
	if err := errors.Join(j.SearchAll(ctx, speaks), j.SetCursor(41), j.Close()); err != nil {
		t.Fatal(err)
	}
	j = openTestJournal(t, dir, JournalOptions{First: 7000})
	defer j.Close()
	j.mustWrite(t, worldStart, noteOf(2, 2, worldStart))
	if j.Cursor() != 7 {
		t.Errorf("the cursor is %d; a note of size 7 has come behind it", j.Cursor())
	}
	if err := j.SearchAll(ctx, speaks); err != nil {
		t.Fatal(err)
	}
	list, _, err := j.Alerts(0, 10)
	if err != nil || len(list) != 2 || list[0].Cursor != 50 || list[1].Cursor != 51 {
		t.Errorf("alerts %+v, %v", list, err)
	}
}

func TestADamagedJournalBeginsAnewWithHigherNumbers(t *testing.T) {
	dir := t.TempDir()
	j := openTestJournal(t, dir, JournalOptions{First: 50})
	j.mustWrite(t, worldStart, noteOf(1, 2, worldStart))
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	tables, _ := filepath.Glob(filepath.Join(dir, "*.sst"))
	if len(tables) == 0 {
		t.Fatal("no table is on disk")
	}
	if err := os.Truncate(tables[0], 10); err != nil {
		t.Fatal(err)
	}
	j = openTestJournal(t, dir, JournalOptions{First: 60})
	defer j.Close()
	j.mustWrite(t, worldStart, noteOf(1, 2, worldStart))
	if err := j.SearchAll(ctx, speaks); err != nil {
		t.Fatal(err)
	}
	if list, lost, err := j.Alerts(50, 10); err != nil || lost != 0 || len(list) != 1 || list[0].Cursor != 60 {
		t.Errorf("alerts %+v, lost %d, %v", list, lost, err)
	}
}

// What a search has made and could not sync is shown by the next one, which finds nothing
// more to tell.
func TestAnAlertIsShownAfterASyncThatFailed(t *testing.T) {
	j := openTestJournal(t, t.TempDir(), JournalOptions{First: 100})
	defer j.Close()
	j.mustWrite(t, worldStart, noteOf(1, 2, worldStart))
	bad := filepath.Join(j.gen.dir, "x.mem")
	if err := os.Mkdir(bad, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := j.SearchAll(ctx, speaks); err == nil {
		t.Fatal("the sync did not fail")
	}
	if err := os.Remove(bad); err != nil {
		t.Fatal(err)
	}
	if err := j.SearchAll(ctx, speaks); err != nil {
		t.Fatal(err)
	}
	if list, lost, err := j.Alerts(99, 10); err != nil || lost != 0 || len(list) != 1 {
		t.Errorf("%d alerts, %d lost, %v", len(list), lost, err)
	}
}

// One alert that cannot be read costs itself, and neither the others nor the journal.
func TestAnAlertThatCannotBeReadCostsItself(t *testing.T) {
	j := openTestJournal(t, t.TempDir(), JournalOptions{First: 100})
	defer j.Close()
	j.mustWrite(t, worldStart, noteOf(1, 2, worldStart), noteOf(2, 2, worldStart))
	if err := j.SearchAll(ctx, speaks); err != nil {
		t.Fatal(err)
	}
	if err := j.update(func(x *journalTxn) error { return x.set(numbered(prefixAlert, 100), []byte("{")) }); err != nil {
		t.Fatal(err)
	}
	if list, lost, err := j.Alerts(99, 10); err != nil || lost != 1 || len(list) != 1 || list[0].Cursor != 101 {
		t.Errorf("alerts %+v, lost %d, %v", list, lost, err)
	}
	if err := j.Write([]*Note{noteOf(3, 2, worldStart)}, worldStart+1); err != nil {
		t.Errorf("no note can be written: %v", err)
	}
}

// What a note takes on disk is about what it is counted for.
func BenchmarkJournal(b *testing.B) {
	dir := b.TempDir()
	j := openTestJournal(b, dir, JournalOptions{})
	var batch []*Note
	for i := range b.N {
		n := noteOf(i, 5, worldStart)
		for a := range n.Asked {
			n.Asked[a].Token = tokenLike(i*8 + a)
		}
		if batch = append(batch, n); len(batch) == 512 || i == b.N-1 {
			j.mustWrite(b, worldStart, batch...)
			batch = batch[:0]
		}
	}
	counted := j.Stats().Bytes
	if err := j.Close(); err != nil {
		b.Fatal(err)
	}
	size := int64(0)
	files, _ := filepath.Glob(filepath.Join(dir, "*.sst"))
	for _, file := range files {
		if info, err := os.Stat(file); err == nil {
			size += info.Size()
		}
	}
	b.ReportMetric(float64(counted)/float64(b.N), "counted-B/note")
	b.ReportMetric(float64(size)/float64(b.N), "disk-B/note")
}

// tokenLike is as random as a token is.
func tokenLike(n int) risk.Token {
	hash := sha(numbered(0, uint64(n)))
	return risk.Token(hash[:16])
}
