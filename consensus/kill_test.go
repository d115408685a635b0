package consensus

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/hashicorp/raft"
)

const killedInside = "RISKNET_TEST_KILLED"

// A process is killed in the middle of its appends, again and again. What it had
// said to be on disk is there, and nothing looks like damage.
func TestKilledLogHoldsWhatItPromised(t *testing.T) {
	shortFiles(t, 1<<13)
	if dir := os.Getenv(killedInside); dir != "" {
		appendForEver(t, dir)
	}
	dir, promised := t.TempDir(), uint64(0)
	for round := range 6 {
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), killedInside+"="+dir)
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for count := 0; count < 20+7*round && lines.Scan(); count++ {
			if _, err := fmt.Sscan(lines.Text(), &promised); err != nil {
				t.Fatalf("the appending process says %q", lines.Text())
			}
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		if held, err := Inspect(dir); err != nil || held.First != 1 || held.Last < promised {
			t.Fatalf("after entry %d the log holds %+v (%v)", promised, held, err)
		}
	}
	if promised < 100 {
		t.Fatalf("only %d entries were promised", promised)
	}
}

func appendForEver(t *testing.T, dir string) {
	log := open(t, dir)
	last, err := log.LastIndex()
	for err == nil {
		last++
		err = log.StoreLog(&raft.Log{Index: last, Term: 1, Data: []byte(strings.Repeat("x", int(last*97%900)))})
		fmt.Println(last)
	}
	t.Fatal(err)
}
