package consensus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/hashicorp/raft"
)

const (
	markName = "mark"
	markSize = 20
)

// markedLog remembers how far the log went. A log that finds its last batch
// damaged takes it for a write that a crash had torn, which nobody was told of,
// and drops it in silence; but one flipped bit looks the same, and then entries
// are gone that this server acknowledged. The mark tells the two apart.
//
// It is written behind every append, and not synced: it outlives a crash of the
// process, and after a power failure it may be old, never too new. So it finds
// rot wherever the machine itself did not lose power in the same moment, and costs
// one write to memory. Before the log's end goes back the mark does, and is synced.
//
// The file is a count of writes (8 bytes), the last index (8 bytes) and the
// CRC-32C of both, little endian, and lies within one sector.
type markedLog struct {
	logStore
	file *os.File

	mu     sync.Mutex // an append and a cut may come at the same time
	writes uint64
	last   uint64
}

// openMark opens the file or makes an empty one, durably, before there is a log.
func openMark(dir string, fresh bool) (*markedLog, error) {
	name := filepath.Join(dir, markName)
	if fresh {
		if err := replaceFile(name, encodeMark(0, 0)); err != nil {
			return nil, err
		}
	}
	file, err := os.OpenFile(name, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: the file %s is missing", ErrDamaged, markName)
	}
	if err != nil {
		return nil, err
	}
	m := &markedLog{file: file}
	raw, err := io.ReadAll(io.LimitReader(file, markSize+1))
	if err == nil {
		m.writes, m.last, err = decodeMark(raw)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return m, nil
}

func encodeMark(writes, last uint64) []byte {
	raw := binary.LittleEndian.AppendUint64(nil, writes)
	raw = binary.LittleEndian.AppendUint64(raw, last)
	return binary.LittleEndian.AppendUint32(raw, crc32.Checksum(raw, castagnoli))
}

func decodeMark(raw []byte) (writes, last uint64, err error) {
	if len(raw) != markSize || binary.LittleEndian.Uint32(raw[16:]) != crc32.Checksum(raw[:16], castagnoli) {
		return 0, 0, fmt.Errorf("%w: the checksum of %s does not match", ErrDamaged, markName)
	}
	return binary.LittleEndian.Uint64(raw), binary.LittleEndian.Uint64(raw[8:]), nil
}

// check compares the mark with what the log opened with, all of which is on disk.
func (m *markedLog) check() error {
	last, err := m.LastIndex()
	if err != nil {
		return err
	}
	if last < m.last {
		return fmt.Errorf("%w: it ends at entry %d, but entry %d was on disk", ErrDamaged, last, m.last)
	}
	if last > m.last {
		return m.set(last)
	}
	return nil
}

func (m *markedLog) set(last uint64) error {
	m.writes, m.last = m.writes+1, last
	if _, err := m.file.WriteAt(encodeMark(m.writes, last), 0); err != nil {
		return fmt.Errorf("%s: %w", markName, err)
	}
	return nil
}

func (m *markedLog) StoreLogs(logs []*raft.Log) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.logStore.StoreLogs(logs); err != nil || len(logs) == 0 {
		return err
	}
	return m.set(logs[len(logs)-1].Index)
}

func (m *markedLog) StoreLog(l *raft.Log) error { return m.StoreLogs([]*raft.Log{l}) }

func (m *markedLog) DeleteRange(from, to uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	first, err1 := m.FirstIndex()
	last, err2 := m.LastIndex()
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	// Raft also deletes what is gone already: it cuts its log in two places at once.
	if within := first <= to && from <= last; within && to >= m.last {
		left := uint64(0)
		if from > first {
			left = min(from-1, m.last)
		}
		if err := errors.Join(m.set(left), m.file.Sync()); err != nil {
			return err
		}
		// If we crash here, the log is longer than its mark, which is nothing new.
	}
	return m.logStore.DeleteRange(from, to)
}

func (m *markedLog) Close() error { return errors.Join(m.logStore.Close(), m.file.Close()) }
