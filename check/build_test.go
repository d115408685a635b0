package check

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/risknet/risknet/risk"
)

func TestTheBuilderFoldsWhatHasGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		c := newChecker(t, b, 0, Config{RecentKeys: 10})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { c.Run(ctx); close(done) }()
		c.Absorb(b.list(keysFrom(0, 9)...))
		synctest.Wait()
		if s := c.Stats(); s.Recent != 9 || s.Builds != 1 {
			t.Errorf("below the limit: %+v", s)
		}
		c.Absorb(b.list(keysFrom(9, 1)...))
		synctest.Wait()
		if s := c.Stats(); s.Recent != 0 || s.Tokens != 10 || s.Builds != 2 {
			t.Errorf("at the limit: %+v", s)
		}
		stop()
		<-done
	})
}

// stubborn refuses to be scanned for a while.
type stubborn struct {
	*book
	fails int
}

func (s *stubborn) Tokens(version uint64, yield func(kind risk.Kind, token risk.Token, sum Sum) error) error {
	if s.fails > 0 {
		s.fails--
		return errors.New("the disk is busy")
	}
	return s.book.Tokens(version, yield)
}

func TestABuildThatFailsIsTriedAgainAfterAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBook()
		source := &stubborn{book: b}
		c := newChecker(t, source, 0, Config{RecentKeys: 10, RetryAfter: time.Minute})
		source.fails = 2
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { c.Run(ctx); close(done) }()
		c.Absorb(b.list(keysFrom(0, 20)...))
		begin := time.Now()
		for c.Stats().Recent > 0 {
			<-time.After(time.Second) // of the bubble's time
		}
		if waited := time.Since(begin).Round(time.Minute); waited != 2*time.Minute || c.Stats().BuildsFailed != 2 {
			t.Errorf("after %v: %+v", waited, c.Stats())
		}
		for _, k := range keysFrom(0, 20) {
			if !verdictOf(t, c, askFor(k)).Listed {
				t.Fatalf("%v is missed", k)
			}
		}
		stop()
		<-done
	})
}

func TestABuildThatIsStoppedLosesNothing(t *testing.T) {
	b := newBook()
	c := newChecker(t, b, 0, Config{})
	c.Absorb(b.list(keysFrom(0, 2000)...))
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if err := c.Rebuild(ctx); !errors.Is(err, context.Canceled) || c.Stats().BuildsFailed != 0 {
		t.Errorf("the error is %v, the counts %+v", err, c.Stats())
	}
	if s := c.Stats(); s.Recent != 2000 || c.Load().filter.frozen != nil {
		t.Errorf("after the stop: %+v", s)
	}
}

// slow lets a test act in the middle of a scan.
type slow struct {
	*book
	meanwhile func()
}

func (s *slow) Tokens(version uint64, yield func(kind risk.Kind, token risk.Token, sum Sum) error) error {
	if act := s.meanwhile; act != nil {
		s.meanwhile = nil
		act()
	}
	return s.book.Tokens(version, yield)
}

func TestWhatComesDuringABuildIsKept(t *testing.T) {
	b := newBook()
	source := &slow{book: b}
	c := newChecker(t, source, 0, Config{})
	c.Absorb(b.list(keysFrom(0, 10)...))
	source.meanwhile = func() {
		if err := c.Rebuild(context.Background()); !errors.Is(err, ErrBusy) {
			t.Errorf("a second build: %v", err)
		}
		c.Absorb(b.list(keysFrom(10, 10)...))
		c.Absorb(b.purge(keysFrom(0, 5)...))
	}
	if err := c.Rebuild(context.Background()); err != nil {
		t.Fatal(err)
	}
	for i, k := range keysFrom(0, 20) {
		if v := verdictOf(t, c, askFor(k)); v.Listed != (i >= 5) {
			t.Errorf("key %d: listed is %v", i, v.Listed)
		}
	}
	if c.Stats().Damage != 0 {
		t.Error("a purged key raised an alarm")
	}
}

func TestAResetGoesOverToTheOtherSourceAtOnce(t *testing.T) {
	before, after := newBook(), newBook()
	kept, lost, found := keyNumber(1), keyNumber(2), keyNumber(3)
	c := newChecker(t, before, 0, Config{})
	c.Absorb(before.list(kept, lost))
	after.list(kept, found)
	source := &slow{book: after}
	source.meanwhile = func() { // the old view serves on
		if v := verdictOf(t, c, askFor(kept, lost, found)); len(v.Reasons) != 2 || c.Load().Head.Size != 1 {
			t.Errorf("during the reset: %+v", v)
		}
	}
	if err := c.Reset(context.Background(), source, Batch{Version: 1, Head: risk.Head{Size: 77}}); err != nil {
		t.Fatal(err)
	}
	for k, want := range map[Key]bool{kept: true, lost: false, found: true} {
		if v := verdictOf(t, c, askFor(k)); v.Listed != want || v.Head.Size != 77 {
			t.Errorf("after the reset: %+v", v)
		}
	}
}

func TestABuildThatAResetOvertookIsThrownAway(t *testing.T) {
	b, after := newBook(), newBook()
	source := &slow{book: b}
	c := newChecker(t, source, 0, Config{})
	c.Absorb(b.list(keyNumber(1)))
	after.list(keyNumber(2))
	source.meanwhile = func() {
		if err := c.Reset(context.Background(), after, Batch{Version: 1}); err != nil {
			t.Error(err)
		}
	}
	if err := c.Rebuild(context.Background()); !errors.Is(err, errSuperseded) || c.Stats().BuildsFailed != 0 {
		t.Errorf("the error is %v", err)
	}
	if verdictOf(t, c, askFor(keyNumber(1))).Listed || !verdictOf(t, c, askFor(keyNumber(2))).Listed {
		t.Error("the old state came back")
	}
}
