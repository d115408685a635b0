package consensus

import (
	"sync"
	"time"
)

const (
	// keptAfter is how long a server may take, after its image, to ask for the
	// entries behind it.
	keptAfter = 5 * time.Second
	// maxKept is how many entries more than Config.TrailingLogs stay for an image.
	maxKept = 8192
)

// kept is what stays in the log for servers that are brought up to date by an
// image: where writes come faster than the image, the log would be cut above it
// before it has arrived, and the next image would fare no better.
type kept struct {
	mu     sync.Mutex
	turn   uint64
	behind map[uint64]uint64 // the index of the image of each turn
}

// hold keeps what is behind an image, until a while after it is released.
func (k *kept) hold(index uint64) (release func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.behind == nil {
		k.behind = map[uint64]uint64{}
	}
	k.turn++
	turn := k.turn
	k.behind[turn] = index
	return func() {
		time.AfterFunc(keptAfter, func() {
			k.mu.Lock()
			defer k.mu.Unlock()
			delete(k.behind, turn)
		})
	}
}

// limit gives up to where the log may be cut, of what else it would be, and of what
// the number of its entries alone demands. The entry at an image's index stays too:
// raft compares it with what the other server has.
func (k *kept) limit(to, demanded uint64) uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	limited := to
	for _, index := range k.behind {
		limited = min(limited, index-1)
	}
	if demanded > maxKept {
		limited = max(limited, demanded-maxKept)
	}
	return limited
}
