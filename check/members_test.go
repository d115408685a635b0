package check

import (
	"context"
	"errors"
	"hash/maphash"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/risknet/risknet/risk"
)

// read counts how often listings are read.
func (b *book) read() *atomic.Int64 {
	count := &atomic.Int64{}
	counting := func(uint64, Key) error {
		count.Add(1)
		return nil
	}
	b.fault.Store(&counting)
	return count
}

func member(t testing.TB, c *Checker, q *Query) bool {
	t.Helper()
	listed, stale, err := c.Member(q, &risk.Verdict{})
	if err != nil || stale {
		t.Fatalf("stale %t, %v", stale, err)
	}
	return listed
}

func TestAMemberIsRememberedUntilABatchTouchesIt(t *testing.T) {
	b, k := newBook(), keyNumber(1)
	now := int64(1_700_000_000_000)
	c := newChecker(t, b, 0, Config{Members: 1000, MaxAge: time.Hour * 24, Now: func() time.Time { return time.UnixMilli(now) }})
	q, reads := askFor(k), b.read()
	expect := func(what string, listed bool, read int64) {
		t.Helper()
		reads.Store(0)
		if got := member(t, c, q); got != listed || reads.Load() != read {
			t.Errorf("%s: listed %t after %d readings; want %t after %d", what, got, reads.Load(), listed, read)
		}
	}
	expect("nobody has listed it", false, 0)
	c.Absorb(b.list(k))
	expect("listed", true, 1)
	expect("listed still", true, 0)
	c.Absorb(b.list(keyNumber(2)))
	expect("somebody else was listed", true, 0)
	c.Absorb(b.list(k))
	expect("listed again", true, 1)
	c.Absorb(b.purge(k))
	expect("gone", false, 0)

	soon := standingFor(k, 9)
	soon.Listing.Item.Expiry = now + 3*unitMillis
	c.Absorb(b.write(func(page map[Key][]risk.Standing) { page[k] = []risk.Standing{soon} }, []Key{k}, nil))
	expect("for an hour", true, 1)
	now += unitMillis
	expect("for the rest of it", true, 0)
	now += 2 * unitMillis
	expect("its time is over", false, 1)
	now -= 2 * unitMillis

	q.Payment.Purpose = risk.PurposeAML
	expect("for another purpose", true, 1)
	q.Payment.Purpose = 0
	if err := c.Reset(t.Context(), newBook(), Batch{}); err != nil {
		t.Fatal(err)
	}
	expect("another state", false, 0)
}

func TestANoOfAStaleViewIsNoAnswer(t *testing.T) {
	b, k := newBook(), keyNumber(1)
	now := time.UnixMilli(1_700_000_000_000)
	c := newChecker(t, b, 0, Config{Members: 1000, Now: func() time.Time { return now }})
	c.Absorb(b.list(k))
	now = now.Add(time.Hour)
	if listed, _, err := c.Member(askFor(k), &risk.Verdict{}); !listed || err != nil {
		t.Errorf("what was listed is listed: %t, %v", listed, err)
	}
	if listed, stale, err := c.Member(askFor(keyNumber(2)), &risk.Verdict{}); listed || !stale || err != nil {
		t.Errorf("of another: listed %t, stale %t, %v", listed, stale, err)
	}
	empty, _ := New(Config{Members: 10})
	if _, _, err := empty.Member(askFor(k), &risk.Verdict{}); err != ErrEmpty {
		t.Errorf("without a state: %v", err)
	}
}

// Whatever readers remember meanwhile, behind each batch the answer is that of the
// state after it. There are far more tokens than places.
func TestMembersFollowEachBatchWhileOthersAsk(t *testing.T) {
	b, keys := newBook(), keysFrom(1, 60)
	c := newChecker(t, b, 0, Config{Members: 16, MaxAge: time.Hour})
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			q, v := askFor(keys[0]), &risk.Verdict{}
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				k := keys[i%len(keys)]
				q.Subjects[0].Kind, q.Subjects[0].Asked[0] = k.Kind, risk.Asked{Kind: k.Kind, Token: k.Token}
				if _, _, err := c.Member(q, v); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	dice, listed := rand.New(rand.NewPCG(1, 2)), map[Key]bool{}
	for range 300 {
		k := keys[dice.IntN(len(keys))]
		if listed[k] {
			c.Absorb(b.purge(k))
		} else {
			c.Absorb(b.list(k))
		}
		listed[k] = !listed[k]
		for _, k := range keys {
			if got := member(t, c, askFor(k)); got != listed[k] {
				t.Fatalf("listed is %t and should be %t", got, listed[k])
			}
		}
	}
	close(done)
	readers.Wait()
}

