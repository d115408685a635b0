package check

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/risknet/risknet/risk"
)

// book is a Source for tests: it keeps every version of a small state. One
// goroutine writes, any number read.
type book struct {
	pages atomic.Pointer[map[uint64]map[Key][]risk.Standing]
	last  uint64
	fault atomic.Pointer[func(version uint64, k Key) error] // what Standing says first; nil for nothing
}

func newBook() *book {
	b := &book{}
	b.pages.Store(&map[uint64]map[Key][]risk.Standing{0: {}})
	return b
}

// write adds a version and gives its batch.
func (b *book) write(edit func(page map[Key][]risk.Standing), linked, unlinked []Key) Batch {
	pages := maps.Clone(*b.pages.Load())
	page := maps.Clone(pages[b.last])
	edit(page)
	b.last++
	pages[b.last] = page
	b.pages.Store(&pages)
	return b.since(b.last-1, linked, unlinked)
}

// since gives the batch of what has changed after a version.
func (b *book) since(version uint64, linked, unlinked []Key) Batch {
	pages := *b.pages.Load()
	batch := Batch{Version: b.last, Head: risk.Head{Size: b.last}}
	seen := map[Key]bool{}
	delta := func(k Key) (sum Sum) {
		if !seen[k] {
			sum = sumOf(pages[b.last][k]) - sumOf(pages[version][k])
		}
		seen[k] = true
		return sum
	}
	for _, k := range linked {
		batch.Linked = append(batch.Linked, Touched{k, delta(k)})
	}
	for _, k := range unlinked {
		batch.Unlinked = append(batch.Unlinked, Touched{k, delta(k)})
	}
	return batch
}

func sumOf(list []risk.Standing) (sum Sum) {
	for i := range list {
		sum += Sum(40_503 * (list[i].Listing.ID.Leaf + 1))
	}
	return sum
}

// list links one active listing to each key.
func (b *book) list(keys ...Key) Batch {
	return b.write(func(page map[Key][]risk.Standing) {
		for _, k := range keys {
			page[k] = append(slices.Clone(page[k]), standingFor(k, b.last+1))
		}
	}, keys, nil)
}

// purge takes all listings of each key away.
func (b *book) purge(keys ...Key) Batch {
	return b.write(func(page map[Key][]risk.Standing) {
		for _, k := range keys {
			delete(page, k)
		}
	}, nil, keys)
}

// forget drops every version but the last.
func (b *book) forget() {
	b.pages.Store(&map[uint64]map[Key][]risk.Standing{b.last: (*b.pages.Load())[b.last]})
}

func (b *book) page(version uint64) (map[Key][]risk.Standing, error) {
	page, ok := (*b.pages.Load())[version]
	if !ok {
		return nil, fmt.Errorf("version %d: %w", version, ErrGone)
	}
	return page, nil
}

func (b *book) Standing(version uint64, kind risk.Kind, token risk.Token) ([]risk.Standing, Sum, error) {
	if fault := b.fault.Load(); fault != nil {
		if err := (*fault)(version, Key{kind, token}); err != nil {
			return nil, 0, err
		}
	}
	page, err := b.page(version)
	list := page[Key{kind, token}]
	return list, sumOf(list), err
}

func (b *book) Tokens(version uint64, yield func(kind risk.Kind, token risk.Token, sum Sum) error) error {
	page, err := b.page(version)
	for k, list := range page {
		if err = yield(k.Kind, k.Token, sumOf(list)); err != nil {
			return err
		}
	}
	return err
}

// keyNumber makes the nth key of a test.
func keyNumber(n int) Key {
	k := Key{Kind: risk.Kind(1 + n%int(risk.Kinds-1))}
	binary.BigEndian.PutUint64(k.Token[8:], uint64(n))
	return k
}

func keysFrom(from, n int) []Key {
	keys := make([]Key, n)
	for i := range keys {
		keys[i] = keyNumber(from + i)
	}
	return keys
}

const never = int64(1) << 60

// standingFor is what the hub lists on the word of an authority.
func standingFor(k Key, leaf uint64) risk.Standing {
	return risk.Standing{ByHub: true,
		Listing: risk.Listing{ID: risk.ListingID{Leaf: leaf}, Reporter: risk.ID{1}, State: risk.Active,
			Item: risk.Item{Kind: k.Kind, Code: 2, Level: 1, List: risk.ListBlack, Expiry: never,
				Origin: risk.OriginNamed(risk.OriginAuthority, "a court")}},
		Body: risk.ListingBody{Token: k.Token, Part: risk.PartSuspect, Purposes: risk.AllPurposes, Action: risk.Deny, Note: "fraud", NoteZH: "欺诈"},
	}
}

// askFor makes a query of one payee for each key.
func askFor(keys ...Key) *Query {
	q := &Query{}
	for _, k := range keys {
		q.Subjects = append(q.Subjects, Subject{Kind: k.Kind, Role: risk.RolePayee, Asked: []risk.Asked{{Kind: k.Kind, Token: k.Token}}})
	}
	return q
}

// newChecker gives a fresh checker over a version of a source.
func newChecker(t testing.TB, source Source, version uint64, config Config) *Checker {
	t.Helper()
	c, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Reset(context.Background(), source, Batch{Version: version, Head: risk.Head{Size: version}}); err != nil {
		t.Fatal(err)
	}
	c.SetFresh(c.config.Now())
	return c
}

func verdictOf(t testing.TB, c *Checker, q *Query) *risk.Verdict {
	t.Helper()
	v := &risk.Verdict{}
	if err := c.Check(q, v); err != nil {
		t.Fatal(err)
	}
	return v
}
