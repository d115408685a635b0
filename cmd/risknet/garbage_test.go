package main

import "testing"

// A heap that is collected as it grows is left alone; one at rest is collected twice.
func TestAHeapIsCollectedWhenItComesToRest(t *testing.T) {
	var r rest
	for look, is := range []struct {
		cycles uint64
		due    bool
	}{
		{4, false}, {9, false}, {15, false}, // an import
		{15, true}, {15, false}, {15, true}, {15, false}, {15, false}, // rest
		{16, false}, {16, true}, {16, false}, // what the runtime does every two minutes
		{18, false}, {18, true}, // busy again before badger was at rest
	} {
		if due := r.due(is.cycles); due != is.due {
			t.Errorf("look %d at %d collections: %t, want %t", look, is.cycles, due, is.due)
		}
	}
}

// A heap grows by less while much of it is in use, and no percentage is set to and fro.
func TestALargeHeapGrowsByLess(t *testing.T) {
	const mib = 1 << 20
	now := percent
	for _, is := range []struct {
		live uint64
		want int
	}{{100 * mib, 50}, {512 * mib, 50}, {600 * mib, 25}, {400 * mib, 25}, {384 * mib, 25}, {383 * mib, 50}, {500 * mib, 50}} {
		if now = percentFor(is.live, now); now != is.want {
			t.Errorf("of %d MiB in use: %d, want %d", is.live/mib, now, is.want)
		}
	}
}
