package client_test

import (
	"testing"
	"time"

	"github.com/risknet/risknet/client"
)

// A stream that ends though nobody has asked anything is the node's fault, whatever it
// says: the lane rests, and longer each time.
func TestANodeThatEndsEachStreamIsNotPestered(t *testing.T) {
	inTown(t, 1, func(t *testing.T, w *town) {
		const many = 1000
		w.nodes[0].ends = many
		w.asker(client.AskerConfig{Streams: 1})
		time.Sleep(2 * time.Second) // of the bubble
		w.nodes[0].mu.Lock()
		defer w.nodes[0].mu.Unlock()
		if opened := many - w.nodes[0].ends; opened < 2 || opened > 20 {
			t.Errorf("%d streams in two seconds", opened)
		}
	})
}
