package chaos

import (
	"testing"
	"time"
)

func TestPorcupineJudgesHistories(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(*History)
		want bool
	}{
		{"a read after a write sees it", func(h *History) {
			h.Wrote(1, "x", true, 0, 10)
			h.Read(2, "x", true, 20, 30)
		}, true},
		{"an acknowledged write is lost", func(h *History) {
			h.Wrote(1, "x", true, 0, 10)
			h.Read(2, "x", false, 20, 30)
		}, false},
		{"a lifted listing returns", func(h *History) {
			h.Wrote(1, "x", true, 0, 10)
			h.Wrote(1, "x", false, 20, 30)
			h.Read(2, "x", false, 40, 50)
			h.Read(3, "x", true, 60, 70)
		}, false},
		{"a read during a write sees either", func(h *History) {
			h.Wrote(1, "x", true, 0, 100)
			h.Read(2, "x", false, 10, 20)
			h.Read(3, "x", true, 30, 40)
		}, true},
		{"what one reader saw another must not unsee", func(h *History) {
			h.Wrote(1, "x", true, 0, 100)
			h.Read(2, "x", true, 10, 20)
			h.Read(3, "x", false, 30, 40)
		}, false},
		{"a write without an answer may happen late", func(h *History) {
			h.Lost(1, "x", true, 0)
			h.Read(2, "x", false, 10, 20)
			h.Read(3, "x", true, 30, 40)
		}, true},
		{"subjects do not mix", func(h *History) {
			h.Wrote(1, "x", true, 0, 10)
			h.Read(2, "y", false, 20, 30)
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := NewHistory()
			c.do(h)
			ok, decided, _ := Linearizable(h, 10*time.Second)
			if !decided || ok != c.want {
				t.Errorf("linearizable: %v (decided %v), want %v", ok, decided, c.want)
			}
		})
	}
}
