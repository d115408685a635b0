package testnet

import (
	"os/exec"
	"testing"
)

// Whoever saw a process end starts another in its place: it must not seem to be
// back in the moment in which it is reaped.
func TestAProcessThatEndedStaysEnded(t *testing.T) {
	for range 100 {
		cmd := exec.Command("true")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		n := &ProcessNode{PID: cmd.Process.Pid, Config: "true"}
		reaped := make(chan error, 1)
		go func() { reaped <- cmd.Wait() }()
		for n.ours() {
		}
		for over := false; !over; {
			select {
			case err := <-reaped:
				if over = true; err != nil {
					t.Fatal(err)
				}
			default:
			}
			if n.ours() {
				t.Fatalf("process %d is back", n.PID)
			}
		}
	}
}
