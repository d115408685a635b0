package check

import (
	"context"
	"errors"
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
