package client_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	apiv1 "github.com/risknet/risknet/api/v1"
	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/risk"
)

// source is one file that an institution imports again and again.
type source struct {
	t    *testing.T
	n    *network
	kind risk.Kind
	o    client.RowOptions
	set  []string
	keys *client.Keyring
	im   client.Importer
}

func newSource(t *testing.T, n *network, kind risk.Kind, set ...string) *source {
	return &source{t: t, n: n, kind: kind, o: client.RowOptions{Format: client.FormatValues}, set: set, keys: testKeyring(t, 1),
		im: client.Importer{Standing: n, Reporter: n.reporter, To: n.author()}}
}

// dated makes it a CSV file with a past.
func (s *source) dated() *source {
	s.o = client.RowOptions{Format: client.FormatCSV, Columns: columns("value=value", "from=listed", "until=delisted")}
	return s
}

func (s *source) imports(text string) imported {
	s.t.Helper()
	report := client.NewReport(s.kind, time.Now())
	for i := 0; i < len(s.set); i += 2 {
		if err := report.Set(s.set[i], s.set[i+1]); err != nil {
			s.t.Fatal(err)
		}
	}
	rows, err := report.OpenRows(strings.NewReader(text), time.UnixMilli(1000), s.o)
	if err != nil {
		s.t.Fatal(err)
	}
	im := s.im
	im.Template, im.Keys = report, s.keys
	var got imported
	got.ImportResult, got.err = im.Run(s.t.Context(), rows)
	return got
}

func (s *source) syncs(text string) imported {
	s.t.Helper()
	s.im.Sync = true
	return s.imports(text)
}

func TestSyncLiftsWhatItsSourceDropped(t *testing.T) {
	n := newNetwork(t)
	s := newSource(t, n, risk.KindDevice)
	s.imports("a\nb\nc\nd\n")
	got := s.syncs("b\nc\nd\ne\n")
	if got.err != nil || got.Accepted != 1 || got.Unchanged != 3 || got.Lifted != 1 || len(n.standing(t)) != 4 {
		t.Fatalf("%s lifted %d, %d stand (%v)", got.counts(), got.Lifted, len(n.standing(t)), got.err)
	}
	if got.Size != n.leaves {
		t.Errorf("size %d of %d leaves; the lift is among them", got.Size, n.leaves)
	}
	if again := s.syncs("b\nc\nd\ne\n"); again.Lifted != 0 || again.Unchanged != 4 {
		t.Errorf("again: %s lifted %d", again.counts(), again.Lifted)
	}
	if back := s.syncs("a\nb\nc\nd\ne\n"); back.Accepted != 1 || back.Lifted != 0 {
		t.Errorf("a subject that comes back: %s lifted %d", back.counts(), back.Lifted)
	}
}

func TestSyncLeavesWhatOthersSaid(t *testing.T) {
	for _, c := range []struct {
		name   string
		kind   risk.Kind
		set    []string
		lifted int
	}{
		{"the same source", risk.KindDevice, []string{"origin", "copy:feed", "code", "7"}, 1},
		{"another origin", risk.KindDevice, []string{"origin", "copy:other", "code", "7"}, 0},
		{"the same name of an authority", risk.KindDevice, []string{"origin", "authority:feed", "code", "7"}, 0},
		{"its own cases", risk.KindDevice, []string{"code", "7"}, 0},
		{"another code", risk.KindDevice, []string{"origin", "copy:feed", "code", "8"}, 0},
		{"another list", risk.KindDevice, []string{"origin", "copy:feed", "code", "7", "list", "watch"}, 0},
		{"another kind", risk.KindMiniProgram, []string{"origin", "copy:feed", "code", "7"}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNetwork(t)
			newSource(t, n, c.kind, c.set...).imports("left\n")
			got := newSource(t, n, risk.KindDevice, "origin", "copy:feed", "code", "7").syncs("right\n")
			if got.err != nil || got.Lifted != c.lifted {
				t.Errorf("lifted %d (%v), want %d", got.Lifted, got.err, c.lifted)
			}
		})
	}
	n := newNetwork(t)
	newSource(t, n, risk.KindDevice).imports("left\n")
	other := newSource(t, n, risk.KindDevice)
	other.im.Reporter = risk.ID{9}
	if got := other.syncs("right\n"); got.err != nil || got.Lifted != 0 {
		t.Errorf("another institution's: lifted %d (%v)", got.Lifted, got.err)
	}
}

func TestAFileThatShrankByMoreThanHalfLiftsNothing(t *testing.T) {
	n := newNetwork(t)
	s := newSource(t, n, risk.KindDevice)
	s.imports(numberedLines(10))
	for _, few := range []int{0, 4} {
		got := s.syncs(numberedLines(few))
		shrunk, ok := errors.AsType[*client.ShrunkError](got.err)
		if !ok || shrunk.Held != few || shrunk.Stood != 10 || shrunk.Dropped != 10-few || got.Lifted != 0 || len(n.standing(t)) != 10 {
			t.Fatalf("%d of 10: lifted %d, %d stand (%v)", few, got.Lifted, len(n.standing(t)), got.err)
		}
	}
	if got := s.syncs(numberedLines(5)); got.err != nil || got.Lifted != 5 {
		t.Errorf("5 of 10: lifted %d (%v)", got.Lifted, got.err)
	}
	s.im.Anyway = true
	if got := s.syncs(numberedLines(1)); got.err != nil || got.Lifted != 4 || len(n.standing(t)) != 1 {
		t.Errorf("1 of 5, with a yes: lifted %d (%v)", got.Lifted, got.err)
	}
}

