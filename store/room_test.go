package store

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

var errNoRoom = errors.New("no room")

// roomFor has room for so many bytes, and then none.
func roomFor(bytes int) func(uint64) error {
	return func(more uint64) error {
		if bytes -= int(more); bytes < 0 {
			return errNoRoom
		}
		return nil
	}
}

func leftIn(t *testing.T, dir, name string) []os.DirEntry {
	t.Helper()
	left, err := os.ReadDir(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return left
}

// A full disk ends a node whose state is mapped, so whatever writes there gives up
// before, and leaves nothing behind.
func TestAnImageForWhichThereIsNoRoomIsGivenUp(t *testing.T) {
	w := newWorld()
	for i := range 8 {
		w.publish(w.acq, string(make([]byte, 400)), subjects(500*i, 500)...)
	}
	source := open(t, t.TempDir(), Options{})
	mustApply(t, source, w.entries)
	image, at := imageOf(t, source), source.Position()
	if len(image) < 2*roomPart {
		t.Fatalf("the image has %d bytes only", len(image))
	}
	mustClose(t, source)

	for name, room := range map[string]int{"none": 0, "a part": roomPart} {
		dir := t.TempDir()
		s := open(t, dir, Options{Room: roomFor(room)})
		mustApply(t, s, w.entries)
		if _, err := s.OpenImage(ctx.Err); !errors.Is(err, errNoRoom) {
			t.Errorf("%s: an image is written: %v", name, err)
		}
		if _, err := s.WriteArchive(ctx, io.Discard); !errors.Is(err, errNoRoom) {
			t.Errorf("%s: an archive is written: %v", name, err)
		}
		if left := leftIn(t, dir, imagesDir); len(left) > 0 {
			t.Errorf("%s: images are left: %v", name, left)
		}
		mustClose(t, s)
	}
	for name, room := range map[string]int{"for more than a part": roomPart, "for the last byte": len(image) - 1} {
		dir := t.TempDir()
		s := open(t, dir, Options{Room: roomFor(room)})
		if err := install(s, image, at); !errors.Is(err, errNoRoom) {
			t.Errorf("no room %s: %v", name, err)
		}
		if s.Head().Size != 0 || len(leftIn(t, dir, stagingDir)) > 0 || len(tablesIn(t, dir)) > 0 {
			t.Errorf("no room %s: the state is at %d, staged are %v", name, s.Head().Size, leftIn(t, dir, stagingDir))
		}
		mustClose(t, s)
	}
}

// A state of gigabytes is not written up to the reserve first.
func TestAnImageAsksForAllItsRoomBeforeItIsWritten(t *testing.T) {
	w := newWorld()
	many(w, 50)
	dir := t.TempDir()
	s := open(t, dir, Options{})
	mustApply(t, s, w.entries)
	mustClose(t, s) // now what it holds is in tables
	var asked []uint64
	s = open(t, dir, Options{Room: func(bytes uint64) error { asked = append(asked, bytes); return errNoRoom }})
	defer mustClose(t, s)
	if _, err := s.OpenImage(ctx.Err); !errors.Is(err, errNoRoom) {
		t.Errorf("an image is written: %v", err)
	}
	tables := uint64(0)
	for _, name := range tablesIn(t, dir) {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		tables += uint64(info.Size())
	}
	if len(asked) != 1 || tables == 0 || asked[0] != tables {
		t.Errorf("of tables of %d bytes it asked for %v", tables, asked)
	}
}

func TestAnImageThatNobodyWantsAnyMoreIsGivenUp(t *testing.T) {
	w := newWorld()
	for i := range 8 {
		w.publish(w.acq, string(make([]byte, 400)), subjects(500*i, 500)...)
	}
	dir, unwanted := t.TempDir(), errors.New("nobody wants it")
	s := open(t, dir, Options{})
	defer mustClose(t, s)
	mustApply(t, s, w.entries)
	asked := 0
	_, err := s.OpenImage(func() error {
		if asked++; asked == 2 {
			return unwanted
		}
		return nil
	})
	if !errors.Is(err, unwanted) || asked != 2 {
		t.Errorf("asked %d times: %v", asked, err)
	}
	if left := leftIn(t, dir, imagesDir); len(left) > 0 {
		t.Errorf("left is %v", left)
	}
}

func TestWhatAProcessLeftOfImagesIsSwept(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	if _, err := s.Stage(); err != nil {
		t.Fatal(err)
	}
	w := newWorld()
	mustApply(t, s, w.entries)
	if _, err := s.OpenImage(ctx.Err); err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
	half := filepath.Join(dir, "state-9") // an image that did not become the state
	if err := os.MkdirAll(filepath.Join(half, "tables"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Sweep(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(half); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("half a state is still there: %v", err)
	}
	for _, name := range []string{imagesDir, stagingDir} {
		if _, err := os.Stat(filepath.Join(dir, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", name, err)
		}
	}
	s = open(t, dir, Options{})
	if s.Head().Size == 0 {
		t.Error("the state is gone too")
	}
	mustClose(t, s)
}

// meanwhile does something at the first write.
type meanwhile struct {
	do   func()
	done bool
}

func (m *meanwhile) Write(p []byte) (int, error) {
	if !m.done {
		m.done = true
		m.do()
	}
	return len(p), nil
}

// The state that an image brings has the newest leaf alone: an archive that went
// on with it would lack the ledger, and nobody would see that it does.
func TestAnArchiveIsOfOneState(t *testing.T) {
	w := newWorld()
	for i := range 18 {
		w.publish(w.acq, string(make([]byte, 400)), subjects(500*i, 500)...)
	}
	s, ahead := open(t, t.TempDir(), Options{}), open(t, t.TempDir(), Options{})
	mustApply(t, s, w.entries)
	w.publish(w.acq, "more", 9000)
	mustApply(t, ahead, w.entries)
	image, at := imageOf(t, ahead), ahead.Position()
	if len(image) < (imageWriterChunks+1)*imageChunkBytes {
		t.Fatalf("the image has %d bytes: all of it may be read before any is written", len(image))
	}
	_, err := s.WriteArchive(ctx, &meanwhile{do: func() {
		if err := install(s, image, at); err != nil {
			t.Error(err)
		}
	}})
	if !errors.Is(err, errReplaced) {
		t.Errorf("an archive of two states is written: %v", err)
	}
	mustClose(t, s)
	mustClose(t, ahead)
}
