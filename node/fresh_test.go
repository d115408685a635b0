package node

import (
	"testing"

	"github.com/risknet/risknet/check"
)

// What is in the state is not in the view yet, where an image has taken the state's
// place and its filter is being built: a node that called itself fresh meanwhile would
// let pass who has been listed for long.
func TestAnIndexIsInTheViewWhenChecksAreAnsweredFromIt(t *testing.T) {
	d := newDesk(t)
	if !d.inView(d.index) || d.inView(d.index+1) {
		t.Errorf("the view is at %d, the state at %d", d.checker.Load().Version, d.index)
	}
	before, err := check.New(check.Config{Now: d.now})
	if err != nil {
		t.Fatal(err)
	}
	d.checker = before
	if d.inView(d.index) {
		t.Error("the state has it, and no check is answered from that")
	}
	if err := d.restored(); err != nil {
		t.Fatal(err)
	}
	if !d.inView(d.index) {
		t.Error("the view that was built does not have it")
	}
}
