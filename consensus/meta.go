package consensus

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft-wal/types"
)

const (
	metaName  = "meta"
	metaMagic = "risknet log meta 1\n"
)

// metaStore keeps what must survive beside the entries: which files make up the log,
// the term and the vote. It is one small file, replaced as a whole, whose
// checksum covers every byte: a term that lost a bit would let this server vote
// twice, and nobody would ever know.
//
// The file is the magic line, the CRC-32C of the rest in four bytes, and JSON.
type metaStore struct {
	segments types.SegmentFiler // to look at the last file
	dir      string

	mu   sync.Mutex
	held metaContent
}

type metaContent struct {
	Log    types.PersistentState
	Stable map[string][]byte
}

var _ types.MetaStore = (*metaStore)(nil)

// Load reads the file, or finds that there is none yet.
func (m *metaStore) Load(dir string) (types.PersistentState, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dir = dir
	raw, err := os.ReadFile(filepath.Join(dir, metaName))
	if errors.Is(err, fs.ErrNotExist) {
		return types.PersistentState{}, m.noFiles()
	}
	if err != nil {
		return types.PersistentState{}, err
	}
	if m.held, err = decodeMeta(raw); err != nil {
		return types.PersistentState{}, err
	}
	if err := m.rotate(); err != nil {
		return types.PersistentState{}, err
	}
	return m.held.Log, nil
}

// noFiles refuses entries without the file that speaks of them.
func (m *metaStore) noFiles() error {
	files, err := filepath.Glob(filepath.Join(m.dir, "*.wal"))
	if err == nil && len(files) > 0 {
		err = fmt.Errorf("%w: %s is missing", ErrDamaged, metaName)
	}
	return err
}

func decodeMeta(raw []byte) (held metaContent, err error) {
	head := len(metaMagic) + 4
	if len(raw) < head || string(raw[:len(metaMagic)]) != metaMagic {
		return held, fmt.Errorf("%w: %s does not begin as it should", ErrDamaged, metaName)
	}
	if binary.LittleEndian.Uint32(raw[head-4:]) != crc32.Checksum(raw[head:], castagnoli) {
		return held, fmt.Errorf("%w: the checksum of %s does not match", ErrDamaged, metaName)
	}
	if err := json.Unmarshal(raw[head:], &held); err != nil {
		return held, fmt.Errorf("%w: %s: %w", ErrDamaged, metaName, err)
	}
	return held, nil
}

// rotate ends what a crash left half done: the last file was closed because it
// was full, but the next one was not yet announced. The log would open such a
// file as its last one and then refuse every entry.
func (m *metaStore) rotate() error {
	last := len(m.held.Log.Segments) - 1
	if last < 0 || !m.held.Log.Segments[last].SealTime.IsZero() {
		return nil
	}
	tail := m.held.Log.Segments[last]
	file, err := m.segments.RecoverTail(tail)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // announced, and not yet made: the log makes it
	}
	if err != nil {
		return err
	}
	sealed, start, err := file.Sealed()
	end := file.LastIndex()
	if err := errors.Join(err, file.Close()); err != nil || !sealed {
		return err
	}
	state := m.held.Log
	state.Segments = slices.Clone(state.Segments)
	tail.IndexStart, tail.MaxIndex, tail.SealTime = start, end, time.Now()
	state.Segments[last] = tail
	state.Segments = append(state.Segments, types.SegmentInfo{
		ID: state.NextSegmentID, BaseIndex: end + 1, MinIndex: end + 1,
		SizeLimit: tail.SizeLimit, Codec: codecID, CreateTime: time.Now(),
	})
	state.NextSegmentID++
	return m.write(metaContent{Log: state, Stable: m.held.Stable})
}

// CommitState also puts our codec's id beside every file; see segments.
func (m *metaStore) CommitState(state types.PersistentState) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	state.Segments = slices.Clone(state.Segments)
	for i := range state.Segments {
		state.Segments[i].Codec = codecID
	}
	return m.write(metaContent{Log: state, Stable: m.held.Stable})
}

// newest: see logStore. A full file says where its index begins, behind the entries.
func (m *metaStore) newest(bytes uint64) (first uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	files, held := m.held.Log.Segments, uint64(0)
	for i := len(files) - 1; i >= 0; i-- {
		if held += files[i].IndexStart; held >= bytes {
			return files[i].MinIndex
		}
	}
	return 0
}

func (m *metaStore) GetStable(key []byte) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.held.Stable[string(key)]), nil
}

// SetStable forgets the candidate of the vote before with the term of a new one:
// raft writes the two one after the other, and a crash between them would give the
// new term's vote to the old candidate, without a look at its log.
func (m *metaStore) SetStable(key, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	stable := maps.Clone(m.held.Stable)
	if stable == nil {
		stable = make(map[string][]byte)
	}
	stable[string(key)] = slices.Clone(value)
	if string(key) == keyVoteTerm {
		delete(stable, keyVoteCandidate)
	}
	return m.write(metaContent{Log: m.held.Log, Stable: stable})
}

// write replaces the file. If we crash before the rename the old one stands,
// whole; what is held in memory is always what is on disk.
func (m *metaStore) write(next metaContent) error {
	body, err := json.Marshal(next)
	if err != nil {
		return err
	}
	raw := binary.LittleEndian.AppendUint32([]byte(metaMagic), crc32.Checksum(body, castagnoli))
	if err := replaceFile(filepath.Join(m.dir, metaName), append(raw, body...)); err != nil {
		return err
	}
	m.held = next
	return nil
}

func (m *metaStore) Close() error { return nil }

// replaceFile puts a file in another's place, durably.
func replaceFile(name string, content []byte) error {
	next := name + ".next"
	file, err := os.OpenFile(next, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := os.Rename(next, name); err != nil {
		return err
	}
	return syncDir(filepath.Dir(name))
}

func syncDir(name string) error {
	dir, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
