package store

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/risknet/risknet/risk"
)

func archiveOf(t fataler, s *Store) ([]byte, ArchiveInfo) {
	t.Helper()
	var out bytes.Buffer
	info, err := s.WriteArchive(ctx, &out)
	if err != nil || info.Bytes != int64(out.Len()) {
		t.Fatalf("archive of %d bytes: %+v, %v", out.Len(), info, err)
	}
	return out.Bytes(), info
}

func TestAnArchiveGivesTheStateBack(t *testing.T) {
	w := newWorld()
	many(w, 300)
	w.publish(w.bank, "other", 2, 3)
	w.put(Configuration, []byte("five nodes"))
	source := open(t, t.TempDir(), Options{})
	defer source.Close()
	mustApply(t, source, w.entries)
	archive, info := archiveOf(t, source)
	want := ArchiveInfo{Network: w.network, Name: "net", Size: source.Head().Size, Root: source.Head().Root,
		Index: w.index, Term: 1, Listings: source.Count(), Bytes: int64(len(archive))}
	if info != want {
		t.Errorf("wrote %+v, want %+v", info, want)
	}
	if got, err := VerifyArchive(bytes.NewReader(archive), Options{Network: w.network, Logger: quiet}); err != nil || got != want {
		t.Errorf("verified %+v, %v; want %+v", got, err, want)
	}
	dir := filepath.Join(t.TempDir(), "state")
	if got, err := ReadArchive(dir, bytes.NewReader(archive), Options{Network: w.network, Logger: quiet}); err != nil || got != want {
		t.Fatalf("read %+v, %v; want %+v", got, err, want)
	}
	s := open(t, dir, Options{Network: w.network})
	defer s.Close()
	same(t, "the archive", s, source)
	sameLedger(t, s, source)
	whole(t, s)
	from := len(w.entries)
	w.publish(w.acq, "and on", 4)
	for _, one := range []*Store{s, source} {
		mustApply(t, one, w.entries[from:])
	}
	same(t, "after the archive", s, source)
}

// A replica without the older ledger makes an archive of what it has.
func TestAnArchiveOfPartOfTheLedgerSaysSo(t *testing.T) {
	w := newWorld()
	many(w, 3)
	source := open(t, t.TempDir(), Options{})
	defer source.Close()
	mustApply(t, source, w.entries)
	s := imagedAt(t, t.TempDir(), source)
	defer s.Close()
	archive, info := archiveOf(t, s)
	dir := filepath.Join(t.TempDir(), "state")
	got, err := ReadArchive(dir, bytes.NewReader(archive), Options{Logger: quiet})
	if err != nil || got != info || info.LedgerFrom != source.Head().Size-1 {
		t.Fatalf("wrote %+v, read %+v, %v", info, got, err)
	}
	restored := open(t, dir, Options{})
	defer restored.Close()
	fetch(t, restored, source)
	sameLedger(t, restored, source)
}

func TestADamagedArchiveLeavesNothing(t *testing.T) {
	w := newWorld()
	many(w, 3)
	source := open(t, t.TempDir(), Options{})
	defer source.Close()
	mustApply(t, source, w.entries)
	archive, _ := archiveOf(t, source)
	dir := t.TempDir()
	refused := func(what string, archive []byte, o Options) {
		t.Helper()
		o.Logger = quiet
		_, err := ReadArchive(dir, bytes.NewReader(archive), o)
		left, err2 := os.ReadDir(dir)
		if err == nil || err2 != nil || len(left) > 0 {
			t.Fatalf("%s: %v; left is %v", what, err, left)
		}
	}
	step := max(1, len(archive)/40)
	for i := 0; i < len(archive); i += step {
		damaged := bytes.Clone(archive)
		damaged[i] ^= 1 << (i % 8)
		refused("a flipped bit", damaged, Options{})
		refused("a cut tail", archive[:i], Options{})
	}
	refused("a last byte that is missing", archive[:len(archive)-1], Options{})
	refused("more behind its end", append(bytes.Clone(archive), 0), Options{})
	refused("another network", archive, Options{Network: risk.Hash{1}})
	if err := os.WriteFile(filepath.Join(dir, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadArchive(dir, bytes.NewReader(archive), Options{Logger: quiet}); err == nil {
		t.Error("a directory that is not empty was taken")
	}
}

// failingWriter is a disk that is full.
type failingWriter struct{ left int }

var errFull = errors.New("no space left")

func (w *failingWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestAnArchiveThatCannotBeWrittenSaysSo(t *testing.T) {
	w := newWorld()
	s := open(t, t.TempDir(), Options{})
	defer s.Close()
	if _, err := s.WriteArchive(ctx, &bytes.Buffer{}); err == nil {
		t.Error("an archive of nothing was written")
	}
	mustApply(t, s, w.entries)
	if _, err := s.WriteArchive(ctx, &failingWriter{left: 100}); !errors.Is(err, errFull) {
		t.Errorf("to a full disk: %v", err)
	}
	if _, err := s.WriteArchive(cancelled(), &bytes.Buffer{}); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(s.dir, imagesDir, "*")); err != nil || len(left) > 0 {
		t.Errorf("images were left: %v, %v", left, err)
	}
}
