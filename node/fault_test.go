package node

import (
	"strings"
	"testing"

	"github.com/risknet/risknet/fault"
)

func TestTheFaultSocketSaysWhatItTakes(t *testing.T) {
	armed := "ok"
	if !fault.Armed {
		armed = "this build has no crash points"
	}
	for line, want := range map[string]string{
		"crash node: no such point 3":  armed,
		"crash":                        "use cut, heal or crash NAME N",
		"crash node:":                  "name a point",
		"crash node: after the anchor": "count from 1",
		"crash node: point 0":          "count from 1",
		"explode":                      "use cut, heal or crash NAME N",
	} {
		if got := new(Node).takeFault(line); !strings.Contains(got, want) {
			t.Errorf("%q is answered %q, want %q", line, got, want)
		}
	}
}
