package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestMain lets the test's own binary be the leader.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == leaderRole {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestARowIsWhatServersAddToTheIdleAndTheBusyLeader(t *testing.T) {
	var rows []row
	for _, n := range []int{0, 10} {
		var idle row
		more := float64(n)
		for i, l := range []load{{Name: "idle"}, {Name: "reports", PerSecond: 20}} {
			cpu, commands := 1+more/10, 0 // of 20 s; a server adds 5 thousandths of a core
			if i > 0 {
				cpu, commands = cpu+0.4+more*0.04, 400 // 1 ms a command, and 100 us for a server
			}
			rows = append(rows, rowOf(n, l, answer{Seconds: 20, CPU: cpu, Commands: commands}, &idle, rows))
		}
	}
	near := func(what string, is, want float64) {
		t.Helper()
		if is < want*0.999 || is > want*1.001 {
			t.Errorf("%s is %v; want %v", what, is, want)
		}
	}
	near("a command at the first", rows[1].Command, 1000)
	near("a command at ten", rows[3].Command, 2000)
	near("a server's part of a command", rows[3].Each, 100)
	near("a server's part of the idle leader", rows[2].EachIdle, 5)
}

func TestGrowthMeasuresALeaderOfItsOwnProcess(t *testing.T) {
	var out bytes.Buffer
	rows, err := grow(t.Context(), []int{0, 1}, 200*time.Millisecond, &out)
	if err != nil {
		t.Fatal(err)
	}
	lines := json.NewDecoder(&out)
	for i := range rows {
		var r row
		if err := lines.Decode(&r); err != nil || r != rows[i] {
			t.Fatalf("line %d is %+v, %v; want %+v", i+1, r, err, rows[i])
		}
		if r.Load == "reports" && r.PerSecond < 1 {
			t.Errorf("%+v: no commands", r)
		}
	}
	if len(rows) != 2*len(loads) {
		t.Errorf("%d rows", len(rows))
	}
	if err := draw(filepath.Join(t.TempDir(), "growth.svg"), rows); err != nil {
		t.Error(err)
	}
}