// What the file itself has just added did not stand before it.
func TestASourceMayTurnOver(t *testing.T) {
	n := newNetwork(t)
	s := newSource(t, n, risk.KindDevice)
	s.imports(numberedLines(10))
	if got := s.syncs("p\nq\nr\ns\nt\n"); got.err != nil || got.Accepted != 5 || got.Lifted != 10 {
		t.Errorf("5 others in the place of 10: %s lifted %d (%v)", got.counts(), got.Lifted, got.err)
	}
}

func TestADryRunSaysWhatSyncWouldLift(t *testing.T) {
	n := newNetwork(t)
	s := newSource(t, n, risk.KindDevice)
	s.imports(numberedLines(10))
	sent := len(n.sent)
	s.im.To = nil
	got := s.syncs(numberedLines(3))
	if got.err != nil || got.Lifted != 7 || len(n.sent) != sent || len(n.standing(t)) != 10 {
		t.Errorf("would lift %d (%v); %d commands sent", got.Lifted, got.err, len(n.sent)-sent)
	}
}

func TestAFileThatBreaksOffLiftsNothing(t *testing.T) {
	n := newNetwork(t)
	s := newSource(t, n, 0)
	s.o.Format = client.FormatUN
	whole := fixture(t, "consolidated.xml")
	s.imports(whole)
	stood := len(n.standing(t))
	got := s.syncs(whole[:strings.Index(whole, "<ENTITIES>")])
	if got.err == nil || got.Lifted != 0 || len(n.standing(t)) != stood {
		t.Errorf("lifted %d (%v); %d of %d stand", got.Lifted, got.err, len(n.standing(t)), stood)
	}
	closed := whole[:strings.Index(whole, "<ENTITIES>")] + "</CONSOLIDATED_LIST>"
	if got := s.syncs(closed); got.err != nil || got.Lifted != 2 {
		t.Errorf("without its entities: lifted %d (%v), want 2", got.Lifted, got.err)
	}
}

func TestWhatWasDelistedIsNotListedAndEnds(t *testing.T) {
	n := newNetwork(t)
	s := newSource(t, n, risk.KindDevice).dated()
	if got := s.imports("value,from,until\na,2020-01-01,\nb,2020-01-01,2021-01-01\nc,2020-01-01,after 2021-01-01\n"); got.err != nil ||
		got.Read != 3 || got.Accepted != 1 || got.Ended != 2 || got.Lifted != 0 {
		t.Fatalf("%s ended %d lifted %d (%v)", got.counts(), got.Ended, got.Lifted, got.err)
	}
	got := s.imports("value,from,until\na,2020-01-01,2022-01-01\nb,2023-01-01,\nb,2020-01-01,2021-01-01\n")
	if got.err != nil || got.Accepted != 1 || got.Ended != 2 || got.Lifted != 1 {
		t.Errorf("%s ended %d lifted %d (%v); what is listed again stands", got.counts(), got.Ended, got.Lifted, got.err)
	}
	if got := s.imports("value,from,until\nb,2020-01-01,soon\n,2020-01-01,2021-01-01\n"); got.Rejected != 2 {
		t.Errorf("%s; a day that is none, and no subject", got.counts())
	}
}

func TestWhatWillBeDelistedEndsThen(t *testing.T) {
	n := newNetwork(t)
	s := newSource(t, n, risk.KindDevice, "expires", "30d").dated()
	then := time.Now().Add(48 * time.Hour).Truncate(time.Second)
	if got := s.imports(fmt.Sprintf("value,from,until\na,2020-01-01,%s\n", then.Format(time.RFC3339))); got.Accepted != 1 {
		t.Fatalf("%s (%v)", got.counts(), got.err)
	}
	for _, id := range n.links {
		l, err := risk.ReadListing(id, n.records[string(risk.ListingRecordKey(id))])
		if err != nil || l.Item.Expiry != then.UnixMilli() {
			t.Errorf("ends at %d (%v), want %d", l.Item.Expiry, err, then.UnixMilli())
		}
		body, err := risk.DecodeListingBody(n.bodies[id].Data)
		if began := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli(); err != nil || body.OccurredFrom != began || body.Effective != began {
			t.Errorf("began %d, effective %d (%v)", body.OccurredFrom, body.Effective, err)
		}
	}
}

