package risk

import (
	"bytes"
	"maps"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// live lets a network do things at random: members report the same few subjects
// again and again with other content, expiries and source dates, lift what is
// theirs and what is not, send commands twice, and time passes in leaps. Under
// protocol 2 they say what they did, and the hub suspends, resumes, protects, and
// changes the longest lives.
func live(t *rapid.T) *world {
	w := newWorld(t)
	if rapid.IntRange(0, 4).Draw(t, "protocol") > 0 {
		w.accepted(w.command(hub, 2, &RaiseProtocol{Version: 2}), nil)
	}
	var sent []*Signed
	for range rapid.IntRange(5, 25).Draw(t, "steps") {
		switch rapid.IntRange(0, 13).Draw(t, "step") {
		case 10, 11, 12:
			w.apply(drawLater(t, w))
		case 0:
			w.now += rapid.SampledFrom([]int64{minute, day, 11 * day, 31 * day, RetentionMillis}).Draw(t, "leap")
		case 1:
			if len(sent) > 0 {
				w.apply(sent[rapid.IntRange(0, len(sent)-1).Draw(t, "again")])
			}
		case 2:
			body := bodyOf([]byte{'r', rapid.ByteRange(0, 3).Draw(t, "source")})
			params := &PublishRules{Hash: sha(body.Data)}
			if rapid.Bool().Draw(t, "wrong") {
				params.Hash = Hash{}
			}
			w.do(w.command(hub, 1, params, Item{Op: ItemDocument, Commitment: body.Commit()}), []Body{body})
		case 3:
			w.do(w.command(hub, 1, &ActivateRules{Version: rapid.Uint32Range(0, 3).Draw(t, "version")}), nil)
		default:
			signed := drawReports(t, w)
			sent = append(sent, signed)
			w.apply(signed)
		}
	}
	return w
}

// drawLater is a command of those that came with protocol 2.
func drawLater(t *rapid.T, w *world) *Signed {
	id := func() ItemID {
		return ItemID{Leaf: rapid.Uint64Range(4, uint64(len(w.log))).Draw(t, "leaf"), Item: rapid.Uint16Range(0, 2).Draw(t, "item")}
	}
	switch rapid.IntRange(0, 5).Draw(t, "later") {
	case 0:
		item, body := protecting(KindPhone, rapid.Uint64Range(0, 2).Draw(t, "subject"), w.now+rapid.SampledFrom([]int64{0, day, 90 * day}).Draw(t, "life"))
		return w.sign(w.command(hub, 2, &Protect{}, item), []Body{body})
	case 1:
		note := bodyOf(nil)
		return w.sign(w.command(hub, 2, &Protect{}, Item{Op: ItemUnprotect, Target: id(), Commitment: note.Commit()}), []Body{note})
	case 2:
		return w.sign(w.command(hub, 2, &SetLives{Lives: []LongestLife{{Code: 3, Days: rapid.SampledFrom([]uint16{10, 50, 400}).Draw(t, "days")}}}), nil)
	case 3:
		author := rapid.SampledFrom([]actor{hub, hub, acq}).Draw(t, "author")
		item, body := haltOf(rapid.SampledFrom([]ItemOp{ItemSuspend, ItemResume}).Draw(t, "op"), id())
		return w.sign(w.command(author, 1, &Listings{}, item), []Body{body})
	default:
		p := &Feedback{}
		for range rapid.IntRange(1, 6).Draw(t, "acts") {
			p.Acts = append(p.Acts, Act{Target: id(), Action: Advice(rapid.IntRange(0, int(advices)).Draw(t, "action"))})
		}
		return w.sign(w.command(rapid.SampledFrom([]actor{acq, wallet}).Draw(t, "author"), 1, p), nil)
	}
}

func drawReports(t *rapid.T, w *world) *Signed {
	author := []actor{acq, wallet, hub, auditor}[rapid.IntRange(0, 3).Draw(t, "author")]
	var items []Item
	var bodies []Body
	for range rapid.IntRange(1, 6).Draw(t, "items") {
		item, body := drawReport(t, w)
		items, bodies = append(items, item), append(bodies, body)
	}
	keys := 1
	if author.id == hub.id {
		keys = rapid.IntRange(1, 2).Draw(t, "keys")
	}
	return w.sign(w.command(author, keys, &Listings{}, items...), bodies)
}

func drawReport(t *rapid.T, w *world) (Item, Body) {
	if rapid.IntRange(0, 3).Draw(t, "lift") == 0 {
		leaf := rapid.Uint64Range(4, uint64(len(w.log))).Draw(t, "leaf")
		return liftOf(ListingID{Leaf: leaf, Item: rapid.Uint16Range(0, 2).Draw(t, "item")}, LiftReason(rapid.IntRange(0, 2).Draw(t, "reason")))
	}
	kind := rapid.SampledFrom([]Kind{KindPhone, KindIP, KindDomain}).Draw(t, "kind")
	r := reportOn(kind, rapid.Uint64Range(0, 2).Draw(t, "subject"), w.now)
	if kind == KindIP { // as no honest normaliser would do: the same token at another length
		r.item.Scope.Length = rapid.SampledFrom([]uint8{8, 24, 32}).Draw(t, "length")
	}
	r.item.Expiry = w.now - w.now%day + rapid.Int64Range(0, 3).Draw(t, "expiry")*20*day
	r.item.SourceDate = rapid.Int64Range(0, 3).Draw(t, "source_date")
	if rapid.Bool().Draw(t, "news") {
		r.item.SourceDate = w.now
	}
	r.item.Level = Level(rapid.IntRange(1, 4).Draw(t, "level"))
	r.body.Note = rapid.SampledFrom([]string{"", "a"}).Draw(t, "note")
	r.body.Review = rapid.SampledFrom([]int64{0, w.now, w.now + day}).Draw(t, "review")
	return r.sealed(w.t)
}

func TestTheStateHoldsTogether(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := live(rt)
		counts := map[Scope]uint64{}
		bodies, links, acts := 0, 0, 0
		for _, l := range w.st.listings() {
			if l.Item.Scope.Family != FamilyNone {
				counts[l.Item.Scope]++
			}
			body := w.st.bodies[l.Rev]
			if body.Commit() != l.Item.Commitment {
				rt.Fatalf("listing %s does not have the body that it commits to", l.ID)
			}
			content, err := DecodeListingBody(body.Data)
			if err != nil || !slices.Contains(w.st.index[l.about(content.Token)], l.ID) {
				rt.Fatalf("listing %s cannot be found by what it is about: %v", l.ID, err)
			}
			bodies++
			taken := Taken{}
			reporters, err := w.st.Takers(l.ID, l.Taken.Total())
			if err != nil {
				rt.Fatal(err)
			}
			for _, reporter := range reporters {
				one := &Taking{Target: l.ID, Reporter: reporter}
				if err := readRecord(w.st.records[string(one.key())], one.read); err != nil {
					rt.Fatal(err)
				}
				taken[one.Action]++
			}
			if taken != l.Taken {
				rt.Fatalf("listing %s counts %v, and %v are there", l.ID, l.Taken, taken)
			}
			acts += len(reporters)
		}
		if acts != w.st.count(TableActs) {
			rt.Fatalf("%d acts on listings, %d in all", acts, w.st.count(TableActs))
		}
		for _, ids := range w.st.index {
			links += len(ids)
		}
		table, err := LoadScopes(w.st)
		if err != nil {
			rt.Fatal(err)
		}
		said := map[Scope]uint64{}
		for _, c := range table.Counts {
			said[c.Scope] = c.Listings
		}
		if !maps.Equal(said, counts) {
			rt.Fatalf("the scopes are counted as %v and are %v", said, counts)
		}
		if links != bodies || len(w.st.bodies) != bodies+w.st.count(TableRuleSets)+w.st.count(TableProtections) {
			rt.Fatalf("%d listings, %d links, %d bodies", bodies, links, len(w.st.bodies))
		}
		for key, value := range w.st.records {
			if due, err := DueOf([]byte(key), value); err != nil || due != w.st.dues[key] {
				rt.Fatalf("record %x is due at %d, %v; it was put for %d", key, due, err, w.st.dues[key])
			}
			if w.st.counted[key+string(value)] != 1 {
				rt.Fatalf("record %x is %d times in the multiset", key, w.st.counted[key+string(value)])
			}
		}
		if len(w.st.counted) != len(w.st.records) {
			rt.Fatal("the multiset holds more than the records")
		}
	})
}

