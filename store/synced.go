package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"

	"github.com/risknet/risknet/fault"
)

// syncedFile notes how far the state was on disk when it was last synced. Badger
// takes a damaged tail of what it writes for a write that a crash cut off, and
// begins again where it was sound. That is right for what raft still has and
// delivers again, which is what came after the note; before it, something is lost.
//
//	u8 version=1 | u64 index | u64 term | u32 CRC-32C of all before
const syncedFile = "SYNCED"

const (
	syncedVersion = 1
	syncedBytes   = 1 + 8 + 8 + 4
)

func encodeSynced(at Position) []byte {
	dst := binary.BigEndian.AppendUint64([]byte{syncedVersion}, at.Index)
	dst = binary.BigEndian.AppendUint64(dst, at.Term)
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst, crc32.MakeTable(crc32.Castagnoli)))
}

func decodeSynced(b []byte) (Position, error) {
	if len(b) != syncedBytes || b[0] != syncedVersion {
		return Position{}, fmt.Errorf("%w: %s is not of version %d", ErrDamaged, syncedFile, syncedVersion)
	}
	at := Position{Index: binary.BigEndian.Uint64(b[1:]), Term: binary.BigEndian.Uint64(b[9:])}
	if !bytes.Equal(encodeSynced(at), b) {
		return Position{}, fmt.Errorf("%w: the checksum of %s is wrong", ErrDamaged, syncedFile)
	}
	return at, nil
}

// note writes the file, unless it says as much already.
func (g *generation) note(at Position) error {
	g.mark.Lock()
	defer g.mark.Unlock()
	if at.Index <= g.synced.Index {
		return nil
	}
	if err := replaceFile(filepath.Join(g.dir, syncedFile), encodeSynced(at)); err != nil {
		return err
	}
	g.synced = at
	return nil
}

// checkSynced holds the state to the note, which an empty state gets now.
func checkSynced(m *meta) error {
	raw, err := os.ReadFile(filepath.Join(m.gen.dir, syncedFile))
	if errors.Is(err, os.ErrNotExist) && m.version() == 0 {
		return replaceFile(filepath.Join(m.gen.dir, syncedFile), encodeSynced(Position{}))
	}
	if err != nil {
		return fmt.Errorf("%w: %w; %s", ErrDamaged, err, cure)
	}
	at, err := decodeSynced(raw)
	if err != nil {
		return fmt.Errorf("%w; %s", err, cure)
	}
	m.gen.synced = at
	if m.version() < at.Index {
		return fmt.Errorf("%w: the state was on disk up to entry %d and ends at %d; %s", ErrDamaged, at.Index, m.position.Index, cure)
	}
	return nil
}

// checkCuts finds a cut that is lost between others. Each puts a key of its own
// and takes away that of the one before it, so there is one, the newest's; what
// lost a cut in the middle has two.
func checkCuts(m *meta, txn *badger.Txn) error {
	n := 0
	err := walk(txn, []byte{prefixCut}, func(item *badger.Item) error {
		n++
		if version, ok := readNumber(item.Key()[1:]); !ok || version != m.version() {
			return fmt.Errorf("%w: what was written after entry %d is lost, and the state ends at %d; %s", ErrDamaged, version, m.version(), cure)
		}
		return nil
	})
	if err == nil && n == 0 && m.version() > 0 {
		err = fmt.Errorf("%w: the mark of its last cut is missing; %s", ErrDamaged, cure)
	}
	return err
}

func readNumber(b []byte) (uint64, bool) {
	if len(b) != 8 {
		return 0, false
	}
	return binary.BigEndian.Uint64(b), true
}

// replaceFile leaves, after a crash, what was there or what is new.
func replaceFile(path string, data []byte) error {
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if filepath.Base(path) == currentFile {
		// If we crash here, the old name stands and the new state is swept aside.
		fault.Point("store: CURRENT.new written")
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncTables syncs the logs of the tables in memory that badger does not write
// to any more. One that is gone meanwhile is in a table on disk.
func syncTables(dir string) error {
	logs, err := filepath.Glob(filepath.Join(dir, "*.mem"))
	if err != nil {
		return err
	}
	for _, path := range logs {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	return nil
}
