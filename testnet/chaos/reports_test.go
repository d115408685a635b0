package chaos

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestWhatOtherRoomsMeasureStandsOnThePage(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	sim, err := ReadSimulated(write("sim", `{"fault":"pause","seed":100,"runs":1,"simulated_seconds":43200,"checks":7,"violations":{"I1":0,"linearizable":0}}
{"fault":"skew","seed":101,"runs":1,"simulated_seconds":43200,"checks":8,"violations":{"I7":2,"linearizable":1}}
{"fault":"pause","seed":115,"runs":1,"simulated_seconds":86400,"checks":9,"violations":{"I1":0}}
`), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	damage, err := ReadDamage(write("damage", `{"file":".sst","damage":"flip","outcome":"refused at open","runs":30}
{"file":".sst","damage":"cut","outcome":"refused at open","runs":12}
{"file":".mem","damage":"cut","outcome":"violation","runs":1}
`), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	page := Page(append(sim, damage...), nil)
	for _, want := range []string{
		"| pause | 2 | 36.0 | 16 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 |",
		"| skew | 1 | 12.0 | 8 | 0 | 0 | 0 | 0 | 0 | 0 | 2 | 0 | 0 | 0 | 1 |",
		"2.00 simulated cluster-days, 3 violations.",
		"| .sst | 42 | 42 | 0 | 0 | 0 | 0 | 0 |",
		"| .mem | 1 | 0 | 0 | 0 | 0 | 0 | 1 |",
		"43 damages, 1 violations.",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
	if _, err := ReadDamage(write("bad", "no json\n"), time.Time{}); err == nil {
		t.Error("a broken report was read")
	}
}