func TestOneTokenHasOneStandingListing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := live(rt)
		for key, ids := range w.st.index {
			standing := 0
			for _, id := range ids {
				if !w.listing(id).StateAt(w.now).Terminal() {
					standing++
				}
			}
			if standing > 1 {
				rt.Fatalf("%d listings of %v stand at once", standing, key)
			}
		}
	})
}

// replay puts a ledger through the law again, with the bodies that are left.
func (w *world) replay(t *rapid.T, recorded bool, left func(i int, id ItemID) bool) *memState {
	st := newMemState()
	for n, h := range w.log {
		l, err := DecodeLeaf(h.leaf.Encode())
		if err != nil {
			t.Fatal(err)
		}
		bodies := slices.Clone(h.bodies)
		for i := range bodies {
			if !left(i, ItemID{Leaf: uint64(n), Item: uint16(i)}) {
				bodies[i] = Body{}
			}
		}
		e := &Entry{At: l.At, Proposer: l.Proposer, Signed: &Signed{Header: l.Header, Signatures: l.Signatures, Bodies: bodies}}
		outcomes := l.Outcomes
		if !recorded {
			outcomes = nil
		}
		res, err := Step(st, e, uint64(n), outcomes)
		if err != nil || !res.Leaf || kindOf(res) != l.Refusal || !reflect.DeepEqual(append([]Outcome{}, res.Outcomes...), l.Outcomes) {
			t.Fatalf("leaf %d: %v, %+v; the ledger says %s, %+v", n, err, res, l.Refusal, l.Outcomes)
		}
		if st.digest() != h.state {
			t.Fatalf("leaf %d: the replay has another state", n)
		}
	}
	for key, ids := range st.index {
		for _, id := range ids {
			if l, err := LoadListing(st, id); err != nil || l == nil || st.bodies[l.Rev].Data == nil {
				t.Fatalf("the index holds %v of listing %s, whose body is gone: %v", key, id, err)
			}
		}
	}
	return st
}

