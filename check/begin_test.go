package check

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/risknet/risknet/risk"
)

// begun is a checker that has just started over a book, and has no filter yet.
func begun(t *testing.T, b *book, config Config) *Checker {
	t.Helper()
	c, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	c.SetFresh(time.Now())
	c.Begin(b, Batch{Version: b.last, Head: risk.Head{Size: b.last}})
	return c
}

func TestACheckerAnswersBeforeItHasAFilter(t *testing.T) {
	b := newBook()
	b.list(keysFrom(0, 10)...)
	c := begun(t, b, Config{})
	says := func(when string, listed ...bool) {
		t.Helper()
		for i, want := range listed {
			if v := verdictOf(t, c, askFor(keyNumber(i*5))); v.Listed != want || len(v.Reasons) > 0 != want {
				t.Errorf("%s: key %d: %+v", when, i*5, v)
			}
			if got, _, err := c.Member(askFor(keyNumber(i*5)), &risk.Verdict{}); got != want || err != nil {
				t.Errorf("%s: key %d as a member: %v, %v", when, i*5, got, err)
			}
		}
	}
	says("at the start", true, true, false, false)
	c.Absorb(b.list(keyNumber(10)))
	c.Absorb(b.purge(keyNumber(0)))
	says("after batches", false, true, true, false)
	if err := c.Rebuild(context.Background()); err != nil {
		t.Fatal(err)
	}
	says("with a filter", false, true, true, false)
	if s := c.Stats(); s.Damage != 0 || s.Builds != 1 || s.Tokens != 10 || c.Load().filter.base.unknown {
		t.Errorf("%+v", s)
	}
}

func TestTheFilterIsBuiltBehindTheFirstAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		b.list(keysFrom(0, 10)...)
		c := begun(t, b, Config{})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { c.Run(ctx); close(done) }()
		synctest.Wait()
		if s := c.Stats(); s.Builds != 1 || s.Tokens != 10 {
			t.Errorf("%+v", s)
		}
		stop()
		<-done
	})
}

// What came in since is known to be there, and what cannot be read is no no.
func TestWithoutAFilterDamageIsStillDamage(t *testing.T) {
	b := newBook()
	c := begun(t, b, Config{})
	k := keyNumber(1)
	c.Absorb(b.list(k))
	b.pages.Store(&map[uint64]map[Key][]risk.Standing{b.last: {}})
	if v := verdictOf(t, c, askFor(k)); v.Advice != risk.Deny || c.Stats().Damage != 1 {
		t.Errorf("a listing that came in is not there: %+v", v)
	}
	broken := func(uint64, Key) error { return errors.New("the disk is broken") }
	b.fault.Store(&broken)
	if v := verdictOf(t, c, askFor(keyNumber(2))); v.Advice != risk.Deny || c.Stats().Damage != 2 {
		t.Errorf("a token that cannot be read: %+v", v)
	}
}

// during does something in the middle of a build, and can lose a listing, as a damaged
// block makes badger do.
type during struct {
	*book
	do  func()
	cut bool
}

func (d *during) Tokens(version uint64, yield func(risk.Kind, risk.Token, Sum) error) error {
	if do := d.do; do != nil {
		d.do = nil
		do()
	}
	return d.book.Tokens(version, yield)
}

func (d *during) Standing(version uint64, kind risk.Kind, token risk.Token) ([]risk.Standing, Sum, error) {
	list, sum, err := d.book.Standing(version, kind, token)
	if d.cut && len(list) > 1 {
		list = list[:1]
		sum = sumOf(list)
	}
	return list, sum, err
}

// What comes while the first filter is built has no sum to be held to. That must end with
// the next gathering, and not be folded into the base for good.
func TestWhatCameDuringTheFirstBuildGetsItsSumWithTheNext(t *testing.T) {
	b, k := newBook(), keyNumber(1)
	b.list(keysFrom(100, 50)...)
	b.list(k)
	source := &during{book: b}
	c, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	c.SetFresh(time.Now())
	c.Begin(source, Batch{Version: b.last, Head: risk.Head{Size: b.last}})
	source.do = func() {
		c.Absorb(b.write(func(page map[Key][]risk.Standing) {
			second := standingFor(k, b.last+1)
			second.Body.Action = risk.Observe
			page[k] = append(slices.Clone(page[k]), second)
		}, []Key{k}, nil))
	}
	if err := c.Rebuild(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.Absorb(b.list(keyNumber(2)))
	if err := c.gather(t.Context()); err != nil {
		t.Fatal(err)
	}
	source.cut = true
	v := verdictOf(t, c, askFor(k))
	if !slices.ContainsFunc(v.Reasons, func(r risk.Reason) bool { return r.Rule == risk.ReasonDamage }) {
		t.Errorf("the missing listing is not seen: %+v", v)
	}
}
