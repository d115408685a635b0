package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// result is a measured row as it is kept, one a line; a later line of a row takes the
// place of an earlier one.
type result struct {
	Row     string    `json:"row"`
	What    string    `json:"what,omitempty"` // with its numbers, which options change
	On      string    `json:"on"`             // the day
	Machine string    `json:"machine"`        // that measured it
	Theirs  []float64 `json:"theirs,omitempty"`
	Ours    []float64 `json:"ours,omitempty"`
	Missing string    `json:"missing,omitempty"`
}

func (o *options) beside(extension string) string {
	return strings.TrimSuffix(o.out, filepath.Ext(o.out)) + extension
}

// keep writes what was measured beside the report, in place of what stood there of the
// same rows.
func keep(o options, results []measured) error {
	kept, err := kept(o)
	if err != nil {
		return err
	}
	for i := range results {
		m := &results[i]
		kept = slices.DeleteFunc(kept, func(r result) bool { return r.Row == m.name })
		kept = append(kept, result{Row: m.name, What: m.what, On: time.Now().UTC().Format(time.DateOnly), Machine: machine(), Theirs: m.theirsAll, Ours: m.oursAll, Missing: m.missing})
	}
	var text []byte
	for i := range kept {
		line, err := json.Marshal(&kept[i])
		if err != nil {
			return err
		}
		text = append(append(text, line...), '\n')
	}
	return os.WriteFile(o.beside(".jsonl"), text, 0o644)
}

// kept reads what was measured until now.
func kept(o options) ([]result, error) {
	file, err := os.Open(o.beside(".jsonl"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var list []result
	lines := bufio.NewScanner(file)
	for n := 1; lines.Scan(); n++ {
		var r result
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("%s, line %d: %w; remove the line and measure its row again", file.Name(), n, err)
		}
		list = append(list, r)
	}
	return list, lines.Err()
}
