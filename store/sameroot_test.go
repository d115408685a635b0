package store

import (
	"bytes"
	"crypto/sha256"
	"io"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"github.com/risknet/risknet/risk"
)

func sha(b []byte) risk.Hash { return sha256.Sum256(b) }

// told is what somebody knows who has heard of every cut: no token that has a link is
// unknown to it, and some that have none are known.
type told struct {
	version uint64
	linked  map[Key]bool
}

func (k *told) onCut(c Cut) {
	if k.version = c.Version; k.linked == nil {
		k.linked = map[Key]bool{}
	}
	for _, t := range c.Linked {
		k.linked[t.Key] = true
	}
}

func (k *told) lacks(version uint64, of Key) bool { return version == k.version && !k.linked[of] }

// The heart of replication: the same entries give the same root and digest,
// whatever cuts, restarts and images lie in between, and whether the disk is asked for
// each link or somebody before it. Rapid prints the seed.
func TestTheSameEntriesGiveTheSameRoot(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp(base, "")
		if err != nil {
			t.Fatalf("%v", err)
		}
		defer os.RemoveAll(dir)
		w := newWorld()
		w.grow(t, rapid.IntRange(5, 40).Draw(t, "entries"))
		want := open(t, filepath.Join(dir, "whole"), Options{Network: w.network})
		defer want.Close()
		wanted := heads(mustApply(t, want, w.entries))

		k := rapid.IntRange(1, len(w.entries)).Draw(t, "k")
		knows := &told{}
		cuts := open(t, filepath.Join(dir, "cuts"), Options{OnCut: knows.onCut, Lacks: knows.lacks})
		var got []risk.Head
		var image []byte
		var at Position
		for from := 0; from < len(w.entries); {
			to := min(len(w.entries), from+rapid.IntRange(1, 7).Draw(t, "cut"))
			if from < k {
				to = min(to, k)
			}
			got = append(got, heads(mustApply(t, cuts, w.entries[from:to]))...)
			if to == k { // an image, a restart, and raft delivers some entries again
				image, at = imageOf(t, cuts), cuts.Position()
				mustClose(t, cuts)
				cuts = open(t, filepath.Join(dir, "cuts"), Options{Network: w.network, OnCut: knows.onCut, Lacks: knows.lacks})
				if !mustApply(t, cuts, w.entries[from:to])[0].Skipped {
					t.Fatalf("an entry was applied twice")
				}
			}
			from = to
		}
		defer cuts.Close()
		for i := range wanted {
			if got[i] != wanted[i] {
				t.Fatalf("after entry %d the head is %v with cuts, %v without", i+1, got[i], wanted[i])
			}
		}
		same(t, "other cuts and a restart", cuts, want)

		imaged := open(t, filepath.Join(dir, "imaged"), Options{Network: w.network})
		defer imaged.Close()
		if err := install(imaged, image, at); err != nil {
			t.Fatalf("install the image at %d: %v", k, err)
		}
		after := heads(mustApply(t, imaged, w.entries[k:]))
		for i := range after {
			if after[i] != wanted[k+i] {
				t.Fatalf("after an image at %d, entry %d gives %v, want %v", k, k+i+1, after[i], wanted[k+i])
			}
		}
		same(t, "an image", imaged, want)
		if _, err := imaged.VerifyAll(ctx); err != nil {
			t.Fatalf("what the image became does not hold together: %v", err)
		}

		replayed := open(t, filepath.Join(dir, "replayed"), Options{Network: w.network})
		defer replayed.Close()
		replayFrom(t, replayed, want)
		if replayed.Head() != want.Head() || replayed.Digest() != want.Digest() {
			t.Fatalf("a replay comes to %v, the node is at %v", replayed.Head(), want.Head())
		}
	})
}

// replayFrom applies a ledger's leaves with the bodies that are left of them: those of
// listings that were revised, and of lifts, are kept by nobody.
func replayFrom(t fataler, to, from *Store) {
	t.Helper()
	var leaves []Replayed
	for i := range from.Head().Size {
		leaf, err := from.Leaf(i)
		if err != nil {
			t.Fatalf("leaf %d: %v", i, err)
		}
		bodies, err := from.Bodies(i)
		if err != nil {
			t.Fatalf("the bodies of leaf %d: %v", i, err)
		}
		leaves = append(leaves, Replayed{Leaf: leaf, Bodies: bodies})
	}
	if err := to.Replay(leaves); err != nil {
		t.Fatalf("replay: %v", err)
	}
}

func imageOf(t fataler, s *Store) []byte {
	t.Helper()
	image, err := s.OpenImage(ctx.Err)
	if err != nil {
		t.Fatalf("image: %v", err)
	}
	defer image.Close()
	data, err := io.ReadAll(image)
	if err != nil || int64(len(data)) != image.Size() {
		t.Fatalf("image of %d bytes says %d, %v", len(data), image.Size(), err)
	}
	return data
}

