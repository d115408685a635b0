package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/risknet/risknet/ledger"
	"github.com/risknet/risknet/risk"
)

func life(number uint64) *incarnation {
	return &incarnation{Network: risk.Hash{1}, Node: risk.ID{2}, Number: number}
}

func TestWhatTheTwoIncarnationsSayDecidesTheCourse(t *testing.T) {
	for name, c := range map[string]struct {
		anchored, held       *incarnation
		hasData, anchorEmpty bool
		want                 course
		doubted              bool
	}{
		"nothing is there":                     {nil, nil, false, true, course{number: 1, begin: true}, false},
		"all is as it was left":                {life(3), life(3), true, false, course{number: 3}, false},
		"started once, never had anything":     {life(1), life(1), false, true, course{number: 1, begin: true}, false},
		"the data directory was emptied":       {life(1), nil, false, false, course{number: 2, begin: true}, false},
		"state and log are gone":               {life(4), life(4), false, false, course{number: 5, begin: true}, false},
		"data of an earlier life":              {life(3), life(2), true, false, course{number: 4, begin: true}, false},
		"crashed before it was put aside":      {life(3), life(2), true, true, course{number: 3, begin: true}, false},
		"a copy without its anchor":            {nil, life(1), true, true, course{number: 1}, true},
		"data that does not say whose it is":   {life(1), nil, true, false, course{number: 1}, true},
		"the anchor of an earlier life":        {life(1), life(2), true, false, course{number: 2}, true},
		"the anchor is gone and the data too":  {nil, life(2), false, true, course{number: 3, begin: true}, false},
		"unnamed data and no anchor":           {nil, nil, true, true, course{number: 1}, true},
		"the anchor remembers, nothing begun":  {life(2), life(2), false, true, course{number: 2, begin: true}, false},
		"both of a later life, nothing missed": {life(9), life(9), true, true, course{number: 9}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := judge(c.anchored, c.held, c.hasData, c.anchorEmpty, func(after uint64) uint64 { return after + 1 })
			_, doubted := asDoubt(err)
			got.because = ""
			if got != c.want || doubted != c.doubted || (err != nil) != c.doubted {
				t.Errorf("course %+v, doubt %v (%v), want %+v, %v", got, doubted, err, c.want, c.doubted)
			}
		})
	}
}

func TestDataThatFallsShortOfTheAnchorIsDoubted(t *testing.T) {
	anchored := ledger.Anchor{Size: 40, LogIndex: 50, Term: 3}
	for name, c := range map[string]struct {
		held    reach
		doubted bool
	}{
		"as far":               {reach{50, 3}, false},
		"further":              {reach{90, 4}, false},
		"fewer entries":        {reach{49, 3}, true},
		"fewer, later term":    {reach{49, 9}, true},
		"an earlier term":      {reach{50, 2}, true},
		"nothing":              {reach{}, true},
		"more, but older term": {reach{99, 2}, true},
	} {
		err := fallsShort(anchored, c.held, 30)
		d, doubted := asDoubt(err)
		if doubted != c.doubted || (err != nil) != c.doubted {
			t.Errorf("%s: doubt %v, want %v", name, err, c.doubted)
		}
		if doubted && d.need != 40 {
			t.Errorf("%s: the others need %d leaves, not 40", name, d.need)
		}
	}
}

func TestServerIDsNameNodeAndLife(t *testing.T) {
	id := risk.ID{0xab}
	for _, number := range []uint64{1, 2, 77} {
		node, got, err := splitServer(serverID(id, number))
		if err != nil || node != id || got != number {
			t.Errorf("life %d comes back as %s, %d, %v", number, node, got, err)
		}
	}
	for _, bad := range []string{"", "xyz", id.String() + "+", id.String() + "+1", id.String() + "+0", id.String() + "+two", id.String() + "+-3"} {
		if _, _, err := splitServer(bad); err == nil {
			t.Errorf("%q passes for a server id", bad)
		}
	}
}

