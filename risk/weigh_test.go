package risk

import (
	"fmt"
	"math"
	"testing"
)

// told is one report as it stands, for tests of what reports come to.
type told struct {
	by     string
	tier   Tier
	origin Origin // zero is the reporter's own case
	code   uint16
	day    int64 // when the fraud began, in days after the start
	kind   Kind
	change func(*Standing)
}

func (r told) standing() *Standing {
	s := &Standing{}
	s.Listing = Listing{Reporter: idNamed(r.by), State: Active, ReportedAt: start + (r.day+7)*day}
	s.Listing.ChangedAt = max(s.Listing.ReportedAt, start+500*day)
	s.Listing.Item = Item{Kind: r.kind, Code: r.code, Origin: r.origin, Level: 2, Expiry: start + 9000*day}
	if r.origin.Kind == 0 {
		s.Listing.Item.Origin.Kind = OriginOwn
	}
	if r.kind == 0 {
		s.Listing.Item.Kind = KindTerminal
	}
	s.Body = ListingBody{Part: PartSuspect, Tier: r.tier, OccurredFrom: start + r.day*day, Action: Deny, Purposes: AllPurposes}
	if r.change != nil {
		r.change(s)
	}
	return s
}

func weigh(now int64, reports ...told) Weight {
	var all []*Standing
	for _, r := range reports {
		all = append(all, r.standing())
	}
	return DefaultPolicy().Weigh(start+now*day, all)
}

func TestWhatReportsComeTo(t *testing.T) {
	copied := OriginNamed(OriginCopy, "a list")
	court := OriginNamed(OriginAuthority, "a court")
	hubSays := func(s *Standing) { s.ByHub = true }
	named := func(s *Standing) { s.Body.Category = CategoryName }
	wrong := func(s *Standing) { s.Reputation = Reputation{Reported: 10_000, Errors: 10_000} }
	for _, c := range []struct {
		what    string
		reports []told
		origins int
		known   uint16
		most    Advice
	}{
		{"nothing", nil, 0, 0, Observe},
		{"one suspicion", []told{{by: "a"}}, 1, 50, Observe},
		{"one report", []told{{by: "a", tier: 1}}, 1, 300, Observe},
		{"one established case", []told{{by: "a", tier: 2}}, 1, 500, StepUp},
		{"one confession", []told{{by: "a", tier: 3}}, 1, 800, StepUp},
		{"a report and a suspicion", []told{{by: "a", tier: 1}, {by: "b"}}, 2, 335, Observe},
		{"two reports", []told{{by: "a", tier: 1}, {by: "b", tier: 1}}, 2, 510, HoldFunds},
		{"three reports", []told{{by: "a", tier: 1}, {by: "b", tier: 1}, {by: "c", tier: 1}}, 3, 657, Deny},
		{"two established cases", []told{{by: "a", tier: 2}, {by: "b", tier: 2}}, 2, 750, Deny},
		{"one that reports twice", []told{{by: "a", tier: 2}, {by: "a", tier: 2, code: 1}}, 1, 500, StepUp},
		{"one copy", []told{{by: "a", tier: 2, origin: copied}}, 1, 250, Observe},
		{"five copies of one list", []told{{by: "a", tier: 2, origin: copied}, {by: "b", tier: 2, origin: copied}, {by: "c", tier: 2, origin: copied},
			{by: "d", tier: 2, origin: copied}, {by: "e", tier: 2, origin: copied}}, 1, 250, Observe},
		{"one that says it has many sources", []told{{by: "a", tier: 3, origin: copied}, {by: "a", tier: 3, origin: OriginNamed(OriginCopy, "x")},
			{by: "a", tier: 3, origin: OriginNamed(OriginCopy, "y")}, {by: "a", tier: 3}}, 1, 800, StepUp},
		{"a case and a copy by another", []told{{by: "a", tier: 2}, {by: "b", tier: 3, origin: copied}}, 1, 500, StepUp},
		{"a suspicion and a copy", []told{{by: "a"}, {by: "b", tier: 3, origin: copied}}, 1, 50, Observe},
		{"copies of different lists", []told{{by: "a", tier: 2, origin: copied}, {by: "b", tier: 3, origin: OriginNamed(OriginCopy, "x")}}, 1, 400, StepUp},
		{"one that names an authority", []told{{by: "a", tier: 3, origin: court}}, 1, 800, StepUp},
		{"one that has a case and names authorities", []told{{by: "a", tier: 2}, {by: "a", tier: 3, origin: court}, {by: "a", tier: 3, origin: OriginNamed(OriginAuthority, "z")}}, 1, 800, StepUp},
		{"two that name the same authority", []told{{by: "a", tier: 1, origin: court}, {by: "b", tier: 1, origin: court}}, 1, 300, Observe},
		{"two that name different authorities", []told{{by: "a", tier: 1, origin: court}, {by: "b", tier: 1, origin: OriginNamed(OriginAuthority, "z")}}, 2, 510, HoldFunds},
		{"the hub names an authority", []told{{by: "hub", origin: court, change: hubSays}}, 1, 800, Deny},
		{"the hub's own case", []told{{by: "hub", tier: 3, change: hubSays}}, 1, 800, StepUp},
		{"the hub names an authority that knows a name", []told{{by: "hub", origin: court, change: func(s *Standing) { hubSays(s); named(s) }}}, 1, 240, StepUp},
		{"names", []told{{by: "a", tier: 3, change: named}, {by: "b", tier: 3, change: named}, {by: "c", tier: 3, change: named}}, 3, 562, StepUp},
		{"one that is always wrong", []told{{by: "a", tier: 3, change: wrong}}, 0, 0, Observe},
		{"one that is always wrong confirms nobody", []told{{by: "a", tier: 2}, {by: "b", tier: 3, change: wrong}}, 1, 500, StepUp},
		{"an address", []told{{by: "a", tier: 2, kind: KindIP}}, 1, 425, StepUp},
		{"somebody who stands beside a suspect", []told{{by: "a", tier: 3, change: func(s *Standing) { s.Body.Part = PartLinked }}}, 1, 50, Observe},
		{"a victim", []told{{by: "a", tier: 3, change: func(s *Standing) { s.Body.Part = PartVictim }}}, 0, 0, Observe},
		{"what was lifted", []told{{by: "a", tier: 2}, {by: "b", tier: 2, change: func(s *Standing) { s.Listing.State = Withdrawn }}}, 1, 500, StepUp},
	} {
		t.Run(c.what, func(t *testing.T) {
			got := weigh(0, c.reports...)
			if got.Origins != c.origins || got.Confidence != c.known || got.AtMost != c.most {
				t.Errorf("%+v; want %d origins, confidence %d, at most %s", got, c.origins, c.known, c.most)
			}
		})
	}
}