// imageMade is an image of a world, and its position.
func imageMade(t *testing.T, w *world) (image []byte, at Position) {
	t.Helper()
	source := open(t, t.TempDir(), Options{})
	defer mustClose(t, source)
	mustApply(t, source, w.entries)
	return imageOf(t, source), source.Position()
}

func install(s *Store, image []byte, at Position) error {
	return installIf(s, image, at, func([]*risk.PutNode) error { return nil })
}

func installIf(s *Store, image []byte, at Position, accept func([]*risk.PutNode) error) error {
	staging, err := s.Stage()
	if err != nil {
		return err
	}
	defer staging.Discard()
	if _, err := io.Copy(staging, bytes.NewReader(image)); err != nil {
		return err
	}
	return staging.Install(at, accept)
}

// A replica that writes one record otherwise has another root at that very leaf,
// and had the same one before it.
func TestOneAlteredRecordShowsAtItsLeaf(t *testing.T) {
	w := newWorld()
	for i := range 12 {
		w.publish(w.acq, "", i)
	}
	honest := open(t, t.TempDir(), Options{})
	defer honest.Close()
	want := heads(mustApply(t, honest, w.entries))
	for target := range want {
		altered := 0
		other := open(t, t.TempDir(), Options{})
		results := mustApply(t, other, w.entries[:target])
		other.opts.alter = func(key, record []byte) []byte {
			if altered > 0 || key[0] == tableOfClock {
				return record
			}
			altered++
			changed := bytes.Clone(record)
			changed[len(changed)-1] ^= 1
			return changed
		}
		results = append(results, mustApply(t, other, w.entries[target:target+1])...)
		for i, head := range heads(results) {
			if (head == want[i]) != (i < target) {
				t.Errorf("record altered at leaf %d: leaf %d has root %s, the honest one %s", target, i, head.Root, want[i].Root)
			}
		}
		mustClose(t, other)
	}
}

const tableOfClock = 't'

// Each bit of an image matters: what was damaged or forged on the way is
// refused, and the state that was there stays.
func TestADamagedImageIsRefusedAndTheOldStateStays(t *testing.T) {
	w := newWorld()
	w.publish(w.acq, "", 1, 2, 3)
	old := len(w.entries)
	w.publish(w.bank, "later", 3, 4)
	source := open(t, t.TempDir(), Options{})
	defer source.Close()
	mustApply(t, source, w.entries)
	image := imageOf(t, source)

	dir := t.TempDir()
	s := open(t, dir, Options{Network: w.network})
	defer s.Close()
	mustApply(t, s, w.entries[:old])
	before := s.Head()
	refused := func(what string, image []byte, at Position) {
		t.Helper()
		if err := install(s, image, at); err == nil {
			t.Fatalf("%s: the image was taken", what)
		}
		if s.Head() != before {
			t.Fatalf("%s: the old state is gone", what)
		}
	}
	step := max(1, len(image)/150)
	for i := 0; i < len(image); i += step {
		damaged := bytes.Clone(image)
		damaged[i] ^= 1 << (i % 8)
		refused("a flipped bit", damaged, source.Position())
		refused("a cut tail", image[:i], source.Position())
	}
	refused("more behind the end", append(bytes.Clone(image), 0), source.Position())
	refused("another position", image, Position{Index: source.Position().Index + 1, Term: 1})

	found, _, err := s.Reader().Standing(s.Version(), risk.KindIP, tokenOf(2))
	if err != nil || len(found) != 1 {
		t.Fatalf("the old state answers %v, %v", found, err)
	}
	if err := install(s, image, source.Position()); err != nil {
		t.Fatalf("the sound image: %v", err)
	}
	same(t, "the sound image", s, source)
	s.leaving.Wait()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() == "state-1" {
			t.Error("the old directory was left behind")
		}
	}
}

func TestAnImageOfAnotherNetworkIsRefused(t *testing.T) {
	w := newWorld()
	source := open(t, t.TempDir(), Options{})
	defer source.Close()
	mustApply(t, source, w.entries)
	s := open(t, t.TempDir(), Options{Network: risk.Hash{1}})
	defer s.Close()
	if err := install(s, imageOf(t, source), source.Position()); err == nil {
		t.Error("the image of another network was taken")
	}
}

func FuzzImage(f *testing.F) {
	w := newWorld()
	w.publish(w.acq, "", 1, 2)
	w.acts(w.bank, risk.Deny, risk.ListingID{Leaf: uint64(len(w.entries) - 1)})
	w.protect(1, day)
	source := open(f, f.TempDir(), Options{})
	mustApply(f, source, w.entries)
	f.Add(imageOf(f, source))
	f.Add([]byte(imageMagic))
	mustClose(f, source)
	f.Fuzz(func(t *testing.T, image []byte) {
		r := newImageReader(bytes.NewReader(image))
		if _, err := r.head(); err != nil {
			return
		}
		for {
			key, _, err := r.next()
			if err != nil || key == nil {
				return
			}
		}
	})
}
