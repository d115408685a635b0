package node

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/store"
)

func TestAnIncomingImageNeedsRoomForItselfAndItsState(t *testing.T) {
	cfg := Config{Disk: DiskConfig{Reserve: 1000}}
	d, err := openDisk(&cfg, func(string) (uint64, error) { return 1200, nil })
	if err != nil {
		t.Fatal(err)
	}
	if err := d.roomForState(100); err != nil {
		t.Errorf("an image that fits twice: %v", err)
	}
	if err := d.roomForState(101); err == nil || !strings.Contains(err.Error(), "202 are needed beside disk.reserve of 1000") {
		t.Errorf("an image that fits once: %v", err)
	}
}

func TestAVerificationLeavesNothingNotEvenThatOfOneThatWasKilled(t *testing.T) {
	dir := t.TempDir()
	killed, under := filepath.Join(dir, verifyPrefix+"killed"), filepath.Join(dir, verifyPrefix+"running")
	for _, made := range []string{killed, under} {
		if err := os.MkdirAll(filepath.Join(made, "state"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	lock, err := lockData(under)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	none, err := os.Create(filepath.Join(t.TempDir(), "none"))
	if err != nil {
		t.Fatal(err)
	}
	defer none.Close()
	if _, err := VerifyBackup(t.Context(), none, dir); !errors.Is(err, store.ErrArchive) {
		t.Errorf("what is no backup answers %v", err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 || left[0].Name() != filepath.Base(under) {
		t.Errorf("left are %v (%v), want the one that is under way", left, err)
	}
}

func TestABackupIsUnpackedOnlyWhereThereIsRoom(t *testing.T) {
	huge, err := os.Create(filepath.Join(t.TempDir(), "huge"))
	if err != nil {
		t.Fatal(err)
	}
	defer huge.Close()
	if err := huge.Truncate(1 << 43); err != nil { // a hole
		t.Fatal(err)
	}
	dir := t.TempDir()
	refused := func(key string, err error) {
		t.Helper()
		if err == nil || !strings.HasPrefix(err.Error(), key) || !strings.Contains(err.Error(), "may be needed to unpack") {
			t.Errorf("a backup of 8 TiB: %v", err)
		}
	}
	_, err = VerifyBackup(t.Context(), huge, dir)
	refused("scratch: ", err)
	cfg := Config{Data: dir, Anchor: dir, ID: risk.ID{1}.String(), Network: risk.Hash{1}.String()}
	_, err = Restore(t.Context(), cfg, huge)
	refused("data: ", err)
}