func TestAReportFades(t *testing.T) {
	report := told{by: "a", tier: 2}
	for days, want := range map[int64]uint16{0: 500, 18: 475, 90: 375, 180: 250, 400: 250} {
		if got := weigh(days, report).Confidence; got != want {
			t.Errorf("after %d days the confidence is %d, not %d", days, got, want)
		}
	}
	court := report
	court.origin = OriginNamed(OriginAuthority, "a court")
	if got := weigh(4000, court).Confidence; got != 500 {
		t.Errorf("an authority's word is worth %d after years", got)
	}
	report.change = func(s *Standing) { s.Body.OccurredTo = start + 90*day } // it went on
	if got := weigh(90, report).Confidence; got != 500 {
		t.Errorf("of a fraud that was seen today the confidence is %d", got)
	}
}

// A skimming point is reviewed four weeks after its second witness saw the first
// fraud; what happened after that is new evidence.
func TestACaseEndsForReview(t *testing.T) {
	const skimmed = 28
	case1 := []told{{by: "a", tier: 2, code: skimmed}, {by: "b", tier: 2, code: skimmed, day: 1}, {by: "c", tier: 2, code: skimmed, day: 20}}
	for _, c := range []struct {
		day     int64
		also    []told
		origins int
		due     bool
	}{
		{28, nil, 3, false},
		{29, nil, 0, true},
		{40, nil, 0, true},
		{40, []told{{by: "d", tier: 2, code: skimmed, day: 28}}, 0, true}, // of the same case, known later
		{40, []told{{by: "d", tier: 2, code: skimmed, day: 30}}, 1, true},
		{40, []told{{by: "d", tier: 2, code: skimmed, day: 30}, {by: "e", tier: 2, code: skimmed, day: 31}}, 2, true},
		{40, []told{{by: "d", tier: 2, code: 3}}, 1, true}, // another code has its own life
		// One who makes up an early date takes a day from it at most,
		{27, []told{{by: "liar", tier: 3, code: skimmed, day: -20}}, 4, false},
		// and one who withdrew has no say.
		{28, []told{{by: "liar", code: skimmed, day: -20, change: func(s *Standing) { s.Listing.State = Withdrawn }}}, 3, false},
	} {
		t.Run(fmt.Sprintf("day %d with %d more", c.day, len(c.also)), func(t *testing.T) {
			got := weigh(c.day, append(c.also, case1...)...)
			if got.Origins != c.origins || got.ReviewDue != c.due {
				t.Errorf("%+v; want %d origins, review due %t", got, c.origins, c.due)
			}
			if c.origins == 0 && got.AtMost != Observe {
				t.Errorf("a case that is over advises %s", got.AtMost)
			}
		})
	}
	one := told{by: "a", tier: 2, code: skimmed}
	if before, after := weigh(27, one), weigh(28, one); before.Origins != 1 || after.Origins != 0 || !after.ReviewDue {
		t.Errorf("alone: %+v, then %+v", before, after)
	}
}

