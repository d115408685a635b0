package consensus

import (
	"fmt"
	"sync/atomic"
)

// fruitlessLimit is how many images in a row may come without the log going on
// behind them.
const fruitlessLimit = 3

// imageCounts tells how images fare. Raft can get into a state in which a server
// takes one image after the other and never an entry (its log contradicts the
// state and is not dropped); a start compares the two and ends that.
type imageCounts struct {
	sent, installed, refused atomic.Uint64
	fruitless                atomic.Uint64
}

// attempted notes an image that was received whole, and what became of it. It
// gives an error once there were too many in a row.
func (c *imageCounts) attempted(err error) error {
	if err == nil {
		c.installed.Add(1)
	} else {
		c.refused.Add(1)
	}
	if n := c.fruitless.Add(1); n >= fruitlessLimit {
		return fmt.Errorf("%w: %d images came in a row, and no entry behind them", ErrRestart, n)
	}
	return nil
}

// continued notes that entries were applied behind the last image.
func (c *imageCounts) continued() { c.fruitless.Store(0) }