// A source that names one subject twice says the same again when it is read again.
func TestASourceWithAPastKeepsItsFirstWord(t *testing.T) {
	s := newSource(t, newNetwork(t), risk.KindDevice).dated()
	text := "value,from,until\na,2020-01-01,\na,2022-01-01,\n"
	if got := s.imports(text); got.Accepted != 1 || got.Unchanged != 1 {
		t.Errorf("%s (%v)", got.counts(), got.err)
	}
	if got := s.imports(text); got.Unchanged != 2 {
		t.Errorf("again: %s (%v)", got.counts(), got.err)
	}
}

// While two token keys are in use, what stands under the older one is the same
// subject; the network here takes listings under the first key alone.
func TestSyncKnowsItsSubjectsUnderBothKeys(t *testing.T) {
	n := newNetwork(t)
	s := newSource(t, n, risk.KindDevice)
	s.imports("a\nb\nc\n")
	in := keyringResponse(2)
	in.Keys = append(in.Keys, &apiv1.TokenKey{Epoch: 2, Secret: []byte("fedcba9876543210fedcba9876543210")})
	keys, err := client.NewKeyring(in)
	if err != nil {
		t.Fatal(err)
	}
	s.keys = keys
	got := s.syncs("a\nb\n")
	if got.err != nil || got.Rejected != 2 || got.Lifted != 1 || len(n.standing(t)) != 2 {
		t.Errorf("%s lifted %d, %d stand (%v)", got.counts(), got.Lifted, len(n.standing(t)), got.err)
	}
	s.keys, err = client.NewKeyring(&apiv1.KeyringResponse{Keys: in.Keys[1:]})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.syncs("z\n"); got.err != nil || got.Lifted != 0 {
		t.Errorf("under a key that is gone: lifted %d (%v)", got.Lifted, got.err)
	}
}

func TestALiftThatSomebodyElseMadeIsNoFault(t *testing.T) {
	n := newNetwork(t)
	s := newSource(t, n, risk.KindDevice)
	s.imports("a\nb\nc\n")
	s.im.Standing = exporter(func(each func(*apiv1.Listing) error) error {
		for _, l := range n.standing(t) { // seen before the hub lifts them
			if err := each(l); err != nil {
				return err
			}
			id, _ := risk.ParseItemID(l.Id)
			if _, err := client.Lift(t.Context(), n.author(), risk.LiftWithdrawn, "", id); err != nil {
				return err
			}
		}
		return nil
	})
	if got := s.syncs("b\nd\n"); got.err != nil || got.Lifted != 0 {
		t.Errorf("lifted %d (%v)", got.Lifted, got.err)
	}
}

type exporter func(func(*apiv1.Listing) error) error

func (e exporter) Export(ctx context.Context, _ bool, each func(*apiv1.Listing) error) error {
	return e(each)
}

func TestManyAreLiftedInSeveralCommands(t *testing.T) {
	n := newNetwork(t)
	s := newSource(t, n, risk.KindDevice)
	s.im.Anyway = true
	s.imports(numberedLines(1300))
	if got := s.syncs("other\n"); got.err != nil || got.Lifted != 1300 || len(n.standing(t)) != 1 {
		t.Errorf("lifted %d (%v), %d stand", got.Lifted, got.err, len(n.standing(t)))
	}
}

func TestAWalletsChainMayStandInAColumnOfItsOwn(t *testing.T) {
	text := "asset,address\nXBT,1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2\nETC,0x52908400098527886E0F7030069857D2E4169EE7\n" +
		"USDT,0x52908400098527886e0f7030069857d2e4169ee7\n,0x52908400098527886E0F7030069857D2E4169EE7\nXBT,TX\n"
	o := client.RowOptions{Format: client.FormatCSV, Columns: columns("asset=chain", "address=wallet")}
	if got := importText(t, newNetwork(t), 0, text, o); got.err != nil || got.counts() != "read 5 accepted 2 unchanged 2 revised 0 extended 0 rejected 1" {
		t.Errorf("%s (%v) %v", got.counts(), got.err, got.rejects)
	}
	o.Columns = columns("asset=chain", "address=device")
	if got := importText(t, newNetwork(t), 0, text, o); len(got.rejects) != 4 || !strings.Contains(got.rejects[0].Reason, "belongs to a wallet") {
		t.Errorf("%s %v", got.counts(), got.rejects)
	}
}

func numberedLines(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "device-%d\n", i)
	}
	return b.String()
}

// An older file than the one that was imported last does not know what came since.
func TestAnOlderFileLiftsNothingNewer(t *testing.T) {
	n := newNetwork(t)
	newSource(t, n, risk.KindDevice, "source_date", "2026-06-01").imports("a\nb\nc\n")
	if got := newSource(t, n, risk.KindDevice, "source_date", "2026-05-01").syncs("a\nb\n"); got.err != nil || got.Lifted != 0 {
		t.Errorf("of May: lifted %d (%v)", got.Lifted, got.err)
	}
	if got := newSource(t, n, risk.KindDevice, "source_date", "2026-07-01").syncs("a\nb\n"); got.err != nil || got.Lifted != 1 {
		t.Errorf("of July: lifted %d (%v)", got.Lifted, got.err)
	}
}