// A date that is made up never ends in a loop, nor keeps a report young for ever.
func TestDatesThatNobodyCanKnow(t *testing.T) {
	for _, at := range []int64{math.MinInt64, -1, 0, 1, math.MaxInt64 - 1, math.MaxInt64} {
		madeUp := func(s *Standing) { s.Body.OccurredFrom, s.Body.OccurredTo, s.Listing.Item.SourceDate = at, at, at }
		reports := []told{{by: "liar", tier: 3, code: 28, change: madeUp}, {by: "liar 2", tier: 3, code: 28, change: madeUp},
			{by: "a", tier: 2, code: 28}, {by: "b", tier: 2, code: 28, day: 1}}
		for _, now := range []int64{0, 20, 900} {
			if w := weigh(now, reports...); w.Confidence > 1000 {
				t.Errorf("%d at day %d: %+v", at, now, w)
			}
		}
		young := told{by: "liar", tier: 2, change: func(s *Standing) { madeUp(s); s.Listing.ChangedAt = start }}
		if w := weigh(400, young); w.Confidence != 250 {
			t.Errorf("a report with the date %d has confidence %d after 400 days", at, w.Confidence)
		}
	}
}

// No policy that the law takes makes nonsense of the sums.
func TestExtremePoliciesStayWithinBounds(t *testing.T) {
	most := DefaultPolicy()
	most.Tiers, most.Trust, most.Penalty, most.Fade = [4]uint16{1000, 1000, 1000, 1000}, math.MaxUint16, math.MaxUint16, math.MaxUint16
	most.Cases = []CaseLife{{28, math.MaxUint16}}
	least := DefaultPolicy()
	least.Tiers, least.Trust, least.Penalty, least.Fade, least.Least = [4]uint16{}, 1, 0, 1, 0
	for _, p := range []*Policy{most, least} {
		if err := p.Check(); err != nil {
			t.Fatal(err)
		}
		for _, r := range []Reputation{{}, {Reported: math.MaxUint64, Errors: math.MaxUint64}, {Reported: math.MaxUint64}, {Errors: math.MaxUint64}} {
			var all []*Standing
			for n := range 20 {
				s := told{by: fmt.Sprint(n), tier: Tier(n % 4), code: 28}.standing()
				s.Reputation = r
				all = append(all, s)
			}
			if w := p.Weigh(start+10*day, all); w.Confidence > 1000 || w.Precision > 1000 {
				t.Errorf("%+v", w)
			}
		}
	}
}

// More voices never say less, and the order in which they stand says nothing.
func TestAnotherVoiceNeverLowersTheConfidence(t *testing.T) {
	var reports []told
	last := Weight{AtMost: Observe}
	for n := range 12 {
		reports = append(reports, told{by: fmt.Sprint(n), tier: Tier(n % 4), kind: KindPhone})
		got := weigh(0, reports...)
		if got.Confidence < last.Confidence || got.AtMost < last.AtMost || got.Confidence > 1000 {
			t.Errorf("with %d voices %+v, before %+v", n+1, got, last)
		}
		reversed := append([]told{reports[n]}, reports[:n]...)
		if other := weigh(0, reversed...); other != got {
			t.Errorf("in another order %+v, not %+v", other, got)
		}
		last = got
	}
}
