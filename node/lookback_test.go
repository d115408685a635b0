package node

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/store"
)

const (
	phone   = "13800138000"
	another = "13900139000"
)

func TestAListingThatComesAfterACheckIsToldOnce(t *testing.T) {
	d := newDesk(t)
	d.asks("member", "T-1", phone)
	d.asks("member", "T-2", another)
	d.settles()
	d.hears(0)
	id := d.lists(d.acq, 1, phone)
	d.settles()
	last := d.hears(0, "listed T-1 allow step_up")
	a := d.alerts(0)[0]
	if a.Kind != "phone" || a.Listing != id.String() || a.Code != 12 || a.Level != 1 || a.List != "black" || a.Amount != 9900 ||
		a.Currency != "CNY" || a.CheckedAtMs != d.at.UnixMilli() || a.Size != d.store.Head().Size {
		t.Errorf("the alert says %v", a)
	}
	d.look.backlog.add(0, true)
	d.settles()
	d.hears(last)
}

func TestALiftIsToldAndAnExpiryIsNot(t *testing.T) {
	d := newDesk(t)
	lifted := d.lists(d.acq, 1, phone)
	d.asks("member", "T-1", phone)
	d.asks("member", "T-2", phone)
	d.settles()
	d.hears(0)
	d.lifts(d.acq, lifted)
	d.settles()
	last := d.hears(0, "lifted T-1 step_up allow", "lifted T-2 step_up allow")

	d.lists(d.acq, 1, another)
	d.asks("member", "T-3", another)
	d.settles()
	d.at = d.at.Add(25 * time.Hour) // the listing's time is over, as its answer had said
	d.look.backlog.add(0, true)
	d.settles()
	d.hears(last)
}

func TestAListingRisesWithItsLevelAndWithASecondVoice(t *testing.T) {
	d := newDesk(t)
	d.lists(d.acq, 2, phone)
	d.asks("member", "T-1", phone)
	d.settles()
	d.lists(d.acq, 1, phone)
	d.settles()
	last := d.hears(0, "risen T-1 step_up step_up")
	d.lists(d.bank, 1, phone)
	d.settles()
	d.hears(last, "risen T-1 step_up deny", "listed T-1 step_up deny")
}

func TestAListingThatOvertakesANoteIsToldAllTheSame(t *testing.T) {
	d := newDesk(t)
	d.settles()
	d.asks("member", "T-1", phone) // its note is still in the queue
	d.lists(d.acq, 1, phone)
	if keys, _, _ := d.look.backlog.take(); len(keys) != 1 {
		t.Fatalf("%d tokens are to be searched for", len(keys))
	}
	d.writes()
	d.hears(0, "listed T-1 allow step_up")
}

func TestANodeThatEndsWritesWhatWaits(t *testing.T) {
	d := newDesk(t)
	for i := range writtenAtOnce + 1 {
		d.asks("member", fmt.Sprint("T-", i), phone)
	}
	if err := d.lastNotes(); err != nil || d.look.stats().Notes != writtenAtOnce+1 {
		t.Errorf("%d notes, %v", d.look.stats().Notes, err)
	}
	d.asks("member", "T", phone)
	d.abandon.Store(true)
	if err := d.lastNotes(); err != nil || len(d.look.queue) != 1 {
		t.Errorf("a node that ends as in a crash writes: %v", err)
	}
}

// Whatever a node that ends has not searched for, the next start does; what it has told
// is not told again; and the cursor goes on.
func TestARestartMissesNothingAndRepeatsNothing(t *testing.T) {
	d := newDesk(t)
	d.asks("member", "T-1", phone)
	d.asks("member", "T-2", another)
	d.settles()
	d.lists(d.acq, 1, phone)
	d.settles()
	last := d.hears(0, "listed T-1 allow step_up")
	d.lists(d.acq, 1, another)

	d.closes()
	d.opens()
	if _, all, _ := d.look.backlog.take(); !all {
		t.Error("a node that ended with changes to search for does not look at all")
	}
	d.look.resume(d.store.Head().Size)
	d.hears(0, "listed T-1 allow step_up")
	d.settles()
	last = d.hears(last, "listed T-2 allow step_up")

	d.closes()
	d.opens()
	if _, all, _ := d.look.backlog.take(); all {
		t.Error("a node that had searched for everything looks at all again")
	}
	d.look.backlog.add(0, true)
	d.settles()
	d.hears(last)
}