func TestAFlippedBitInAnIncarnationIsSeen(t *testing.T) {
	text := life(12).encode()
	for bit := range 8 * len(text) {
		bad := append([]byte(nil), text...)
		bad[bit/8] ^= 1 << (bit % 8)
		if got, err := decodeIncarnation(bad); err == nil {
			t.Fatalf("bit %d flipped gives %+v", bit, got)
		}
	}
	for n := range text {
		if _, err := decodeIncarnation(text[:n]); err == nil {
			t.Fatalf("the first %d of %d bytes pass", n, len(text))
		}
	}
	if got, err := decodeIncarnation(text); err != nil || got != *life(12) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestTheAnchorNeverGoesBackAndSurvives(t *testing.T) {
	dir := t.TempDir()
	a, err := openAnchor(dir, *life(1))
	if err != nil || !a.empty() {
		t.Fatalf("empty %v, %v", a, err)
	}
	for _, step := range []struct{ size, index, term uint64 }{{10, 12, 1}, {8, 11, 3}, {20, 25, 2}, {0, 0, 4}} {
		if err := a.raise(step.size, ledger.Hash{byte(step.size)}, step.index, step.term); err != nil {
			t.Fatal(err)
		}
	}
	again, err := openAnchor(dir, *life(1))
	if err != nil {
		t.Fatal(err)
	}
	want := ledger.Anchor{Network: risk.Hash{1}, Node: risk.ID{2}, Size: 20, Root: ledger.Hash{20}, LogIndex: 25, Term: 4}
	if got := again.load(); got != want {
		t.Errorf("anchor %+v, want %+v", got, want)
	}
	file := filepath.Join(dir, headFile)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for bit := range 8 * len(text) {
		bad := append([]byte(nil), text...)
		bad[bit/8] ^= 1 << (bit % 8)
		if err := os.WriteFile(file, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := openAnchor(dir, *life(1)); err == nil {
			t.Fatalf("bit %d flipped goes unseen", bit)
		}
	}
}

// config gives directories with something of a life in them.
func lived(t testing.TB, number uint64) *Config {
	t.Helper()
	cfg := &Config{ID: life(1).Node.String(), Network: life(1).Network.String(), Data: t.TempDir(), Anchor: t.TempDir()}
	for _, name := range livedIn {
		if err := os.MkdirAll(filepath.Join(cfg.Data, name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(cfg.Data, name, "file"), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(life(number).write(cfg.Data), life(number).write(cfg.Anchor)); err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestANewLifePutsTheOldOneAsideAndKeepsFew(t *testing.T) {
	cfg := lived(t, 1)
	for number := uint64(2); number < 6; number++ {
		if err := beginLife(cfg, *life(number)); err != nil {
			t.Fatal(err)
		}
		if there, err := holdsData(cfg.Data); err != nil || there {
			t.Fatalf("life %d begins with data, %v", number, err)
		}
		for _, name := range livedIn {
			if err := os.MkdirAll(filepath.Join(cfg.Data, name), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(cfg.Data, name, "file"), fmt.Append(nil, number), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	aside, _ := filepath.Glob(filepath.Join(cfg.Data, asidePrefix+"*"))
	if len(aside) != keptAside {
		t.Fatalf("kept %v", aside)
	}
	text, err := os.ReadFile(filepath.Join(aside[len(aside)-1], "state", "file"))
	if err != nil || string(text) != "4" {
		t.Errorf("the newest put aside holds %q, %v", text, err)
	}
	held, err := readIncarnation(cfg.Data)
	if err != nil || held.Number != 5 {
		t.Errorf("data says %+v, %v", held, err)
	}
}

func TestANextLifeIsNeverOneThatWas(t *testing.T) {
	cfg := lived(t, 4)
	if err := life(6).write(cfg.Data); err != nil {
		t.Fatal(err)
	}
	next, err := nextLife(cfg)
	if err != nil || next.Number < 7 {
		t.Errorf("next %+v, %v", next, err)
	}
	last := next.Number
	if err := life(last + 1<<40).write(cfg.Anchor); err != nil {
		t.Fatal(err)
	}
	if next, err := nextLife(cfg); err != nil || next.Number != last+1<<40+1 {
		t.Errorf("after a number from the future: %+v, %v", next, err)
	}
	bare := &Config{ID: cfg.ID, Network: cfg.Network, Data: t.TempDir(), Anchor: t.TempDir()}
	if next, err := nextLife(bare); err != nil || next.Number < uint64(time.Now().Add(-time.Hour).UnixMilli()) {
		t.Errorf("without a memory: %+v, %v", next, err)
	}
}

func TestAFullDiskHoldsAndLetsGo(t *testing.T) {
	left := uint64(5000)
	cfg := &Config{Data: t.TempDir(), Disk: DiskConfig{Reserve: 1000}}
	d, err := openDisk(cfg, func(string) (uint64, error) { return left, nil })
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		left uint64
		held bool
	}{{1001, false}, {1000, false}, {999, true}, {0, true}, {1000, false}} {
		left = step.left
		if _, err := d.look(); err != nil {
			t.Fatal(err)
		}
		if held := d.hold() != nil; held != step.held {
			t.Errorf("with %d of 1000 free: held %v", step.left, held)
		}
	}
	if err := d.roomFor(1); err == nil {
		t.Error("an image was let into the reserve")
	}
	left = 100
	if _, err := openDisk(cfg, func(string) (uint64, error) { return left, nil }); err == nil || !strings.Contains(err.Error(), "free at least 125") {
		t.Errorf("started on a full disk: %v", err)
	}
}
