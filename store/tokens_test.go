package store

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/risknet/risknet/risk"
)

// However many read the links, each token comes once with the sum of all its links:
// tokens at both ends of each part, kinds without any, tokens with several links.
func TestTokensAreReadInParts(t *testing.T) {
	dir := t.TempDir()
	w := newTableWriter(dir, badgerOptions(dir, MinMemTableBytes, quiet), 3)
	want, links := map[Key]uint16{}, uint64(0)
	for _, kind := range []byte{0, 1, 7, 254, 255} {
		for first := 0; first < 256; first += 1 + int(kind)%3 {
			for _, second := range []byte{0, 255} {
				k := risk.ListingKey{Kind: risk.Kind(kind), Token: risk.Token{byte(first), second}, Code: 12}
				for list := range 1 + first%3 {
					k.List = risk.List(list)
					key := linkKey(k)
					if err := w.add(key, nil); err != nil {
						t.Fatal(err)
					}
					want[Key{k.Kind, k.Token}] += linkSum(key[1:], 3)
					links++
				}
			}
		}
	}
	m := meta{links: links}
	raw, err := m.encode()
	if err == nil {
		err = errors.Join(w.add([]byte(keyMeta), raw), w.finish())
	}
	if err != nil {
		t.Fatal(err)
	}
	gen, err := openGeneration(dir, Options{MemTableBytes: MinMemTableBytes, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer gen.close()
	gen.versions.begin(3)
	r := &Reader{gen: gen}
	got := map[Key]uint16{}
	err = r.Tokens(3, func(kind risk.Kind, token risk.Token, sum uint16) error {
		if _, twice := got[Key{kind, token}]; twice {
			t.Errorf("%v %x comes twice", kind, token)
		}
		got[Key{kind, token}] = sum
		return nil
	})
	if err != nil || len(got) != len(want) {
		t.Fatalf("%d of %d tokens: %v", len(got), len(want), err)
	}
	for k, sum := range want {
		if got[k] != sum {
			t.Errorf("%v has the sum %d, want %d", k, got[k], sum)
		}
	}
	stopsWhenAsked(t, r, rand.IntN(len(want)))
	txn := gen.db.NewTransactionAt(3, true)
	m.links++
	raw, err = m.encode()
	if err == nil {
		err = errors.Join(txn.SetEntry(badger.NewEntry([]byte(keyMeta), raw)), txn.CommitAt(4, nil))
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Tokens(4, func(risk.Kind, risk.Token, uint16) error { return nil }); !errors.Is(err, ErrDamaged) {
		t.Errorf("a link is missing, and the scan says %v", err)
	}
}

// stopsWhenAsked: who has enough gets its own error.
func stopsWhenAsked(t *testing.T, r *Reader, after int) {
	t.Helper()
	enough := errors.New("enough")
	err := r.Tokens(3, func(risk.Kind, risk.Token, uint16) error {
		if after--; after < 0 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Errorf("a reader that has enough is told %v", err)
	}
}
