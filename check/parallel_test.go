package check

import (
	"context"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/rules/industry"
)

// clean is a checker over many listed keys with the starter rules, and a query
// of six subjects that nobody lists.
func clean(t testing.TB, source Source) (*Checker, func() *Query) {
	c := newChecker(t, source, 0, Config{MaxAge: time.Hour})
	c.Absorb(Batch{Rules: []RuleSet{{1, industry.Source}}})
	if c.Load().ProgramVersion != 1 {
		t.Fatal("the starter rules do not compile")
	}
	return c, func() *Query {
		q := askFor(keysFrom(1<<40, 6)...)
		q.Payment = risk.Payment{Time: 1_700_000_000_000, Amount: 12_345, Currency: "CNY", MCC: "5411",
			Channel: "unionpay_qr", Scene: "in_store", Country: "CN", PayerCountry: "CN", Phase: risk.PhaseIn}
		return q
	}
}

// crowd is a Source of n keys by number, without their listings.
type crowd int

func (n crowd) Standing(uint64, risk.Kind, risk.Token) ([]risk.Standing, Sum, error) {
	return nil, 0, nil
}

func (n crowd) Tokens(_ uint64, yield func(kind risk.Kind, token risk.Token, sum Sum) error) error {
	for i := range int(n) {
		if k := keyNumber(i); yield(k.Kind, k.Token, 0) != nil {
			break
		}
	}
	return nil
}

func TestACleanCheckAllocatesNothing(t *testing.T) {
	c, query := clean(t, crowd(10_000))
	if err := c.SetOverrides([]Override{{Kind: risk.KindIP, Advice: risk.Deny, Expires: never}}); err != nil {
		t.Fatal(err)
	}
	q, v := query(), &risk.Verdict{}
	if n := testing.AllocsPerRun(1000, func() {
		if err := c.Check(q, v); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("a clean check allocates %v times", n)
	}
	if v.Advice != risk.Allow || v.Listed || len(v.Reasons) != 0 {
		t.Errorf("the check is not clean: %+v", v)
	}
}

func TestAMillionParallelChecksWaitForNoLock(t *testing.T) {
	c, query := clean(t, crowd(10_000))
	before := runtime.SetMutexProfileFraction(1)
	defer runtime.SetMutexProfileFraction(before)
	const each = 250_000
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			q, v := query(), &risk.Verdict{}
			for range each {
				if err := c.Check(q, v); err != nil || v.Advice != risk.Allow {
					t.Errorf("%v: %+v", err, v)
					return
				}
			}
		})
	}
	all.Wait()
	records := make([]runtime.BlockProfileRecord, 1000)
	n, _ := runtime.MutexProfile(records)
	for _, r := range records[:min(n, len(records))] {
		frames, ours, grows, trace := runtime.CallersFrames(r.Stack()), false, false, ""
		for {
			frame, more := frames.Next()
			trace += "\n" + frame.Function
			ours = ours || strings.Contains(frame.Function, "/check.(*Checker).Check")
			grows = grows || frame.Function == "runtime.newstack" // the runtime's own lock
			if !more {
				break
			}
		}
		if ours && !grows {
			t.Errorf("%d waits for a lock:%s", r.Count, trace)
		}
	}
	if s := c.Stats(); s.Lookups < 4*each*6-4*2*portion {
		t.Errorf("%d lookups were counted", s.Lookups)
	}
}

// One goroutine lists and purges, another rebuilds without a pause, a third
// changes the overrides, and the Source forgets old versions. Each verdict must
// be true at the head that it names.
func TestReadersBesideTheWriterAndTheBuilder(t *testing.T) {
	const versions, readers = 400, 3
	b := newBook()
	c := newChecker(t, b, 0, Config{RecentKeys: 16, RetryAfter: time.Millisecond, MaxAge: time.Hour})
	ctx, stop := context.WithCancel(context.Background())
	var side, reading sync.WaitGroup
	side.Go(func() { c.Run(ctx) })
	side.Go(func() {
		for ctx.Err() == nil {
			if err := c.SetOverrides([]Override{{Kind: risk.KindIP, Advice: risk.Allow, Expires: never}}); err != nil {
				t.Error(err)
			}
			c.SetFresh(time.Now())
			runtime.Gosched()
		}
	})
	for range readers {
		reading.Go(func() { readAlong(t, c, versions) })
	}
	// Version n lists key n and purges key n-100.
	for n := 1; n <= versions; n++ {
		if n <= 100 {
			c.Absorb(b.list(keyNumber(n)))
		} else {
			c.Absorb(b.write(func(page map[Key][]risk.Standing) {
				page[keyNumber(n)] = []risk.Standing{standingFor(keyNumber(n), uint64(n))}
				delete(page, keyNumber(n-100))
			}, []Key{keyNumber(n)}, []Key{keyNumber(n - 100)}))
		}
		if n%50 == 0 {
			b.forget()
		}
		runtime.Gosched()
	}
	reading.Wait()
	stop()
	side.Wait()
	if s := c.Stats(); s.Damage != 0 || s.Builds < 3 {
		t.Errorf("the counts are %+v", s)
	}
}

// readAlong checks keys around the head until it has seen the last version.
func readAlong(t *testing.T, c *Checker, last uint64) {
	v, now := &risk.Verdict{}, uint64(0)
	q := askFor(keyNumber(0))
	for i := 0; now < last; i++ {
		n := max(1, int(now)+10-i%130)
		k := keyNumber(n)
		q.Subjects[0].Kind, q.Subjects[0].Asked[0] = k.Kind, risk.Asked{Kind: k.Kind, Token: k.Token}
		if err := c.Check(q, v); err != nil {
			t.Error(err)
			return
		}
		if i%64 == 0 {
			runtime.Gosched() // the writer has its turn on a small machine too
		}
		now = v.Head.Size
		if want := uint64(n) <= now && now < uint64(n)+100; v.Listed != want {
			t.Errorf("key %d at size %d: listed is %v", n, now, v.Listed)
			return
		}
	}
}
