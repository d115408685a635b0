package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"github.com/risknet/risknet/risk"
)

// subjects is a run of subjects.
func subjects(from, n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = from + i
	}
	return list
}

// tokensOf counts what a filter would be made of. Badger panics at some damage;
// that ends a node, which is not an answer either.
func tokensOf(s *Store) (n int, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = ErrDamaged
		}
	}()
	err = s.Reader().Tokens(s.Version(), func(risk.Kind, risk.Token, uint16) error { n++; return nil })
	return n, err
}

// A scan that ends early without a word would make a filter that lets listed
// subjects pass.
func TestADamagedScanIsNoShortList(t *testing.T) {
	const each, commands = 500, 8
	w := newWorld()
	for i := range commands {
		w.publish(w.acq, "", subjects(i*each, each)...)
	}
	sound := t.TempDir()
	s := open(t, sound, Options{})
	mustApply(t, s, w.entries)
	mustClose(t, s)
	found := 0
	for part := range 16 {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(sound)); err != nil {
			t.Fatal(err)
		}
		tables, err := filepath.Glob(filepath.Join(dir, "state-1", "*.sst"))
		if err != nil || len(tables) == 0 {
			t.Fatalf("no tables: %v", err)
		}
		for _, table := range tables {
			data, err := os.ReadFile(table)
			if err != nil {
				t.Fatal(err)
			}
			data[len(data)*(part+1)/20] ^= 0x10
			if err := os.WriteFile(table, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		damaged, err := Open(dir, Options{Logger: quiet})
		if errors.Is(err, ErrDamaged) {
			found++
			continue
		}
		if err != nil {
			t.Fatalf("open: %v", err)
		}
		n, err := tokensOf(damaged)
		if err == nil && n != each*commands {
			t.Errorf("damage at %d/20: %d tokens of %d and no error", part+1, n, each*commands)
		}
		if errors.Is(err, ErrDamaged) {
			found++
		}
		mustClose(t, damaged)
	}
	if found == 0 {
		t.Error("no damage met the links; this test shows nothing")
	}
}

// A panic of badger's is damage; one of our own is not hidden as that.
func TestBadgersPanicsAreErrorsAndOursAreNot(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	defer s.Close()
	gen := s.now.Load().gen
	err := s.newest(func(*meta, *badger.Txn) error { return gen.db.Update(nil) }) // not in managed mode
	if !errors.Is(err, ErrDamaged) {
		t.Errorf("badger's: %v", err)
	}
	defer func() {
		if p := recover(); p != "ours" {
			t.Errorf("recovered %v", p)
		}
	}()
	_ = s.newest(func(*meta, *badger.Txn) error { panic("ours") })
}

// forged gives the image another content under a checksum of its own.
func forged(image []byte, change func(image []byte) []byte) []byte {
	body := change(bytes.Clone(image[:len(image)-sha256.Size]))
	sum := sha256.Sum256(body)
	return append(body, sum[:]...)
}

// partOf is where a part stands in an image: kind, key and value with lengths.
func partOf(t *testing.T, image, key []byte) (from, to int) {
	t.Helper()
	framed := append(binary.BigEndian.AppendUint32([]byte{key[0]}, uint32(len(key))), key...)
	from = bytes.Index(image, framed)
	if from < 0 {
		t.Fatalf("the image has no part %x", key)
	}
	value := from + len(framed)
	return from, value + 4 + int(binary.BigEndian.Uint32(image[value:]))
}

// The digest in the last leaf holds neither links nor bodies, so an image that
// lacks one would pass by it, and a listed subject by the node.
func TestAnImageThatHidesAListingIsRefused(t *testing.T) {
	w := newWorld()
	rules := risk.NewBody([]byte("rules"))
	w.propose(w.hub, &risk.PublishRules{Hash: sha(rules.Data)}, []risk.Item{{Op: risk.ItemDocument, Commitment: rules.Commit()}}, []risk.Body{rules})
	w.publish(w.acq, "", 1, 2, 3)
	source := open(t, t.TempDir(), Options{})
	defer source.Close()
	mustApply(t, source, w.entries)
	image := imageOf(t, source)
	link := w.linkOf(2)
	without := func(image []byte) []byte {
		from, to := partOf(t, image, link)
		return append(image[:from], image[to:]...)
	}
	count := func(image []byte, by int) []byte {
		links := image[len(imageMagic)+32+4+1+6*8:]
		binary.BigEndian.PutUint64(links, binary.BigEndian.Uint64(links)+uint64(by))
		return image
	}
	flipped := func(key []byte) func([]byte) []byte {
		return func(image []byte) []byte {
			_, to := partOf(t, image, key)
			image[to-1] ^= 1
			return image
		}
	}
	leaf := source.Head().Size - 1
	for what, change := range map[string]func([]byte) []byte{
		"a link is missing":                     without,
		"a link is missing and was not counted": func(image []byte) []byte { return count(without(image), -1) },
		"a link leads to another listing":       flipped(link),
		"a link leads to a listing about something else": func(image []byte) []byte {
			from, to := partOf(t, image, w.linkOf(3))
			extra := bytes.Replace(image[from:to], w.linkOf(3), w.linkOf(9), 1)
			return count(slices.Concat(image[:to], extra, image[to:]), 1)
		},
		"a rule set says something else": flipped(bodyKey(risk.ItemID{Leaf: leaf - 1})),
		"a body is missing": func(image []byte) []byte {
			from, to := partOf(t, image, bodyKey(risk.ItemID{Leaf: leaf, Item: 1}))
			return append(image[:from], image[to:]...)
		},
		"a body that nobody needs": func(image []byte) []byte {
			_, to := partOf(t, image, bodyKey(risk.ItemID{Leaf: leaf, Item: 2}))
			key := bodyKey(risk.ItemID{Leaf: leaf, Item: 9})
			extra := append(binary.BigEndian.AppendUint32([]byte{key[0]}, uint32(len(key))), key...)
			extra = append(binary.BigEndian.AppendUint32(extra, 16), make([]byte, 16)...)
			return slices.Concat(image[:to], extra, image[to:])
		},
		"a body says something else": flipped(bodyKey(risk.ItemID{Leaf: leaf, Item: 1})),
	} {
		t.Run(what, func(t *testing.T) {
			s := open(t, t.TempDir(), Options{})
			defer s.Close()
			if err := install(s, forged(image, change), source.Position()); !errors.Is(err, ErrImage) {
				t.Errorf("installed: %v", err)
			}
			if s.Head().Size != 0 || s.Version() != 0 {
				t.Errorf("the old state has become %v", s.Head())
			}
		})
	}
	s := open(t, t.TempDir(), Options{})
	defer s.Close()
	if err := install(s, forged(image, bytes.Clone), source.Position()); err != nil {
		t.Errorf("the image as it was: %v", err)
	}
}

// Whoever sends an image can count its lanes anew; what the last leaf commits to, the
// others have signed.
func TestAnImageThatAgreesWithItselfButNotWithItsLastLeafIsRefused(t *testing.T) {
	w := newWorld()
	node := &risk.PutNode{Node: risk.ID{7}, Name: "n", Institution: "i", Raft: "n:1", API: "a", HTTP: "h", Suffrage: risk.Voter, LogKey: publicOf(w.hub.keys[0])}
	w.propose(w.hub, node, nil, nil)
	source := open(t, t.TempDir(), Options{Network: w.network})
	defer source.Close()
	mustApply(t, source, w.entries)
	key := append([]byte{risk.TableNodes}, node.Node[:]...)
	moved := forged(imageOf(t, source), func(image []byte) []byte {
		lanes := image[len(imageMagic)+len(risk.Hash{})+4+metaFixed-laneBytes:][:laneBytes]
		_, to := partOf(t, image, key)
		at := bytes.LastIndex(image[:to], []byte("n:1"))
		from := bytes.LastIndex(image[:at], key) + len(key) + 4
		sum, e := lanesOf(lanes), newElement()
		sum.remove(e, key, image[from:to])
		image[at+2] = '9'
		sum.add(e, key, image[from:to])
		copy(lanes, sum.bytes())
		return image
	})
	s := open(t, t.TempDir(), Options{Network: w.network})
	defer s.Close()
	if err := install(s, moved, source.Position()); !errors.Is(err, ErrImage) || s.Head().Size != 0 {
		t.Errorf("a moved node is installed: %v", err)
	}
}

// lose takes a key from the newest version behind the store's back.
func lose(t *testing.T, s *Store, key []byte) {
	t.Helper()
	c := s.begin()
	if err := c.delete(key); err != nil {
		t.Fatal(err)
	}
	if err := c.txn.CommitAt(s.Version(), nil); err != nil {
		t.Fatal(err)
	}
}

// Where the law meets damage, going on would make this replica differ. What came
// before in the batch is in the state, and nothing ever follows.
func TestDamageStopsTheStoreForGood(t *testing.T) {
	for what, lost := range map[string]struct {
		note string // a long one keeps the body apart
		key  func(risk.ListingID) []byte
	}{
		"record": {"", risk.ListingRecordKey},
		"body":   {strings.Repeat("x", besideBytes), bodyKey},
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld()
			w.publish(w.acq, lost.note, 1)
			s := open(t, t.TempDir(), Options{})
			defer s.Close()
			id := risk.ListingID{Leaf: mustApply(t, s, w.entries)[len(w.entries)-1].Leaf}
			lose(t, s, lost.key(id))
			from := len(w.entries)
			late := newAuthor('c', 1)
			w.propose(w.hub, &risk.Admit{Reporter: late.id, Role: risk.RoleMember, Keys: []risk.PublicKey{publicOf(late.keys[0])}}, nil, nil)
			w.publish(w.acq, "again", 1)
			w.publish(w.bank, "", 3)
			results := s.Apply(w.entries[from:])
			if r := results[0]; r.Err != nil || r.Result.Refusal != nil || r.Head != s.Head() || s.Position().Index != w.entries[from].Index {
				t.Errorf("before the damage: %+v at %d", results[0], s.Position().Index)
			}
			for _, r := range results[1:] {
				if !errors.Is(r.Err, ErrDamaged) || r.Result.Leaf {
					t.Errorf("at the damage and after it: %+v", r)
				}
			}
			if !errors.Is(s.Err(), ErrDamaged) {
				t.Errorf("the store says %v", s.Err())
			}
			if r := s.Apply(w.entries[from+2:]); !errors.Is(r[0].Err, ErrDamaged) {
				t.Errorf("it went on: %+v", r[0])
			}
		})
	}
}

