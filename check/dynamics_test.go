package check

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/rules"
)

const began = int64(1_767_225_600_000) // the start of an eighth of each window but the longest

func movesAt(d *Dynamics, k Key, now, amount int64) rules.Moves {
	var m rules.Moves
	d.read(k, &seen{now: now, amount: amount, money: moneyOf("CNY")}, &m)
	return m
}

func paid(d *Dynamics, k Key, at, amount int64) {
	d.learn(k, &seen{now: at, amount: amount, money: moneyOf("CNY"), habit: true})
}

// A window holds what happened in it, to an eighth of its length.
func TestWindowsEnd(t *testing.T) {
	lengths := [rules.Windows]time.Duration{time.Minute, 10 * time.Minute, time.Hour, 24 * time.Hour, 7 * 24 * time.Hour, 30 * 24 * time.Hour}
	for w, length := range lengths {
		d, k := NewDynamics(4), keyNumber(1)
		paid(d, k, began, 100)
		paid(d, k, began, 250)
		for _, c := range []struct {
			after time.Duration
			count int64
		}{{0, 2}, {length * 3 / 4, 2}, {length, 0}, {100 * length, 0}} {
			m := movesAt(d, k, began+c.after.Milliseconds(), 1)
			if m.Count[w] != c.count || m.Amount[w] != c.count*175 {
				t.Errorf("%s: after %v there are %d payments of %d, want %d", rules.WindowNames[w], c.after, m.Count[w], m.Amount[w], c.count)
			}
		}
	}
}

// The habit is mean and standard deviation; what was stopped is none of it, and another
// currency is another habit.
func TestTheHabitIsOfWhatNothingStopped(t *testing.T) {
	d, k := NewDynamics(4), keyNumber(1)
	for i := range int64(10) {
		paid(d, k, began+i, 1000+100*(i%2)) // mean 1050, deviation 52.7
	}
	d.learn(k, &seen{now: began, amount: 1_000_000, money: moneyOf("CNY")}) // stopped
	m := movesAt(d, k, began+20, 1050+6*131)                                // the spread counts as an eighth of the mean
	if m.Payments != 10 || m.Mean != 1050 || m.Spread != 52 || m.Excess != 600 || m.Count[5] != 11 {
		t.Errorf("%+v", m)
	}
	if m := movesAt(d, k, began+20, 1000); m.Excess != 0 {
		t.Errorf("a usual amount exceeds by %d", m.Excess)
	}
	d.learn(k, &seen{now: began + 30, amount: 7, money: moneyOf("EUR"), habit: true})
	if m := movesAt(d, k, began+40, 1000); m.Payments != 0 || m.Excess != 0 {
		t.Errorf("the habit of another currency is taken for this one: %+v", m)
	}
}

func TestAPaymentThatIsAskedAgainHappensOnce(t *testing.T) {
	d, k := NewDynamics(4), keyNumber(1)
	for range 3 {
		d.learn(k, &seen{now: began, amount: 5, paid: idOf("p1"), habit: true})
	}
	d.learn(k, &seen{now: began, amount: 5, paid: idOf("p2"), habit: true})
	if m := movesAt(d, k, began, 1); m.Count[0] != 2 {
		t.Errorf("%d payments are counted", m.Count[0])
	}
}

func TestCounterpartiesAreAboutRight(t *testing.T) {
	for _, many := range []int{1, 2, 5, 20, 100} {
		d, k := NewDynamics(4), keyNumber(1)
		for i := range 3 * many {
			d.learn(k, &seen{now: began, party: rand.New(rand.NewPCG(uint64(i%many), 1)).Uint64()})
		}
		if got := movesAt(d, k, began, 1).Parties[0]; got < int64(many)*8/10 || got > int64(many)*12/10+1 {
			t.Errorf("%d counterparties are taken for %d", many, got)
		}
	}
}

// Whoever was idle longest makes room, and nobody is taken for another.
func TestTheIdleMakeRoom(t *testing.T) {
	d := NewDynamics(4)
	for i := range 5 {
		paid(d, keyNumber(i), began+int64(i), 100)
	}
	if m := movesAt(d, keyNumber(0), began+10, 1); m.Count[5] != 0 {
		t.Errorf("the oldest is still there: %+v", m)
	}
	for i := 1; i < 5; i++ {
		if m := movesAt(d, keyNumber(i), began+10, 1); m.Count[5] != 1 || m.Payments != 1 {
			t.Errorf("subject %d: %+v", i, m)
		}
	}
	if d.Subjects() != 4 {
		t.Errorf("%d subjects are known", d.Subjects())
	}
}

// Readers and writers of one subject at once: nothing is counted twice, and what had to
// be left out is counted as that.
func TestManyLearnOfOneSubjectAtOnce(t *testing.T) {
	const each, writers = 5_000, 4
	d, k := NewDynamics(4), keyNumber(1)
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for range each {
				paid(d, k, began, 3)
				if m := movesAt(d, k, began, 1); m.Mean > 3 {
					t.Errorf("%+v", m)
				}
			}
		})
	}
	all.Wait()
	m := movesAt(d, k, began, 1)
	if got := m.Count[0] + int64(d.Lost()); got != each*writers || m.Amount[0] != 3*m.Count[0] || m.Payments != m.Count[0] {
		t.Errorf("%d of %d payments: %+v, %d lost", got, each*writers, m, d.Lost())
	}
}

