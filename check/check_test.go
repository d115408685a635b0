package check

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/rules"
)

func TestBeforeThereIsAStateNothingIsAnswered(t *testing.T) {
	c, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Check(askFor(keyNumber(1)), &risk.Verdict{}); !errors.Is(err, ErrEmpty) {
		t.Errorf("the error is %v", err)
	}
	if err := c.Rebuild(context.Background()); !errors.Is(err, ErrEmpty) {
		t.Errorf("the error of a build is %v", err)
	}
}

func TestAViewThatWasNeverCompleteIsStale(t *testing.T) {
	c, _ := New(Config{StaleAdvice: risk.Limit})
	if err := c.Reset(context.Background(), newBook(), Batch{}); err != nil {
		t.Fatal(err)
	}
	v := verdictOf(t, c, askFor(keyNumber(1)))
	if v.Advice != risk.Limit || !v.Stale || v.Reasons[0].Rule != risk.ReasonStale || c.Age() != math.MaxInt64 {
		t.Errorf("the verdict is %+v", v)
	}
}

func TestAgeGrowsWhenTheWallClockIsSetBackOrTheMachineSleeps(t *testing.T) {
	fresh := time.Now()
	for name, now := range map[string]time.Time{
		"the monotonic clock alone went on": fresh.Add(time.Minute).AddDate(0, 0, 0),
		"the wall clock alone went on":      fresh.Round(0).Add(time.Minute),
	} {
		c := newChecker(t, newBook(), 0, Config{Now: func() time.Time { return now }})
		c.SetFresh(fresh)
		if c.Age() != time.Minute {
			t.Errorf("%s: the age is %v", name, c.Age())
		}
	}
}

func TestAQueryIsRefusedByItsField(t *testing.T) {
	one := Subject{Kind: risk.KindIP, Role: risk.RolePayer}
	many := one
	many.Asked = make([]risk.Asked, risk.MaxAsked/2+1)
	for i := range many.Asked {
		many.Asked[i].Kind = risk.KindIP
	}
	c := newChecker(t, newBook(), 0, Config{})
	for _, test := range []struct {
		name  string
		query Query
		field string
	}{
		{"too many subjects", Query{Subjects: make([]Subject, risk.MaxSubjects+1)}, "subjects"},
		{"too many tokens", Query{Subjects: []Subject{many, many}}, "subjects"},
		{"no kind", Query{Subjects: []Subject{one, {Role: risk.RolePayee}}}, "subjects[1].kind"},
		{"an unknown kind", Query{Subjects: []Subject{{Kind: risk.Kinds, Role: risk.RolePayee}}}, "subjects[0].kind"},
		{"no role", Query{Subjects: []Subject{{Kind: risk.KindIP}}}, "subjects[0].role"},
		{"an unknown kind asked", Query{Subjects: []Subject{{Kind: risk.KindIP, Role: risk.RolePayee, Asked: []risk.Asked{{Kind: 200}}}}}, "subjects[0].asked[0].kind"},
		{"a negative age", Query{MaxAge: -1}, "max_age"},
	} {
		err := c.Check(&test.query, &risk.Verdict{})
		if refused, ok := errors.AsType[*QueryError](err); !ok || refused.Field != test.field {
			t.Errorf("%s: the error is %v", test.name, err)
		}
	}
}

func TestAConfigIsRefusedByItsField(t *testing.T) {
	for field, config := range map[string]Config{
		"max_age":       {MaxAge: -1},
		"retry_after":   {RetryAfter: -1},
		"recent_keys":   {RecentKeys: -1},
		"stale_advice":  {StaleAdvice: 99},
		"damage_advice": {DamageAdvice: risk.Allow},
	} {
		if _, err := New(config); err == nil || !strings.HasPrefix(err.Error(), field+":") {
			t.Errorf("%s: the error is %v", field, err)
		}
	}
}

func TestAnOverrideIsRefusedByItsField(t *testing.T) {
	c := newChecker(t, newBook(), 0, Config{})
	good := Override{Kind: risk.KindIP, Advice: risk.Allow, Expires: 1}
	for field, edit := range map[string]func(*Override){
		"kind":    func(o *Override) { o.Kind = 0 },
		"advice":  func(o *Override) { o.Advice = 0 },
		"expires": func(o *Override) { o.Expires = 0 },
	} {
		bad := good
		edit(&bad)
		if err := c.SetOverrides([]Override{good, bad}); err == nil || !strings.HasPrefix(err.Error(), "overrides[1]."+field) {
			t.Errorf("%s: the error is %v", field, err)
		}
	}
}