func TestWarmMembersAreNotRead(t *testing.T) {
	b, keys := newBook(), keysFrom(1, 600)
	c := newChecker(t, b, 0, Config{Members: 10_000, MaxAge: time.Hour})
	c.Absorb(b.list(keys...))
	if err := c.warm(t.Context()); err != nil {
		t.Fatal(err)
	}
	reads, missed := b.read(), 0
	for _, k := range keys {
		if !member(t, c, askFor(k)) {
			t.Fatal("a listed token is no member")
		}
	}
	if missed = int(reads.Load()); missed > len(keys)/20 { // two of one place push each other out
		t.Errorf("%d of %d were read", missed, len(keys))
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	c.Warm(ended) // returns
}

func BenchmarkMember(b *testing.B) {
	book, keys := newBook(), keysFrom(1, 1000)
	c := newChecker(b, book, 0, Config{Members: 100_000, MaxAge: time.Hour})
	c.Absorb(book.list(keys...))
	q, v := askFor(keys[0]), &risk.Verdict{}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		k := keys[i%len(keys)]
		q.Subjects[0].Kind, q.Subjects[0].Asked[0] = k.Kind, risk.Asked{Kind: k.Kind, Token: k.Token}
		if listed, _, err := c.Member(q, v); !listed || err != nil {
			b.Fatal(listed, err)
		}
	}
}

// Recall is Member without reading: it never says another thing.
func TestRecallSaysWhatMemberSays(t *testing.T) {
	book := newBook()
	c := newChecker(t, book, 0, Config{Members: 1 << 12, MaxAge: time.Hour})
	c.SetFresh(time.Now())
	keys := keysFrom(0, 400)
	c.Absorb(book.list(keys[:200]...))
	look := func() (listed, unread int) {
		asked, known := make([]risk.Asked, len(keys)), make([]Known, len(keys))
		for i, k := range keys {
			asked[i] = risk.Asked{Kind: k.Kind, Token: k.Token}
		}
		stale, err := c.Recall(asked, known)
		if err != nil || stale {
			t.Fatalf("stale %t, %v", stale, err)
		}
		for i, k := range keys {
			member, _, err := c.Member(askFor(k), &risk.Verdict{})
			if err != nil || known[i] == Listed && !member || known[i] == Unlisted && member {
				t.Errorf("key %d: known as %d, member %t, %v", i, known[i], member, err)
			}
			if known[i] == Listed {
				listed++
			} else if known[i] == Unread {
				unread++
			}
		}
		return listed, unread
	}
	if listed, unread := look(); listed != 0 || unread < 200 {
		t.Errorf("before anything was read, %d are known and %d unread", listed, unread)
	}
	if listed, unread := look(); listed < 195 || listed+unread > 205 {
		t.Errorf("after all were read, %d are known and %d unread", listed, unread)
	}
	empty, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := empty.Recall(nil, nil); !errors.Is(err, ErrEmpty) {
		t.Errorf("a checker without a state: %v", err)
	}
}

// A batch that marks nothing, because nobody has asked yet, must not let an answer
// live that somebody gives from the view before it.
func TestWhatWasAnsweredBeforeAnybodyAskedDoesNotCount(t *testing.T) {
	m, h, k := newMembers(16), newHasher(maphash.MakeSeed()), keyNumber(1)
	batch, print, until := &Batch{Linked: []Touched{{Key: k}}}, h.of(k), int64(10*unitMillis)
	before := m.touch(h, batch)
	now := m.touch(h, batch)
	m.asked.Store(true)
	if m.keep(print, before, until); m.has(print, 0) {
		t.Error("the view before the batch has answered, and it counts")
	}
	if m.keep(print, now, until); !m.has(print, 0) {
		t.Error("the view of the batch has answered, and it does not count")
	}
	if m.touch(h, batch); m.has(print, 0) {
		t.Error("a batch has touched it since")
	}
}