// Those who meet a new subject at the same time give it one slot, not one each.
func TestANewSubjectHasOneSlot(t *testing.T) {
	const rounds, writers = 3_000, 4
	for round := range rounds {
		d, k := NewDynamics(4), keyNumber(round)
		start := make(chan struct{})
		var all sync.WaitGroup
		for range writers {
			all.Go(func() {
				<-start
				paid(d, k, began, 3)
			})
		}
		close(start)
		all.Wait()
		if got := movesAt(d, k, began, 1).Count[0] + int64(d.Lost()); got != writers || d.Subjects() > 1 {
			t.Fatalf("round %d: %d of %d payments, %d subjects", round, got, writers, d.Subjects())
		}
	}
}

const movesRules = `
name: moves
on_error: {pre: step_up, in: step_up, post: observe}
rules:
  - {id: fast, phase: in, when: payer.count_1m >= 3, advice: limit, reason: {en: Fast., zh: 频繁。}}
  - {id: many, phase: in, when: account.parties_1h >= 3, advice: observe, reason: {en: Many., zh: 多。}}
  - {id: far, phase: in, when: payer.habit_payments >= 10 && payer.excess > 400, advice: step_up, reason: {en: Far., zh: 异常。}}
`

// Through whole checks: the facts are of what came before, a stopped payment is no
// habit, and a payment that is only asked about beforehand is not learned.
func TestRulesSeeWhatTheNodeHasSeen(t *testing.T) {
	now := time.UnixMilli(began)
	c := newChecker(t, newBook(), 0, Config{Dynamics: NewDynamics(100), Now: func() time.Time { return now }, MaxAge: 1000 * time.Hour})
	b := Batch{Version: 1, Rules: []RuleSet{{Version: 1, Text: []byte(movesRules)}}}
	c.Absorb(b)
	pay := func(amount int64, payee int, phase risk.Phase) risk.Advice {
		q := askFor(Key{risk.KindMerchant, risk.Token{9, byte(payee)}})
		payer := Key{risk.KindAccount, risk.Token{1}}
		q.Subjects = append(q.Subjects, Subject{Kind: payer.Kind, Role: risk.RolePayer, Asked: []risk.Asked{{Kind: payer.Kind, Token: payer.Token}}})
		q.Payment = risk.Payment{Amount: amount, Currency: "CNY", Phase: phase}
		return verdictOf(t, c, q).Advice
	}
	for i, want := range []risk.Advice{risk.Allow, risk.Allow, risk.Allow, risk.Limit} {
		if got := pay(100, 0, risk.PhaseIn); got != want {
			t.Errorf("payment %d within a minute: %s, want %s", i+1, got, want)
		}
	}
	for range 10 {
		now = now.Add(2 * time.Minute)
		if got := pay(100, 0, risk.PhaseIn); got != risk.Allow {
			t.Errorf("two minutes later: %s", got)
		}
	}
	now = now.Add(2 * time.Minute)
	for range 3 {
		if got := pay(1000, 0, risk.PhasePre); got != risk.Allow {
			t.Errorf("beforehand: %s", got)
		}
	}
	for range 2 {
		if got := pay(1000, 0, risk.PhaseIn); got != risk.StepUp {
			t.Errorf("ten times the habit: %s", got)
		}
	}
	now = now.Add(10 * time.Minute)
	pay(100, 1, risk.PhaseIn)
	pay(100, 2, risk.PhaseIn)
	if got := pay(100, 3, risk.PhaseIn); got != risk.Observe {
		t.Errorf("the third counterparty within the hour: %s", got)
	}
}

func TestChecksWithDynamicsAllocateNothing(t *testing.T) {
	c := newChecker(t, newBook(), 0, Config{Dynamics: NewDynamics(1000), MaxAge: time.Hour})
	c.Absorb(Batch{Version: 1, Rules: []RuleSet{{Version: 1, Text: []byte(movesRules)}}})
	q, v := askFor(keysFrom(0, 6)...), &risk.Verdict{}
	q.Subjects[0].Role = risk.RolePayer
	q.Payment = risk.Payment{Amount: 100, Currency: "CNY", Phase: risk.PhaseIn, TransactionID: "t"}
	if err := c.Check(q, v); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(1000, func() { _ = c.Check(q, v) }); n != 0 {
		t.Errorf("%v allocations a check", n)
	}
}

func BenchmarkDynamics(b *testing.B) {
	for name, d := range map[string]*Dynamics{"without": nil, "with": NewDynamics(32_768)} {
		b.Run(name, func(b *testing.B) {
			c := newChecker(b, newBook(), 0, Config{Dynamics: d, MaxAge: time.Hour})
			c.Absorb(Batch{Version: 1, Rules: []RuleSet{{Version: 1, Text: []byte(movesRules)}}})
			q, v := askFor(keysFrom(0, 6)...), &risk.Verdict{}
			q.Subjects[0].Role = risk.RolePayer
			q.Payment = risk.Payment{Amount: 100, Currency: "CNY", Phase: risk.PhaseIn}
			b.ReportAllocs()
			for b.Loop() {
				_ = c.Check(q, v)
			}
		})
	}
}