func TestACheckWhoseVersionIsGoneGoesOnWithTheNewestView(t *testing.T) {
	b := newBook()
	k := keyNumber(1)
	c := newChecker(t, b, 0, Config{})
	c.Absorb(b.list(k))
	moved := false
	fault := func(uint64, Key) error {
		if !moved {
			moved = true
			c.Absorb(b.list(keyNumber(2)))
			b.forget()
		}
		return nil
	}
	b.fault.Store(&fault)
	v := verdictOf(t, c, askFor(k))
	if !v.Listed || v.Head.Size != 2 || len(v.Reasons) != 1 || c.Stats().Retries != 1 || c.Stats().Damage != 0 {
		t.Errorf("the verdict is %+v, the counts %+v", v, c.Stats())
	}
}

func TestAStoreThatAnswersNoMoreIsDamage(t *testing.T) {
	for name, fault := range map[string]error{
		"a version that stays gone": fmt.Errorf("version 1: %w", ErrGone),
		"a broken disk":             errors.New("checksum mismatch"),
	} {
		b := newBook()
		var alarm error
		c := newChecker(t, b, 0, Config{DamageAdvice: risk.HoldFunds, Alarm: func(err error) { alarm = err }})
		c.Absorb(b.list(keyNumber(1)))
		say := func(uint64, Key) error { return fault }
		b.fault.Store(&say)
		v := verdictOf(t, c, askFor(keyNumber(1)))
		if v.Advice != risk.HoldFunds || !v.Listed || len(v.Reasons) != 1 || v.Reasons[0].Rule != risk.ReasonDamage {
			t.Errorf("%s: the verdict is %+v", name, v)
		}
		damage, ok := errors.AsType[*DamageError](alarm)
		if !ok || damage.Key != keyNumber(1) || !errors.Is(alarm, fault) || c.Stats().Damage != 1 {
			t.Errorf("%s: the alarm is %v", name, alarm)
		}
		if strings.Contains(alarm.Error(), keyNumber(1).Token.String()) {
			t.Errorf("%s: the alarm's text shows a token: %v", name, alarm)
		}
	}
}

func TestAnUnlinkThatCannotBeConfirmedKeepsTheKey(t *testing.T) {
	b := newBook()
	c := newChecker(t, b, 0, Config{})
	c.Absorb(b.list(keyNumber(1)))
	say := func(uint64, Key) error { return errors.New("the disk is slow") }
	b.fault.Store(&say)
	c.Absorb(b.purge(keyNumber(1)))
	k := keyNumber(1)
	if known, _ := c.Load().filter.ask(c.hasher.of(k), k); known != hit {
		t.Error("the key is gone from the filter")
	}
}

func TestWaitEndsWithTheSizeOrTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		c := newChecker(t, b, 0, Config{})
		got := make(chan uint64)
		go func() {
			v, err := c.Wait(t.Context(), 2)
			if err != nil {
				t.Error(err)
				v = &View{}
			}
			got <- v.Head.Size
		}()
		synctest.Wait()
		c.Absorb(b.list(keyNumber(1)))
		synctest.Wait()
		select {
		case size := <-got:
			t.Errorf("the wait ended at size %d", size)
		default:
		}
		c.Absorb(b.list(keyNumber(2)))
		if size := <-got; size != 2 {
			t.Errorf("the wait ended at size %d", size)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Wait(ctx, 3); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the error is %v", err)
		}
	})
}

func TestAnOldBatchChangesNothing(t *testing.T) {
	b := newBook()
	c := newChecker(t, b, 0, Config{})
	old := b.list(keyNumber(1))
	c.Absorb(b.list(keyNumber(2)))
	c.Absorb(old)
	if c.Load().Version != 2 {
		t.Errorf("the version is %d", c.Load().Version)
	}
}

