//go:build faults

package fault

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// Armed reports whether this build has crash points at all.
const Armed = true

// Environment names the variable that arms one point before the process has
// begun: "NAME@N" crashes at the N-th passing.
const Environment = "RISKNET_CRASH_AT"

var (
	mu   sync.Mutex
	left = map[string]int{} // passings until the crash, by name
)

func init() {
	name, count, found := strings.Cut(os.Getenv(Environment), "@")
	if n, err := strconv.Atoi(count); found && err == nil {
		Arm(name, n)
	}
}

// Arm asks for a crash at the n-th passing of a point from now on.
func Arm(name string, n int) bool {
	mu.Lock()
	defer mu.Unlock()
	left[name] = n
	return true
}

// Point ends the process if its turn has come. The line on standard error is
// what a test counts as a hit.
func Point(name string) {
	mu.Lock()
	defer mu.Unlock()
	n, armed := left[name]
	if !armed {
		return
	}
	if left[name] = n - 1; n > 1 {
		return
	}
	fmt.Fprintf(os.Stderr, "crash point hit: %s\n", name)
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {} // the signal is on its way
}