// A crash between the writing of a note that a listing has overtaken and the look at it.
func TestACrashBetweenANoteAndTheLookAtItIsMadeUpFor(t *testing.T) {
	d := newDesk(t)
	d.asks("member", "T-1", phone)
	d.lists(d.acq, 1, phone)
	d.look.backlog.take()
	if err := d.look.journal.SetCursor(d.store.Head().Size); err != nil {
		t.Fatal(err)
	}
	if err := d.look.journal.Write([]*store.Note{<-d.look.queue}, d.at.UnixMilli()); err != nil {
		t.Fatal(err)
	}
	d.closes()
	d.opens()
	d.settles()
	d.hears(0, "listed T-1 allow step_up")
}

// A node that is rebuilt goes through its past, where listings are not there yet.
func TestAViewOfThePastLiftsNothing(t *testing.T) {
	d := newDesk(t)
	d.asks("member", "T-1", phone)
	d.settles()
	d.lists(d.acq, 1, phone)
	d.settles()
	last := d.hears(0, "listed T-1 allow step_up")

	if err := d.store.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(d.cfg.Data, "state")); err != nil {
		t.Fatal(err)
	}
	if err := d.look.close(); err != nil {
		t.Fatal(err)
	}
	d.opens()
	d.look.backlog.add(0, true)
	d.settles()
	d.hears(last)
}

func TestWhatWeighsListingsOtherwiseHasEverythingLookedAt(t *testing.T) {
	d := newDesk(t)
	for name, c := range map[string]struct {
		cut store.Cut
		all bool
	}{
		"a policy":     {store.Cut{PolicyChanged: true}, true},
		"a protection": {store.Cut{ProtectionsChanged: true}, true},
		"a rule set":   {store.Cut{RulesChanged: true}, false},
	} {
		d.look.backlog.take()
		d.look.absorb(&c.cut)
		if _, all, _ := d.look.backlog.take(); all != c.all {
			t.Errorf("%s: everything is looked at: %v", name, all)
		}
	}
}

func TestMoreChangesThanTheBacklogHoldsAreStillTold(t *testing.T) {
	d := newDesk(t)
	d.asks("member", "T-1", phone)
	d.settles()
	d.lists(d.acq, 1, phone)
	many := make([]store.Touched, maxBacklog+1)
	for i := range many {
		many[i].Kind, many[i].Token[0], many[i].Token[1], many[i].Token[2] = 1, byte(i), byte(i>>8), byte(i>>16)
	}
	d.look.backlog.add(d.store.Head().Size, false, many)
	if d.look.backlog.keys != nil {
		t.Errorf("the backlog holds %d tokens", len(d.look.backlog.keys))
	}
	d.settles()
	d.hears(0, "listed T-1 allow step_up")
}

func TestAFullQueueDropsAndCountsAndDelaysNobody(t *testing.T) {
	d := newDesk(t)
	d.look.queue = make(chan *store.Note, 3)
	for i := range 10 {
		if got := d.asks("member", fmt.Sprint("T-", i), phone).Advice; got != "allow" {
			t.Fatalf("check %d is answered %s", i, got)
		}
	}
	if lost := d.look.lost(); lost != 7 {
		t.Errorf("%d notes were dropped, want 7", lost)
	}
	d.settles()
	if notes := d.look.stats().Notes; notes != 3 {
		t.Errorf("%d notes are kept, want 3", notes)
	}
}

func TestADiskThatIsNearlyFullTakesNoNotes(t *testing.T) {
	d := newDesk(t)
	d.disk.low.Store(1)
	d.asks("member", "T-1", phone)
	d.writes()
	if s := d.look.stats(); s.Notes != 0 || d.look.lost() != 1 {
		t.Errorf("%d notes, %d dropped", s.Notes, d.look.lost())
	}
}

func TestWhatAnotherInstitutionAsksHereLeavesNoNote(t *testing.T) {
	d := newDesk(t)
	d.asks("guest", "T-1", phone)
	d.asks("member", "T-2", phone)
	d.asksTokens("member", "T-3", phone)
	d.settles()
	if notes := d.look.stats().Notes; notes != 2 {
		t.Errorf("%d notes are kept, want the own institution's two, of a value and of tokens", notes)
	}
}

