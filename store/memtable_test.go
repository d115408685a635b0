package store

import (
	"crypto/rand"
	"strings"
	"testing"

	"github.com/risknet/risknet/risk"
)

// largest is the command that needs most of a transaction: it revises as many
// listings as there can be, each with a body as long as one entry takes.
func (w *world) largest(note string) {
	text := strings.Repeat("x", risk.MaxTextBytes)
	var items []risk.Item
	var bodies []risk.Body
	for n := range risk.MaxItems {
		content := risk.ListingBody{Token: tokenOf(n), Epoch: 1, Part: risk.PartSuspect, Action: risk.Deny,
			Purposes: risk.AllPurposes, Tier: 1, Note: note, LegalBasis: text, NoteZH: text,
			Exit: risk.Exit{How: text, Papers: text[:310]}}
		data, err := content.Encode()
		if err != nil {
			panic(err)
		}
		body := risk.Body{Data: data}
		_, _ = rand.Read(body.Salt[:])
		item, _ := w.listing(n, "", day, 0)
		item.Commitment = body.Commit()
		items, bodies = append(items, item), append(bodies, body)
	}
	w.propose(w.acq, &risk.Listings{}, items, bodies)
}

// A node with the smallest table in memory takes every command and every chunk
// that others take.
func TestTheSmallestTableInMemoryTakesTheLargestCommand(t *testing.T) {
	w := newWorld()
	w.largest("")
	w.largest("again")
	for i := range 17 {
		w.publish(w.bank, "", subjects(512*i, 512)...)
	}
	if n := len(w.entries[len(newWorld().entries)].Data); n > risk.MaxEntryBytes || n < risk.MaxEntryBytes-16<<10 {
		t.Fatalf("the largest command has %d bytes of %d", n, risk.MaxEntryBytes)
	}
	s := open(t, t.TempDir(), Options{MemTableBytes: MinMemTableBytes})
	defer s.Close()
	mustApply(t, s, w.entries)
	small := open(t, t.TempDir(), Options{MemTableBytes: MinMemTableBytes})
	defer small.Close()
	if err := install(small, imageOf(t, s), s.Position()); err != nil {
		t.Fatal(err)
	}
	fetch(t, small, s)
	whole(t, small)
	if _, err := Open(t.TempDir(), Options{MemTableBytes: MinMemTableBytes - 1, Logger: quiet}); err == nil || !strings.Contains(err.Error(), "10485760") {
		t.Errorf("a smaller one: %v", err)
	}
}