func TestAReplayGivesTheSameStateAtEachLeaf(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := live(rt)
		all := func(int, ItemID) bool { return true }
		for _, recorded := range []bool{false, true} {
			again := w.replay(rt, recorded, all)
			if !reflect.DeepEqual(again.index, w.st.index) || !reflect.DeepEqual(again.bodies, w.st.bodies) || !slices.Equal(again.byDue, w.st.byDue) {
				rt.Fatal("index, bodies or due times are not the same")
			}
		}
	})
}

func TestAReplayPassesErasedBodies(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := live(rt)
		w.replay(rt, true, func(int, ItemID) bool { return false })
		w.replay(rt, true, func(_ int, id ItemID) bool { _, kept := w.st.bodies[id]; return kept })
		w.replay(rt, true, func(int, ItemID) bool { return rapid.Bool().Draw(rt, "left") })
	})
}

// A ledger that says another outcome of an erased item than the true one is
// found out at that leaf, by the outcome or by the state.
func TestALieAboutAnErasedItemIsFoundOut(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := live(rt)
		st := newMemState()
		for n, h := range w.log {
			outcomes := append([]Outcome{}, h.leaf.Outcomes...)
			lie := len(outcomes) > 0 && rapid.Bool().Draw(rt, "lie")
			if lie {
				i := rapid.IntRange(0, len(outcomes)-1).Draw(rt, "item")
				outcomes[i] = Outcome{Status: Status(rapid.IntRange(0, int(statuses)).Draw(rt, "status")),
					Target: ListingID{Leaf: rapid.Uint64Range(0, uint64(n)).Draw(rt, "target")}, Refusal: BadField}
				lie = !bytes.Equal(outcomes[i].appendTo(nil), h.leaf.Outcomes[i].appendTo(nil))
			}
			if rapid.Bool().Draw(rt, "too few") && len(outcomes) > 0 {
				outcomes, lie = outcomes[:len(outcomes)-1], true
			}
			e := &Entry{At: h.leaf.At, Proposer: h.leaf.Proposer, Signed: &Signed{Header: h.leaf.Header,
				Signatures: h.leaf.Signatures, Bodies: make([]Body, len(h.bodies))}}
			res, err := Step(st, e, uint64(n), outcomes)
			if err != nil {
				rt.Fatalf("leaf %d: %v", n, err)
			}
			if lie {
				if bytes.Equal(appendOutcomes(nil, res.Outcomes), appendOutcomes(nil, outcomes)) && st.digest() == h.state {
					rt.Fatalf("leaf %d: %+v passes for %+v", n, outcomes, h.leaf.Outcomes)
				}
				return
			}
		}
	})
}