func TestNoIdentifierReachesTheDisk(t *testing.T) {
	d := newDesk(t)
	d.asks("member", "T-1-in-clear", phone)
	d.settles()
	d.closes()
	var all []byte
	err := filepath.WalkDir(filepath.Join(d.cfg.Data, "journal"), func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		all = append(all, text...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(all, []byte("T-1-in-clear")) {
		t.Error("the note is not on disk in a form that this test can read")
	}
	if bytes.Contains(all, []byte(phone)) {
		t.Error("the journal holds the phone number")
	}
	d.opens()
}

func TestANodeWithoutAJournalSaysSo(t *testing.T) {
	d := newDesk(t)
	d.closes()
	d.look, d.cfg.Journal.Keep = nil, 0
	d.opens()
	d.asks("member", "T-1", phone)
	d.lists(d.acq, 1, phone)
	err := (&alertService{node: d.Node}).WatchAlerts(&apiv1.WatchAlertsRequest{}, &told{ctx: context.Background()})
	if status.Code(err) != codes.FailedPrecondition {
		t.Errorf("%v", err)
	}
}

// A listing protects everywhere before anybody looks back at what it would have stopped:
// the search would take the processor from the nodes that are about to apply it.
func TestASearchWaitsUntilTheListingProtects(t *testing.T) {
	d := newDesk(t)
	d.asks("member", "T-1", "13800000001")
	d.writes()
	d.settles()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { _ = d.lookBack(ctx); close(done) }()
	defer func() { stop(); <-done }()
	more, begun := d.look.journal.Changed(), time.Now()
	d.lists(d.acq, 1, "13800000001")
	<-more
	if took := time.Since(begun); took < lookPause {
		t.Fatalf("it was told of after %v", took)
	}
}

// The goroutines as they run in a node: checks and listings beside each other, and a
// reader that waits. Of each payment its institution hears once, in the answer or in an
// alert, whichever came first.
func TestUnderWayEveryPaymentIsToldOfOnce(t *testing.T) {
	d := newDesk(t)
	d.closing = make(chan struct{})
	ctx, stop := context.WithTimeout(context.Background(), 30*time.Second)
	var running, asking sync.WaitGroup
	defer running.Wait()
	defer stop()
	for _, run := range []func(context.Context) error{d.keepJournal, d.lookBack} {
		running.Go(func() { _ = run(ctx) })
	}
	const payments = 40
	heard := map[string]int{}
	asking.Go(func() {
		for i := range payments {
			if d.asks("member", fmt.Sprint("T-", i), fmt.Sprintf("138%08d", i)).Listed {
				heard[fmt.Sprint("T-", i)]++
			}
		}
	})
	for i := range payments {
		d.lists(d.acq, 1, fmt.Sprintf("138%08d", i))
	}
	asking.Wait()
	reader, enough := context.WithCancel(ctx)
	stream := &told{ctx: reader}
	stream.each = func() {
		heard[stream.list[len(stream.list)-1].TransactionId]++
		if len(heard) == payments {
			enough()
		}
	}
	if len(heard) < payments {
		_ = (&alertService{node: d.Node}).WatchAlerts(&apiv1.WatchAlertsRequest{Follow: true}, stream)
	}
	enough()
	for what, times := range heard {
		if times != 1 {
			t.Errorf("%s was told %d times", what, times)
		}
	}
	if len(heard) != payments {
		t.Errorf("%d of %d payments were told of", len(heard), payments)
	}
}

// A listing that advised less for a while, under another policy, and now what it did
// when the payment was answered, is no news.
func TestWhatIsAsItWasAnsweredIsNoAlert(t *testing.T) {
	d := newDesk(t)
	id := risk.ListingID{Leaf: 7}
	for name, c := range map[string]struct {
		answered, before, now risk.Advice
		alerts                int
	}{
		"it was less for a while":  {risk.Deny, risk.StepUp, risk.Deny, 0},
		"it is more than answered": {risk.StepUp, risk.StepUp, risk.Deny, 1},
		"it is less now":           {risk.Deny, risk.Deny, risk.StepUp, 0},
	} {
		e := d.newExaminer()
		e.told = []store.Told{{Listing: id, Advice: c.now}}
		note := &store.Note{Advice: c.answered, Subjects: []store.NoteSubject{{Kind: risk.KindPhone}}, Told: []store.Told{{Listing: id, Advice: c.before}}}
		if alerts := e.compare(note, 0); len(alerts) != c.alerts {
			t.Errorf("%s: %d alerts", name, len(alerts))
		}
	}
}
