package node

import (
	"testing"
	"time"

	"github.com/risknet/risknet/risk"
)

func TestWhatALeaderCallsTellsOfALaterLife(t *testing.T) {
	self, other := risk.ID{1}, risk.ID{2}
	now := time.UnixMilli(1_750_000_000_000)
	const number = 1_749_999_999_000
	life := incarnation{Node: self, Number: number}
	for name, test := range map[string]struct {
		server string
		want   uint64
		later  bool
	}{
		"this life":              {serverID(self, number), number, false},
		"an earlier one":         {serverID(self, number-1), number, false},
		"the first":              {serverID(self, 1), number, false},
		"a later one":            {serverID(self, number+500), uint64(now.UnixMilli()), true},
		"one ahead of the clock": {serverID(self, uint64(now.UnixMilli())+60_000), uint64(now.UnixMilli()) + 60_001, true},
		"one that cannot be":     {serverID(self, uint64(now.Add(2*time.Hour).UnixMilli())), number, false},
		"another node":           {serverID(other, number+500), number, false},
		"nothing that is":        {"evil", number, false},
	} {
		got, later := laterLife(test.server, life, now)
		if got.Number != test.want || later != test.later {
			t.Errorf("%s: life %d, %v; want %d, %v", name, got.Number, later, test.want, test.later)
		}
	}
}
