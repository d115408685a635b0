package check

import (
	"context"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/risknet/risknet/risk"
)

// Whatever is linked, unlinked, frozen, thawed and rebuilt in whatever order:
// the filter holds every key that is listed, and lets go of the others.
func TestNoListedKeyIsEverMissed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := newBook()
		c, err := New(Config{RecentKeys: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Reset(context.Background(), b, Batch{}); err != nil {
			t.Fatal(err)
		}
		var pinned *View // of a build that is under way
		var base *index
		few := rapid.SliceOfNDistinct(rapid.IntRange(0, 40), 0, 8, rapid.ID[int])
		draw := func(t *rapid.T, what string) (keys []Key) {
			for _, n := range few.Draw(t, what) {
				keys = append(keys, keyNumber(n))
			}
			return keys
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) { compareWithBook(t, c, b) },
			"link": func(t *rapid.T) {
				c.Absorb(b.list(draw(t, "keys")...))
			},
			"unlink": func(t *rapid.T) {
				c.Absorb(b.purge(draw(t, "keys")...))
			},
			"link and unlink in one batch": func(t *rapid.T) {
				linked, unlinked := draw(t, "linked"), draw(t, "unlinked")
				before := b.last
				b.list(linked...)
				b.purge(unlinked...)
				c.Absorb(b.since(before, linked, unlinked))
			},
			"unlink one of several": func(t *rapid.T) {
				keys, before := draw(t, "keys"), b.last
				b.list(keys...)
				c.Absorb(b.since(before, keys, keys))
			},
			"begin a build, or end it": func(t *rapid.T) {
				if pinned != nil {
					c.install(pinned, base)
					pinned = nil
					return
				}
				pinned, _ = c.freeze()
				if base, err = c.build(context.Background(), pinned.source, pinned.Version); err != nil {
					t.Fatal(err)
				}
			},
			"give a build up": func(t *rapid.T) {
				if pinned != nil {
					c.thaw(pinned)
					pinned = nil
				}
			},
			"reset": func(t *rapid.T) {
				if err := c.Reset(context.Background(), b, Batch{Version: b.last}); err != nil {
					t.Fatal(err)
				}
			},
		})
	})
}

func compareWithBook(t *rapid.T, c *Checker, b *book) {
	page, v := (*b.pages.Load())[b.last], c.Load()
	for n := range 45 {
		k := keyNumber(n)
		known, sum := v.filter.ask(c.hasher.of(k), k)
		if got, want := known == hit, len(page[k]) > 0; got != want {
			t.Fatalf("key %d at version %d: the filter says %v, the book %v", n, b.last, got, want)
		}
		if want := sumOf(page[k]); known == hit && sum != want && sum != 0 {
			t.Fatalf("key %d at version %d: its sum is %d, and of the book %d", n, b.last, sum, want)
		}
	}
}

// Two keys with one fingerprint: removing one must not hide the other.
func TestRemovingAKeyKeepsTheOtherOneOfItsPrint(t *testing.T) {
	const shared = 12345
	a, b := keyNumber(1), keyNumber(2)
	both := newIndex([]entry{{print: shared}}, room(1))
	for name, f := range map[string]filter{
		"in the base":   {recent: &layer{added: newIndex(nil, 1), removed: []Key{a}}, base: both},
		"in the recent": {recent: &layer{added: both, removed: []Key{a}}, base: newIndex(nil, 1)},
		"in the frozen": {recent: emptyLayer(), frozen: &layer{added: both, removed: []Key{a}}, base: newIndex(nil, 1)},
	} {
		forA, _ := f.ask(shared, a)
		if forB, _ := f.ask(shared, b); forA == hit || forB != hit {
			t.Errorf("%s: a is %v and b is %v, want only b to be held", name, forA, forB)
		}
	}
}

// forgetful, while it is damaged, yields fewer tokens than there are, and knows it.
type forgetful struct {
	*book
	damaged bool
}

func (f *forgetful) Tokens(version uint64, yield func(kind risk.Kind, token risk.Token, sum Sum) error) error {
	n := 0
	err := f.book.Tokens(version, func(kind risk.Kind, token risk.Token, sum Sum) error {
		if n++; f.damaged && n%10 == 0 {
			return nil
		}
		return yield(kind, token, sum)
	})
	if err == nil && f.damaged {
		err = errors.New("9 of 10 links can be read")
	}
	return err
}

func TestABuildThatMissesAKeyIsThrownAway(t *testing.T) {
	b := newBook()
	source := &forgetful{book: b}
	var alarm error
	c := newChecker(t, source, 0, Config{Alarm: func(err error) { alarm = err }})
	c.Absorb(b.list(keysFrom(0, 100)...))
	source.damaged = true
	if err := c.Rebuild(context.Background()); err == nil {
		t.Fatal("the build passed its test")
	}
	if _, ok := errors.AsType[*BuildError](alarm); !ok || c.Stats().BuildsFailed != 1 {
		t.Errorf("the alarm is %v, %d builds failed", alarm, c.Stats().BuildsFailed)
	}
	for _, k := range keysFrom(0, 100) {
		if !verdictOf(t, c, askFor(k)).Listed {
			t.Fatalf("%v is missed after the failed build", k)
		}
	}
	if err := c.Reset(context.Background(), source, Batch{Version: 1}); err == nil {
		t.Error("a reset over a wrong filter was accepted")
	}
	source.damaged = false
	if err := c.Rebuild(context.Background()); err != nil || c.Stats().Recent != 0 || c.Stats().Tokens != 100 {
		t.Errorf("the next build: %v, %+v", err, c.Stats())
	}
}
