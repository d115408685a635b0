package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
)

// peers runs the other module, in which the peers of this process's inside are.
func peers(ctx context.Context, args ...string) ([]byte, error) {
	return output(ctx, "go", append([]string{"run", "-C", "bench/peers", "."}, args...)...)
}

// alone is what badger by itself takes for so many entries, in seconds.
type alone struct {
	Load float64 `json:"load_s"`
	Scan float64 `json:"scan_s"`
	Copy float64 `json:"copy_s"`
}

func badgerAlone(ctx context.Context, entries int) (a alone, err error) {
	out, err := peers(ctx, "-badger", strconv.Itoa(entries))
	if err != nil {
		return a, err
	}
	return a, json.Unmarshal(out, &a)
}

// insideTrial is a check without the network around it, beside what else evaluates
// rules. The other module takes the sides in turn and gives medians.
func insideTrial(o options) trial {
	const us = "µs"
	rows := []row{
		{name: "cel-go-check", what: fmt.Sprintf("six clean subjects as tokens, %d listings, 100 rules; theirs is the rules alone", o.many), peer: "a loop over cel-go", unit: us, most: 1.5},
		{name: "expr-check", what: "the same", peer: "expr", unit: us, most: 1.5},
		{name: "opa-check", what: "the same", peer: "OPA", unit: us, most: 1.5},
		{name: "allocations-cel-go-check", what: "allocations of such a check", peer: "a loop over cel-go", unit: "allocations"},
		{name: "cel-go-asked", what: "the same, 100 rules of which the index spares none", peer: "a loop over cel-go", unit: us},
		{name: "rules-1000", what: "1,000 rules; theirs is ours with 100", peer: "ours with 100 rules", unit: us, ratioMost: 3},
		{name: "rules-1000-asked", what: "1,000 rules of which the index spares none; theirs is ours with 100 of them", peer: "ours with 100 rules", unit: us},
		{name: "listings", what: fmt.Sprintf("over %d listings; theirs is ours over 10,000", o.many), peer: "ours with 10,000 listings", unit: us, ratioMost: 1.5},
	}
	return trial{rows: rows, goes: 1, measure: func(ctx context.Context) (theirs, ours figures, err error) {
		out, err := peers(ctx, "-goes", strconv.Itoa(o.goes), "-listings", strconv.Itoa(o.many))
		if err != nil {
			return nil, nil, err
		}
		theirs, ours = figures{}, figures{}
		for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
			var line struct {
				Row, Unit    string
				Theirs, Ours float64
			}
			if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
				return nil, nil, err
			}
			if line.Unit == "ns/check" {
				line.Theirs, line.Ours = line.Theirs/1000, line.Ours/1000
			}
			if line.Row == fmt.Sprintf("listings-%d", o.many) {
				line.Row = "listings"
			}
			if isGrowth(rows, line.Row) { // there the larger one stands as the peer
				line.Theirs, line.Ours = line.Ours, line.Theirs
			}
			theirs[line.Row], ours[line.Row] = line.Theirs, line.Ours
		}
		return theirs, ours, nil
	}}
}

func isGrowth(rows []row, name string) bool {
	for _, r := range rows {
		if r.name == name {
			return r.peer == "ours with 100 rules" || r.peer == "ours with 10,000 listings"
		}
	}
	return false
}