func TestExplainSpeaksOfTheVerdictsOwnFacts(t *testing.T) {
	b := newBook()
	c := newChecker(t, b, 0, Config{})
	batch := b.list(keyNumber(1))
	batch.Rules = []RuleSet{{1, []byte(ruleTexts["cautious"])}}
	c.Absorb(batch)
	q := askFor(keyNumber(1))
	if _, err := c.Explain(q); err == nil {
		t.Error("a query was explained before it was checked")
	}
	q.Payment.Amount = 5000
	v := verdictOf(t, c, q)
	c.Absorb(b.purge(keyNumber(1)))
	traces, err := c.Explain(q)
	if err != nil || len(v.Reasons) != 2 {
		t.Fatalf("%v, the verdict is %+v", err, v)
	}
	for _, trace := range traces {
		if want := trace.Rule.ID != "two-voices"; trace.Fired != want {
			t.Errorf("%s fired: %v", trace.Rule.ID, trace.Fired)
		}
	}
}

// partial gives what a damaged Source gives: another state of a token than the
// one that the filter was told of.
type partial struct {
	*book
	give func(list []risk.Standing) []risk.Standing
}

func (p *partial) Standing(version uint64, kind risk.Kind, token risk.Token) ([]risk.Standing, Sum, error) {
	list, _, err := p.book.Standing(version, kind, token)
	list = p.give(list)
	return list, sumOf(list), err
}

func TestFewerOrOlderListingsThanThereAreAreDamage(t *testing.T) {
	all := func(list []risk.Standing) []risk.Standing { return list }
	for name, give := range map[string]func([]risk.Standing) []risk.Standing{
		"one of two": func(list []risk.Standing) []risk.Standing { return list[:1] },
		"none":       func([]risk.Standing) []risk.Standing { return nil },
		"one that was before": func(list []risk.Standing) []risk.Standing {
			older := slices.Clone(list)
			older[1].Listing.ID.Leaf -= 2
			older[1].Listing.State = risk.Withdrawn
			return older
		},
	} {
		for _, rebuilt := range []bool{false, true} {
			source := &partial{newBook(), all}
			var alarms []error
			c := newChecker(t, source, 0, Config{Alarm: func(err error) { alarms = append(alarms, err) }})
			c.Absorb(source.list(keyNumber(1)))
			c.Absorb(source.list(keyNumber(1), keyNumber(2)))
			if rebuilt {
				if err := c.Rebuild(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if v := verdictOf(t, c, askFor(keyNumber(1))); !v.Listed || len(alarms) > 0 {
				t.Fatalf("%s: sound: %+v, %v", name, v, alarms)
			}
			source.give = give
			v := verdictOf(t, c, askFor(keyNumber(1)))
			if !v.Listed || v.Advice != c.config.DamageAdvice || len(v.Reasons) != 1 || len(alarms) != 1 {
				t.Errorf("%s, rebuilt %v: %+v, %v", name, rebuilt, v, alarms)
			}
		}
	}
}

// The facts of one check are no facts of the next, although only what was named is
// emptied between them.
func TestNoFactOutlivesItsCheck(t *testing.T) {
	book := newBook()
	c := newChecker(t, book, 0, Config{Dynamics: NewDynamics(1000), MaxAge: time.Hour})
	listed := keysFrom(0, 4)
	b := book.list(listed...)
	b.Rules = []RuleSet{{Version: 1, Text: []byte(movesRules)}}
	c.Absorb(b)
	q, v := askFor(listed...), &risk.Verdict{}
	for i := range q.Subjects {
		q.Subjects[i].Role = risk.Role(i%int(risk.Roles-1) + 1)
	}
	q.Payment = risk.Payment{Amount: 100, Currency: "CNY", Phase: risk.PhaseIn}
	for range 3 {
		if err := c.Check(q, v); err != nil || !v.Listed {
			t.Fatalf("listed %t, %v", v.Listed, err)
		}
	}
	q.work.facts.Reset()
	all := append(append([]rules.About{q.work.facts.Any}, q.work.facts.ByRole[:]...), q.work.facts.ByKind[:]...)
	for i := range all {
		all[i].Codes = nil
		if !reflect.DeepEqual(all[i], rules.About{}) {
			t.Errorf("About %d of a check is left: %+v", i, all[i])
		}
	}
}