func TestASmallRecordThatIsLostStopsTheStart(t *testing.T) {
	w := newWorld()
	dir := t.TempDir()
	s := open(t, dir, Options{})
	mustApply(t, s, w.entries)
	lose(t, s, append([]byte{risk.TableInstitutions}, w.acq.id[:]...))
	mustClose(t, s)
	if _, err := Open(dir, Options{Logger: quiet}); !errors.Is(err, ErrDamaged) {
		t.Errorf("opened: %v", err)
	}
}

func TestWhatCannotBeCommittedWasNotApplied(t *testing.T) {
	w := newWorld()
	s := open(t, t.TempDir(), Options{OnCut: func(Cut) { t.Error("a cut was told of") }})
	mustClose(t, s) // badger takes no commit any more
	for i, r := range s.Apply(w.others(2)) {
		if r.Err == nil || r.Result.Leaf {
			t.Errorf("entry %d: %+v", i, r)
		}
	}
	if s.Err() == nil || s.Position().Index != 0 {
		t.Errorf("at %d: %v", s.Position().Index, s.Err())
	}
}

func TestAProtocolThatIsTooNewStopsTheStore(t *testing.T) {
	w := newWorld()
	w.propose(w.hub, &risk.RaiseProtocol{Version: risk.ProtocolVersion}, nil, nil)
	s := open(t, t.TempDir(), Options{})
	defer s.Close()
	mustApply(t, s, w.entries)
	from := len(w.entries)
	w.publish(w.acq, "", 1)
	w.propose(w.hub, &risk.RaiseProtocol{Version: risk.ProtocolVersion + 1}, nil, nil)
	results := s.Apply(w.entries[from:])
	_, tooOld := errors.AsType[*risk.TooOldError](results[1].Err)
	if results[0].Err != nil || !tooOld || s.Position().Index != w.entries[from].Index {
		t.Errorf("%+v at %d", results, s.Position().Index)
	}
}

func TestADirectoryThatLostAPartIsRefused(t *testing.T) {
	for what, remove := range map[string]string{"CURRENT": currentFile, "the state": "state-1"} {
		t.Run(what, func(t *testing.T) {
			w := newWorld()
			dir := t.TempDir()
			s := open(t, dir, Options{})
			mustApply(t, s, w.entries)
			mustClose(t, s)
			if err := os.RemoveAll(filepath.Join(dir, remove)); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(dir, Options{Logger: quiet}); err == nil || !strings.Contains(err.Error(), currentFile) {
				t.Errorf("opened: %v", err)
			}
			if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) != 1 {
				t.Errorf("what was left is %v, %v", left, err)
			}
		})
	}
}
