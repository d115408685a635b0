package ledger

import (
	"encoding/binary"
	"fmt"
	"math"
)

// MaxEntry is the largest entry of a bundle, and so the largest leaf, in bytes.
const MaxEntry = math.MaxUint16

// EncodeEntries makes the bytes of an entry bundle: for each entry its length in
// 2 bytes big-endian, then the entry. A bundle holds 1 to 256 entries.
func EncodeEntries(entries [][]byte) ([]byte, error) {
	if err := checkBundle(len(entries)); err != nil {
		return nil, err
	}
	total := 0
	for i, entry := range entries {
		if len(entry) > MaxEntry {
			return nil, fmt.Errorf("entry %d of the bundle has %d bytes; at most %d are allowed", i, len(entry), MaxEntry)
		}
		total += 2 + len(entry)
	}
	data := make([]byte, 0, total)
	for _, entry := range entries {
		data = binary.BigEndian.AppendUint16(data, uint16(len(entry)))
		data = append(data, entry...)
	}
	return data, nil
}

// DecodeEntries takes a bundle of width entries apart, and refuses one that holds
// fewer or more. The entries share memory with data.
func DecodeEntries(data []byte, width int) ([][]byte, error) {
	if err := checkBundle(width); err != nil {
		return nil, err
	}
	entries := make([][]byte, width)
	for i := range entries {
		if len(data) < 2 {
			return nil, fmt.Errorf("bundle of %d entries ends before entry %d", width, i)
		}
		n := 2 + int(binary.BigEndian.Uint16(data))
		if len(data) < n {
			return nil, fmt.Errorf("bundle ends within entry %d: %d bytes of %d are there", i, len(data)-2, n-2)
		}
		entries[i], data = data[2:n:n], data[n:]
	}
	if len(data) != 0 {
		return nil, fmt.Errorf("bundle has %d bytes behind its %d entries", len(data), width)
	}
	return entries, nil
}

func checkBundle(width int) error {
	if width < 1 || width > TileWidth {
		return fmt.Errorf("bundle of %d entries; it must hold 1 to %d", width, TileWidth)
	}
	return nil
}
